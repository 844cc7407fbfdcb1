"""Quantiles of numbers, with a bounded relative error."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure

RELATIVE_ACCURACY: Final = 0.01
"""α: the largest error of a quantile, as a share of it."""
NUMBER_MAX: Final = 10**300
"""The largest absolute number that has a bin of its own, and still fits into a float; larger ones share its bin."""
_GAMMA: Final = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_BINS_PER_UNIT: Final = 1 / math.log(_GAMMA)


class Quantiles(Accumulator):
    """The numbers that shares of the events do not exceed: a DDSketch without a bound on the number of bins.

    Masson, Rim and Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
    section 2.1. Bin i has the numbers x with γ^(i−1) < x ≤ γ^i, where γ = (1 + α) / (1 − α). Numbers are whole, so
    i ≥ 0. The key of a bin is i + 1 for positive numbers, −(i + 1) for negative numbers and 0 for zero: keys have the
    order of the numbers. Numbers from 1 to 10^6 have at most 692 bins, from 1 to 10^12 at most 1,383.
    """

    reads = Reads.NUMBER
    dimension = 1
    __slots__ = ("_changed", "_quantiles", "bins")

    def __init__(self, measure: Measure) -> None:
        self._quantiles = measure.quantiles
        self.bins: dict[int, int] = {}
        self._changed: set[int] = set()

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Count a number in its bin."""
        key = _key_of(int(value))
        self.bins[key] = self.bins.get(key, 0) + 1
        self._changed.add(key)

    def merge(self, other: Self) -> None:
        """Add the other counts."""
        for key, count in other.bins.items():
            self.bins[key] = self.bins.get(key, 0) + count
            self._changed.add(key)

    def changes(self) -> dict[str, Chunk | None]:
        """The counts of the changed bins."""
        changes: dict[str, Chunk | None] = {str(key): self.bins[key] for key in self._changed}
        self._changed.clear()
        return changes

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over all counts."""
        self.bins = {int(key): int(count) for key, count in chunks.items()}

    def result(self) -> Result:
        """An entry for each quantile, the share in percent as its name ("p99.9"); None without events."""
        if not self.bins:
            return None
        keys = sorted(self.bins)
        numbers = list(accumulate(self.bins[key] for key in keys))  # of events up to each bin
        entries = []
        for quantile in self._quantiles:
            share = Decimal(str(quantile))  # as written: 0.29 × 100 is 29, and not 28.999…
            rank = int(share * (numbers[-1] - 1))
            entries.append((f"p{(share * 100).normalize():f}", _value_of(keys[bisect_right(numbers, rank)])))
        return entries


@lru_cache(16_384)  # the same number is added to the panes of several windows, and prices come again
def _key_of(number: int) -> int:
    if number > 0:
        return _index_of(number) + 1
    return -_index_of(-number) - 1 if number else 0


def _index_of(number: int) -> int:
    """Return the i with γ^(i−1) < number ≤ γ^i."""
    number = min(number, NUMBER_MAX)
    index = math.ceil(math.log(number) * _BINS_PER_UNIT)  # may miss by 1 where the number is near a power of γ
    if number > _GAMMA**index:
        return index + 1
    return index - 1 if number <= _GAMMA ** (index - 1) else index


def _value_of(key: int) -> float:
    """Return the number that is within α of all numbers of a bin: 2γ^i / (γ + 1)."""
    if not key:
        return 0.0
    return math.copysign(2 * _GAMMA ** (abs(key) - 1) / (_GAMMA + 1), key)
