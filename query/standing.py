"""How far what is stored reaches, and what became of the hours of a window: asked once for an answer, and beside it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from pipeline.store import Store
from query.question import Question
from query.windows import HOUR

# Where a few thousand rows lie in as many places as there are parts: threads, and reading twice, cost more than they save.
FEW_ROWS = "SETTINGS max_threads = 1, optimize_move_to_prewhere = 0"
_FARTHEST = 4_102_444_800_000_000


class Standing(NamedTuple):
    """Of the whole hours that a window touches."""

    complete: (
        int | None
    )  # the time of receipt (unix us) up to which every partition is stored; None when no worker has said so
    marks: int  # of doubt, ever made
    cleared: int  # of these
    repairs: int  # keys that audits repaired

    @property
    def provisional(self) -> bool:
        """Whether an hour waits to be audited."""
        return self.marks > self.cleared


class Standings:
    """Begun before an answer is read, so that none says more than what the answer has seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._beside = ThreadPoolExecutor(4, "standing")

    def begin(self, q: Question) -> None:
        """Ask beside what follows."""
        q.noted[_asked(q)] = self._beside.submit(self.ask, q)

    def of(self, q: Question) -> Standing:
        """What was begun."""
        if _asked(q) not in q.noted:
            self.begin(q)
        begun: Future[Standing] = q.noted[_asked(q)]
        return begun.result()

    def ask(self, q: Question) -> Standing:
        """As it is now."""
        _, start, end = _asked(q)
        within = f"hour >= toDateTime({start // 1_000_000}, 'UTC') AND hour < toDateTime({end // 1_000_000}, 'UTC')"
        rows = self._store.select(
            f"""SELECT 'progress' AS of, toString(log_id) AS log, toUnixTimestamp64Micro(max(reported_at)) AS a,
                toUnixTimestamp64Micro(argMax(complete_through, reported_at)) AS b FROM progress GROUP BY log_id, log_partition
            UNION ALL SELECT 'marks', '', toInt64(uniqExact(hour, id)), toInt64(uniqExactIf((hour, id), cleared))
                FROM doubtful_hours WHERE {within}
            UNION ALL SELECT 'repairs', '', toInt64(sum(repaired_keys)), 0 FROM audit_runs WHERE {within}
            {FEW_ROWS}"""
        ).rows
        progress = [(reported, log, through) for name, log, reported, through in rows if name == "progress"]
        # Of the log that was heard of last: another one's partitions stand still.
        through = min((t for _, log, t in progress if log == max(progress)[1]), default=0)
        by_name = {name: (a, b) for name, _, a, b in rows}
        return Standing(through if through > 0 else None, *by_name["marks"], by_name["repairs"][0])


def _asked(q: Question) -> tuple[Any, int, int]:
    start, end = max(0, q.start), min(q.end, _FARTHEST)
    return "standing", start - start % HOUR, end + -end % HOUR
