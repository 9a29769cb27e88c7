"""What leaves the process: fitted to the collector's limits, private as asked; numbers are never lost."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from percapita import _redact
from percapita._event import EVENT_BYTES, encoded, tags_of

from pipeline import redact
from pipeline.wire import Rejected, parse_event

NOW = 1_790_000_000_000_000
CORPUS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "core" / "redaction_corpus.jsonl").open(encoding="utf-8")
]
SECRET = "ada@example.com said 4111 1111 1111 1111"


def event(**more: Any) -> dict[str, Any]:
    return {
        "id": "01890000-0000-7000-8000-000000000001", "type": "llm", "timestamp": NOW / 1000, "usage": {"output": 3, "input_uncached": 4},
        "metadata": {"tags": {"userId": "ada"}, "note": SECRET}, "prompt": [{"role": "user", "content": SECRET}], "response": SECRET,
        "error_message": SECRET, "logs": [SECRET], **more,
    }  # fmt: skip


def sent(made: dict[str, Any], privacy: str = "", mask: Any = None) -> tuple[dict[str, Any], Counter[str]]:
    counts: Counter[str] = Counter()
    body = encoded(made, privacy, mask, lambda reason: counts.update([reason]))
    taken = parse_event(body, 0, NOW)
    assert not isinstance(taken, Rejected), taken
    return json.loads(body), counts


def test_minimal_leaves_numbers_names_and_tags() -> None:
    told, _ = sent(event(finish_reason="stop", model="gpt-4o"), "minimal")
    assert SECRET not in json.dumps(told)
    assert told["usage"] == {"output": 3, "input_uncached": 4}
    assert (told["metadata"], told["model"], told["finish_reason"]) == ({"tags": {"userId": "ada"}}, "gpt-4o", "stop")
    assert not {"prompt", "response", "error_message", "logs"} & told.keys()


def test_standard_redacts_before_anything_leaves() -> None:
    told, _ = sent(event(), "standard")
    assert "ada@example.com" not in json.dumps([told["prompt"], told["response"], told["error_message"], told["logs"]])
    assert told["response"] == "[EMAIL] said [CARD]"


def test_full_leaves_everything_as_it_is() -> None:
    assert sent(event(), "full")[0]["response"] == SECRET


@pytest.mark.parametrize("item", CORPUS, ids=lambda item: item["text"][:40])
def test_the_sdk_redacts_as_the_server_does(item: dict[str, Any]) -> None:
    assert _redact.redact(item["text"]) == redact.redact(item["text"])


def test_the_rules_are_the_servers() -> None:
    rules = [(kind, pattern.replace(r"\z", r"\Z"), check.__name__) for kind, pattern, check in redact._RULES]
    assert [(kind, pattern, check.__name__) for kind, pattern, check in _redact._RULES] == rules


@given(st.text(alphabet="ab1@.:-+( )4eyJ_/\n", max_size=60))
def test_the_sdk_redacts_any_text_as_the_server_does(text: str) -> None:
    assert _redact.redact(text) == redact.redact(text)


PIECES = [
    "eyJ", "eyJabcdefgh", ".", "a", "-", "_", " ", "@", "a@b.co", "://", ":x@y ", "AB12", "DE89370400440532013000", "4111 1111 1111 1111",
    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "sk-", "x" * 21, "\n", "1.2.3.4", "a:b", "%", "212-555-1234", "1.", "SG.", "0",
    "+49 30 1234567",
]  # fmt: skip
_ONE_SEARCH = re.compile("|".join(f"(?:{pattern})" for _, pattern, _ in _redact._RULES), re.ASCII)


def redacted_by_one_search(text: str) -> str:
    """What the rules mean: all of them side by side, as the server has them."""
    parts, kept, position = [], 0, 0
    while (match := _ONE_SEARCH.search(text, position)) is not None:
        kind, _, is_valid = _redact._RULES[(match.lastindex or 1) - 1]
        first, end = match.span(match.lastindex or 1)
        position = first + 1
        if is_valid(text[first:end]) and _redact._ends(text, end, f"[{kind}]"):
            parts += [text[kept:first], f"[{kind}]"]
            kept = position = end
    return "".join([*parts, text[kept:]])


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_rules_that_are_looked_for_one_by_one_find_what_all_find_together(text: str) -> None:
    assert _redact.redact(text) == redacted_by_one_search(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join), st.sampled_from(["", "a" * 64 + "@"]))
@example("eyJ", "")
@example("1.", "a" * 64 + "@")
@example(".eyJabcdefgh.abcdefgh-----BEGIN PRIVATE KEY-----", "")
def test_redacting_takes_a_time_that_grows_with_the_text_whatever_stands_in_it(unit: str, before: str) -> None:
    """`re` keeps every thread of the host waiting meanwhile, and the text is anybody's."""
    text = before + unit * (100_000 // len(unit))
    began = time.thread_time()
    _redact.redact(text)
    assert time.thread_time() - began < 0.2  # 0.01 to 0.04; what is quadratic takes seconds


def test_a_mask_may_change_what_is_sent() -> None:
    def mask(told: dict[str, Any]) -> dict[str, Any]:
        told["response"] = "***"
        return told

    assert sent(event(), mask=mask)[0]["response"] == "***"


@pytest.mark.parametrize("answer", [RuntimeError("no"), None, "text"])
def test_a_mask_that_fails_drops_the_content_and_keeps_the_numbers(answer: Any) -> None:
    def mask(_: dict[str, Any]) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    told, counts = sent(event(), mask=mask)
    assert SECRET not in json.dumps(told)
    assert told["usage"]["output"] == 3
    assert counts == {"content_mask_failed": 1}


def test_content_that_is_too_large_goes_and_its_numbers_stay() -> None:
    told, counts = sent(event(response="word " * (EVENT_BYTES // 4)))
    assert told["usage"]["output"] == 3
    assert "response" not in told
    assert counts == {"content_too_large": 1}


def test_files_are_told_by_kind_and_size() -> None:
    picture = "data:image/png;base64," + "A" * 4_000_000
    document = {"type": "base64", "media_type": "application/pdf", "data": "B" * 4_000_000}
    told, counts = sent(event(prompt=[{"image_url": {"url": picture}}, {"source": document}]))
    assert told["prompt"][0]["image_url"]["url"] == "[image/png, 3000 KB]"
    assert told["prompt"][1]["source"]["data"] == "[3000 KB]"
    assert not counts


def test_what_json_does_not_know_becomes_something_it_knows() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    deep: Any = "end"
    for _ in range(100):
        deep = [deep]
    held = {
        "nan": float("nan"),
        "set": {1},
        "bytes": b"abc",
        "odd": Odd(),
        5: "key",
        "surrogate": "\ud800",
        "nul": "a\0b",
        "deep": deep,
    }
    told, _ = sent(event(response=held))
    assert told["response"]["nan"] is None
    assert (told["response"]["odd"], told["response"]["bytes"], told["response"]["5"]) == ("odd", "[3 bytes]", "key")


def test_names_are_cut_to_what_the_collector_takes() -> None:
    told, _ = sent(event(model="m" * 500, error_code="e" * 100, name="n\0" * 200, finish_reason="f" * 99))
    assert (len(told["model"]), len(told["error_code"]), len(told["name"]), len(told["finish_reason"])) == (
        128,
        64,
        128,
        64,
    )


def test_names_that_are_none_become_text() -> None:
    told, _ = sent(event(session_id=42, name=7, error_code=404, model=True))
    assert (told["session_id"], told["name"], told["error_code"], told["model"]) == ("42", "7", "404", "True")


def test_metadata_that_is_too_large_goes_and_its_tags_stay() -> None:
    told, counts = sent(event(metadata={"tags": {"userId": "ada"}, "dump": "x" * 20_000}))
    assert told["metadata"] == {"tags": {"userId": "ada"}}
    assert counts == {"metadata_too_large": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, JSON, st.sampled_from(["", "minimal", "standard", "full"]), st.dictionaries(st.text(), JSON, max_size=5))
def test_whatever_a_host_gives_the_collector_takes(
    prompt: Any, response: Any, privacy: str, tags: dict[str, Any]
) -> None:
    sent(event(prompt=prompt, response=response, metadata={"tags": tags_of(tags)}), privacy)
