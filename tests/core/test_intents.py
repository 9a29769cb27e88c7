"""Intents in commit metadata."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.intents import Intent, Versions, read_note
from pipeline import limits

VERSIONS = Versions("genai-prices-0.2.3-abcdef0123456789-1", 3, 17, 2, 1)
numbers = st.integers(0, 2**53)


@given(numbers, numbers, numbers, st.integers(0, 1000), st.lists(st.integers(0, 10**6)))
def test_a_note_reads_back_as_its_intent(end: int, start: int, time: int, attempt: int, hours: list[int]) -> None:
    intent = Intent(end, VERSIONS, start, time, attempt, tuple(hours))
    assert read_note(intent.note()) == intent


def test_no_note_is_no_intent() -> None:
    assert read_note("") is None


def test_a_note_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown version"):
        read_note("v2|1|x")


def test_a_note_fits_the_brokers_limit() -> None:
    note = Intent(2**63, VERSIONS, 2**33, 2**33, 10**6).note()
    assert len(note.encode()) < limits.COMMIT_METADATA_BYTES / 10
