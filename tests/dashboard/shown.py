"""What the tests of pages share: when a page is settled, and how it writes amounts and counts, by the rules of the design,
written again apart from the dashboard's own code.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

from playwright.sync_api import Page, expect

# Days that no clock moves: a window that ends now is another one by the time that the API is asked.
TODAY = datetime.now(UTC).date()
WINDOW = f"from={TODAY - timedelta(days=27)}&to={TODAY + timedelta(days=2)}"  # the test may run past midnight


def settled(page: Page) -> None:
    """Until every answer that the page asked for is shown."""
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def money(amount: str | None, decimals: int = 2) -> str:
    """A table's amount: so many decimals; two significant digits below what they can show. Unknown is not zero. Half to even, as everywhere."""
    if amount is None:
        return "no price"
    value = Decimal(amount)
    if value == 0:
        return "0.00"
    least = Decimal(1).scaleb(-decimals)
    if abs(value) < least:
        digits = min(9, 1 - value.adjusted())
        return f"{value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN):f}"
    return f"{value.quantize(least, ROUND_HALF_EVEN):,f}"


def tokens(count: int) -> str:
    """Exact below 10,000, then three figures."""
    if count < 10_000:
        return f"{count:,}"
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size * Decimal("0.9995"):
            value = Decimal(count / size)  # as the page has it: what lies half way in decimals may not in its numbers
            places = max(0, 2 - max(0, value.adjusted()))
            return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)}{unit}"
    raise AssertionError(count)


def share(part: float) -> str:
    """One decimal."""
    return "0%" if part <= 0 else "<0.1%" if part < 0.001 else f"{part * 100:.1f}%"


def texts(cells: Any) -> list[str]:
    """The words of cells, without the space around them."""
    return [" ".join(text.split()) for text in cells.all_inner_texts()]
