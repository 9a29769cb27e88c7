"""docs/emitters.md, made of the lists that the tests check: `python -m tests.emitters.page` writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.emitters.captures import load
from tests.emitters.cases import BY_NAME
from tests.emitters.compare import ESTIMATED, expected
from tests.emitters.environments import NAMES, OURS, REQUIREMENTS, ROOT
from tests.emitters.gaps import Gap
from tests.emitters.listed import GAPS
from tests.emitters.truth import Truth

# Column -> the fields of the truth that it is about.
COLUMNS = {
    "input": ("input_uncached",), "cache reads": ("input_cache_read",), "5m, 1h writes": ("input_cache_write_5m", "input_cache_write_1h"),
    "30m, 12h writes": ("input_cache_write_30m", "input_cache_write_12h"), "output": ("output",), "reasoning": ("output_reasoning",),
    "audio": ("input_audio", "output_audio"), "searches": ("web_searches",), "tier": ("tier",), "model": ("model",), "user": ("user",),
    "session": ("session",), "tags": ("tags",), "cost": ("cost",),
}  # fmt: skip
_EMPTY = Truth()
_AT = datetime(2026, 11, 18, tzinfo=UTC)
_HEAD = """# Emitters

What Percapita makes of real instrumentations, made of the lists that `tests/emitters` checks against the packages themselves (`make
emitters`): every call once plainly, as a stream, by each helper, with every token class and tier, and failing. The truth is what the
provider served, priced by the price package; each call must be one event that equals it to the last digit.

`=`: equal to the truth in every call that has it. `12/14`: equal in so many, and of the others not sent, or not told apart from input; the
list below says which. `not sent`: of no call. `-`: the emitter makes no call that has it. A call without usage is `unpriced`, never free.

User, session and tags are checked as each emitter's users name them: on every span (anthropic-sdk, otel-genai: OpenTelemetry's baggage
processor), by the emitter's own means (openinference, traceloop, langfuse, logfire), or on the request's own span alone (otel-v2, openlit;
litellm's session and tags). The last is found for calls that are exported together with that span, not for those exported before it.
"""


def text() -> str:
    """The whole page."""
    names = [OURS, *NAMES]
    lines = [_HEAD, f"| source | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    lines += [f"| {name} | {' | '.join(cells(name))} |" for name in names]
    lines += ["", "## What is not sent", ""]
    for name in names:
        lines += [f"### {name}", "", versions(name), ""]
        lines += [f"- {_told(gap)}" for gap in GAPS[name]]
        lines.append("")
    return "\n".join(lines)


def cells(name: str) -> list[str]:
    """One for each column."""
    pairs = [
        (expected(case, _AT, ())[0], None if _unsent(name, case) else expected(case, _AT, GAPS[name])[0])
        for case in _cases(name)
    ]
    found = []
    for fields in COLUMNS.values():
        having = [pair for pair in pairs if any(getattr(pair[0], field) != getattr(_EMPTY, field) for field in fields)]
        equal = sum(
            told is not None and all(getattr(told, field) == getattr(truth, field) for field in fields)
            for truth, told in having
        )
        found.append(
            "-" if not having else "=" if equal == len(having) else f"{equal}/{len(having)}" if equal else "not sent"
        )
    return found


def versions(name: str) -> str:
    if name == OURS:
        return "`sdk/python`: `wrap` and `with_trace`."
    pins = (REQUIREMENTS / f"{name}.in").read_text().split()
    return ", ".join(f"{pin.replace('==', ' ')}" for pin in pins if re.search(r"==\d", pin)) + "."


def _cases(name: str) -> list[str]:
    if name == OURS:
        return list(BY_NAME)
    return [call.case for call in load(name)[1] if call.ended != "not offered"]


def _unsent(name: str, case: str) -> bool:
    return any(gap.what == "call" and gap.holds(BY_NAME[case]) for gap in GAPS[name])


def _told(gap: Gap) -> str:
    where = "" if gap.cases == ("*",) else f" of {', '.join(f'`{each}`' for each in gap.cases)}"
    if gap.what == "call":
        return f"nothing at all{where}"
    if gap.what == "success":
        return f"that it succeeded{where}: the instrumentation itself fails"
    if gap.told:
        numbers = ", ".join(f"{field} {count}" for field, count in gap.told)
        kind = "an estimate, marked as one" if gap.what == ESTIMATED else "a count of its own"
        return f"the count{where}; instead {kind}: {numbers}"
    return f"{gap.what}{where}"


if __name__ == "__main__":
    (ROOT / "docs" / "emitters.md").write_text(text())
