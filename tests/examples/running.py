"""An example as a process of its own, asked by several users at once, and what the provider served to each."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.embedded import Running
from tests.support.providers import ProviderServer
from tests.support.stack import ROOT, free_port

# gpt-4o, USD a million: input, read from the cache, output.
PRICES = (Decimal("2.5"), Decimal("1.25"), Decimal(10))
MODEL = "gpt-4o"


class Answer(NamedTuple):
    """Of an example."""

    status: int
    text: str
    headers: Any


class Spent(NamedTuple):
    """One user's numbers."""

    spend: Decimal
    tokens: int
    calls: int
    traces: int


class Example:
    """One of `examples/` until the end of a `with`. `seen` is what it has printed."""

    def __init__(self, python: Path, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._output = folder / f"{name}.log"
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("PERCAPITA_", "OPENAI_", "PYTHON"))}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(python), str(ROOT / "examples" / name / "app.py")],
                env={**bare, "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"), "PORT": str(self.port), **environment},
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, cwd=folder,
            )  # fmt: skip

    @property
    def seen(self) -> str:
        return self._output.read_text(errors="replace")

    def __enter__(self) -> Example:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            assert self.process.poll() is None, self.seen
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def post(self, path: str, body: dict[str, Any], token: str = "", **headers: str) -> Answer:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", json.dumps(body).encode())
        for name, value in {"Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.read().decode(), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(errors="replace"), error.headers)


def asking(user: str, place: int) -> str:
    """A question that names its user, with tokens that no other question has."""
    number = 100 * place + 7 * len(user) + sum(user.encode())
    return f"(of {user}) tokens:{1000 + number},{number},0,{20 + place}"


def ask_at_once(example: Example, asked: list[tuple[str, dict[str, Any], str]]) -> list[Answer]:
    """(path, body, token) of all users in turns, eight under way at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda one: example.post(*one), asked))


def served(provider: ProviderServer, user: str, traces: int) -> Spent:
    """The user's numbers as the provider has them."""
    mine = [
        one for one in provider.served if re.search(rf"\(of {re.escape(user)}\)", json.dumps(one.body)) and one.usage
    ]
    spend, tokens = Decimal(0), 0
    for one in mine:
        assert one.usage is not None
        cached = one.usage["prompt_tokens_details"]["cached_tokens"]
        parts = (one.usage["prompt_tokens"] - cached, cached, one.usage["completion_tokens"])
        spend += sum(price * count for price, count in zip(PRICES, parts, strict=True)) / 10**6
        tokens += sum(parts)
    return Spent(spend, tokens, len(mine), traces)


def told(product: Running, user: str) -> Spent | None:
    """The user's numbers as the API has them; None where it knows of no such user."""
    rows = product.get("users?limit=1000")["data"]
    row = next((row for row in rows if row["user_id"] == user), None)
    return row and Spent(Decimal(row["spend"] or 0), row["tokens"], row["calls"], row["traces"])


def told_in_time(product: Running, expected: dict[str, Spent], seconds: float = 60) -> dict[str, Spent | None]:
    """What the API tells of these users once it is what is expected, or when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = {user: told(product, user) for user in expected}
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


@contextlib.contextmanager
def jwks_served(jwks: dict[str, Any]) -> Iterator[str]:
    """An issuer, by its address: the public keys, as they are when they are asked for, at /.well-known/jwks.json."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/.well-known/jwks.json"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(jwks if found else {}).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
