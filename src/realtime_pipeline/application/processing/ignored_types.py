"""Which types of events were ignored: counted by name, and not more names than can be shown."""

from collections.abc import Mapping
from typing import Final

NAMED_MAX: Final = 64
OTHER: Final = "other"
"""Stands for the types that are too many to be named."""


def add_types(total: dict[str, int], counts: Mapping[str, int]) -> None:
    """Add counts by type to a total of at most `NAMED_MAX` names; further names count as `OTHER`."""
    for name, count in counts.items():
        known = name if name in total or len(total) < NAMED_MAX else OTHER
        total[known] = total.get(known, 0) + count
