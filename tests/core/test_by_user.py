"""Mean, median and who spends more: of amounts as Arrow holds them, what Python says of the same decimals."""

from __future__ import annotations

import statistics
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from query.by_user import Spends

AMOUNTS = st.decimals(min_value=Decimal(-(10**6)), max_value=Decimal(10**12), places=9, allow_nan=False)


@given(st.lists(AMOUNTS, max_size=40), st.lists(AMOUNTS, max_size=3), AMOUNTS)
def test_mean_median_and_above_are_those_of_the_decimals(
    some: list[Decimal], more: list[Decimal], line: Decimal
) -> None:
    spends = Spends(pa.chunked_array([pa.array(part, pa.decimal128(38, 9)) for part in (some, more)]))
    amounts = some + more
    assert spends.above(line) == sum(amount > line for amount in amounts)
    if not amounts:
        assert spends.mean() is spends.median() is None
        return
    mean = spends.mean()
    assert mean is not None
    assert abs(mean - sum(amounts, Decimal(0)) / len(amounts)) < Decimal("1e-9")
    assert spends.median() == statistics.median(amounts)
