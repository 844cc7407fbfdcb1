"""Exact money: whole ten-thousandths of the shop's currency, so that sums never round."""

from typing import NewType

Amount = NewType("Amount", int)
"""Money in ten-thousandths of a unit: 12.50 is 125_000."""

PER_UNIT = 10_000

LARGEST = 2**63 - 1
"""What stores can keep of a sum. It takes some million of the largest events to come to it."""


def bounded(amount: int) -> int:
    """Keep a sum within what stores can hold: it stands still at the limit, rather than breaking the store."""
    return max(-LARGEST, min(LARGEST, amount))


def in_units(amount: int) -> str:
    """Write an amount for people: two decimals, more only when they are needed."""
    units, rest = divmod(abs(amount), PER_UNIT)
    decimals = f"{rest:04d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{units:,}.{decimals}"
