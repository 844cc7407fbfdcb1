"""Sums of numbers, and the mean and the variance, which are computed of sums. Sums are whole numbers of any size."""

from collections.abc import Mapping
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure

_NUMBER: Final = "n"
_SUM: Final = "sum"
_SQUARES: Final = "squares"


def _quotient(dividend: int, divisor: int) -> int | float:
    """Divide exactly, then round to a float; what is too large for a float is rounded down to a whole number."""
    try:
        return dividend / divisor
    except OverflowError:
        return dividend // divisor


class Sum(Accumulator):
    """The sum of the numbers, Σx; 0 without events."""

    reads = Reads.NUMBER
    dimension = 1
    __slots__ = ("_has_changed", "total")

    def __init__(self, measure: Measure) -> None:
        self.total, self._has_changed = 0, False

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Add a number."""
        self.total += int(value)
        self._has_changed = True

    def merge(self, other: Self) -> None:
        """Add the other sum."""
        self.total += other.total
        self._has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """The sum."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_SUM: self.total}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the sum."""
        self.total = int(chunks.get(_SUM, 0))

    def result(self) -> Result:
        """The sum."""
        return self.total


class Mean(Accumulator):
    """The arithmetic mean of the numbers, Σx / n."""

    reads = Reads.NUMBER
    dimension = 1
    __slots__ = ("_has_changed", "number", "total")

    def __init__(self, measure: Measure) -> None:
        self.number = self.total = 0
        self._has_changed = False

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Add a number."""
        self.number += 1
        self.total += int(value)
        self._has_changed = True

    def merge(self, other: Self) -> None:
        """Add the other count and sum."""
        self.number += other.number
        self.total += other.total
        self._has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """The count and the sum."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_NUMBER: self.number, _SUM: self.total}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the count and the sum."""
        self.number, self.total = int(chunks.get(_NUMBER, 0)), int(chunks.get(_SUM, 0))

    def result(self) -> Result:
        """The mean; None without events."""
        return _quotient(self.total, self.number) if self.number else None


class Variance(Accumulator):
    """The population variance of the numbers, (n Σx² − (Σx)²) / n².

    This is the textbook algorithm of Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance",
    section 1. Its cancellation, for which they advise against it, needs floats: here the sums are whole numbers.
    """

    reads = Reads.NUMBER
    dimension = 2
    __slots__ = ("_has_changed", "number", "squares", "total")

    def __init__(self, measure: Measure) -> None:
        self.number = self.total = self.squares = 0
        self._has_changed = False

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Add a number and its square."""
        number = int(value)
        self.number += 1
        self.total += number
        self.squares += number * number
        self._has_changed = True

    def merge(self, other: Self) -> None:
        """Add the other count and sums."""
        self.number += other.number
        self.total += other.total
        self.squares += other.squares
        self._has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """The count and both sums."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_NUMBER: self.number, _SUM: self.total, _SQUARES: self.squares}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the count and both sums."""
        self.number, self.total = int(chunks.get(_NUMBER, 0)), int(chunks.get(_SUM, 0))
        self.squares = int(chunks.get(_SQUARES, 0))

    def result(self) -> Result:
        """The variance; None without events."""
        if not self.number:
            return None
        return _quotient(self.number * self.squares - self.total**2, self.number**2)
