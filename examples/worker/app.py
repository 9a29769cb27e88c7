"""A background worker: jobs run in other processes and threads than the request that asked for them, so their tags travel with them.

Two rules. Between processes context does not travel: the producer puts the tags into the message, and the worker opens a trace with
them. Between threads it does not either, unless the function is bound by `copy_context`. The processes are forked, as celery's and rq's
are; a celery task does in its body what `run` does.

    echo '{"userId": "ada", "texts": ["Hello", "Goodbye"]}' | python examples/worker/app.py
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from typing import Any

from openai import OpenAI
from percapita import copy_context, shutdown, with_trace, wrap

WORKERS = 2
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

client = wrap(OpenAI())  # before the fork: each process makes its own connection to Percapita


def enqueue(jobs: SimpleQueue[Any], user_id: str, texts: list[str]) -> None:
    """What a request handler does: the message says whose job it is."""
    jobs.put({"texts": texts, "tags": {"userId": user_id, "source": "worker"}})


def run(job: dict[str, Any], pool: ThreadPoolExecutor) -> None:
    """One job, its calls at the same time."""
    with with_trace(tags=job["tags"], name="job"):
        for answer in pool.map(copy_context(summarise), job["texts"]):
            print(answer, flush=True)


def summarise(text: str) -> str | None:
    """One call, in a thread of the pool."""
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content


def work(jobs: SimpleQueue[Any]) -> None:
    """A worker process, until there is no job for it."""
    with ThreadPoolExecutor(4) as pool:
        while (job := jobs.get()) is not None:
            run(job, pool)
    shutdown(10)  # what is still queued goes out; at most two seconds of it would without this line


if __name__ == "__main__":
    forked = multiprocessing.get_context("fork")
    waiting = forked.SimpleQueue()
    workers = [forked.Process(target=work, args=(waiting,)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for line in sys.stdin:
        asked = json.loads(line)
        enqueue(waiting, asked["userId"], asked["texts"])
    for _ in workers:
        waiting.put(None)
    for worker in workers:
        worker.join()
    sys.exit(any(worker.exitcode for worker in workers))
