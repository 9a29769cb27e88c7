"""Privacy modes as a table; what minimal forbids is nowhere, what full promises is verbatim."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.event import Event
from pipeline.privacy import CONTENT, apply_privacy, strip_content
from pipeline.redact import redact, redact_json

MAIL = "write to ada@example.com"


def event(**given_: object) -> Event:
    content = {name: msgspec.Raw(json.dumps([MAIL]).encode()) for name in CONTENT if name != "metadata"}
    content["metadata"] = msgspec.Raw(json.dumps({"note": MAIL}).encode())
    return Event(
        id="0190a1b2-0000-7000-8000-000000000001", type="llm", timestamp=1, user_id="ada@example.com", tool_name="mail",
        tags={"org": "ada@example.com"}, error_message=MAIL, **{"usage": msgspec.Raw(b'{"prompt_tokens":5}'), **content, **given_},
    )  # fmt: skip


def test_minimal_drops_content_error_messages_and_metadata() -> None:
    kept = apply_privacy(event(), "minimal")
    assert all(getattr(kept, name) is msgspec.UNSET for name in CONTENT)
    assert kept.error_message == ""


def test_standard_redacts_them() -> None:
    kept = apply_privacy(event(), "standard")
    assert bytes(kept.prompt) == b'["write to [EMAIL]"]'  # type: ignore[arg-type]  # it is there
    assert kept.error_message == "write to [EMAIL]"
    assert bytes(kept.metadata) == b'{"note":"write to [EMAIL]"}'  # type: ignore[arg-type]  # it is there


def test_full_is_verbatim() -> None:
    held = event()
    assert apply_privacy(held, "full") is held


@pytest.mark.parametrize("mode", ["minimal", "standard", "full"])
def test_names_tokens_and_tags_are_kept_in_every_mode(mode: str) -> None:
    kept = apply_privacy(event(), mode)  # type: ignore[arg-type]  # one of the three
    assert (kept.tool_name, kept.user_id, kept.tags) == ("mail", "ada@example.com", {"org": "ada@example.com"})
    assert msgspec.json.decode(kept.usage) == {"prompt_tokens": 5}  # type: ignore[arg-type]  # it is there


def test_an_event_with_nothing_to_hide_is_the_same_object() -> None:
    held = Event(id="x", type="llm", timestamp=1, prompt=msgspec.Raw(b'"how do I change my plan?"'))
    assert apply_privacy(held, "standard") is held


def test_minimal_keeps_numbers_and_tiers_of_a_usage_object_and_no_text() -> None:
    usage = {
        "prompt_tokens": 5,
        "service_tier": "flex",
        "note": "secret",
        "details": {"cached_tokens": 2, "text": "secret"},
    }
    kept = strip_content(event(usage=msgspec.Raw(json.dumps(usage).encode())))
    assert msgspec.json.decode(kept.usage) == {  # type: ignore[arg-type]  # it is there
        "prompt_tokens": 5, "service_tier": "flex", "details": {"cached_tokens": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("held", "clean"),
    [
        (b'{"a":"x\\nada@example.com"}', {"a": "x\n[EMAIL]"}),
        (b'{"a":"ada\\u0040example.com"}', {"a": "[EMAIL]"}),
        (b'{"ada@example.com":1}', {"[EMAIL]": 1}),
        (b'{"n":4111111111111111,"m":4111111111111112}', {"n": "[CARD]", "m": 4111111111111112}),
        (b'[[{"a":["10.0.0.5"]}]]', [[{"a": ["[IP]"]}]]),
        (b'"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"', "[PRIVATE_KEY]"),
    ],
)
def test_redaction_sees_through_json(held: bytes, clean: object) -> None:
    assert json.loads(redact_json(held)) == clean


@given(st.text())
def test_redaction_is_idempotent(text: str) -> None:
    assert redact(redact(text)) == redact(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_redacted_json_is_json_and_redacted_once(value: object) -> None:
    held = msgspec.json.encode(value)
    once = redact_json(held)
    json.loads(once)
    assert json.loads(redact_json(once)) == json.loads(once)
