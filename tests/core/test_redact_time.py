"""A text of end users is redacted in a time that grows with its length: a worker stands still meanwhile."""

from __future__ import annotations

import time

import pytest

from pipeline.redact import redact


@pytest.mark.parametrize(
    "piece", ["AB12 ", "a@b.co ", "eyJ", "1.2.3.4 ", "ä1.2.3.4 ", "+49 30 1234567 ", "a:b:", "http://a:b@c "]
)
def test_a_text_of_a_megabyte_takes_seconds_whatever_it_is(piece: str) -> None:
    """Ten times the text takes some ten times as long: each finding, and each candidate that is none, cost as much as the whole text once."""

    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        began = time.process_time()
        redact(text)
        return time.process_time() - began

    assert seconds(1_000_000) < 30 * max(seconds(100_000), 0.02)
