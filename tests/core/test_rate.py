"""How often one key may ask."""

from __future__ import annotations

import pytest

from pipeline.errors import TooMany
from query.rate import Rate


def test_a_minute_has_so_many_questions_and_the_next_one_as_many_again() -> None:
    now = [100.0]
    rate = Rate(2, lambda: now[0])
    assert rate.ask("a")["RateLimit"] == '"key";r=1;t=60'
    now[0] += 20.5
    assert rate.ask("a")["RateLimit"] == '"key";r=0;t=40'
    with pytest.raises(TooMany) as told:
        rate.ask("a")
    assert (told.value.status, told.value.retry_after) == (429, 40)
    assert rate.ask("b")["RateLimit"] == '"key";r=1;t=60'
    now[0] += 39.5
    assert rate.ask("a")["RateLimit"] == '"key";r=1;t=60'


def test_keys_of_former_minutes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.rate._MOST_KEYS", 10)
    now = [0.0]
    rate = Rate(5, lambda: now[0])
    for number in range(100):
        now[0] += 10
        rate.ask(str(number))
    assert len(rate._counts) <= 11
