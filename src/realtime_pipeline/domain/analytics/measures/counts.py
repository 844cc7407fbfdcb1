"""How many events: all, or the share of them for which a test holds."""

from collections.abc import Mapping
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure

_NUMBER: Final = "n"
_HOLDS: Final = "of"


class Count(Accumulator):
    """The number of events."""

    reads = Reads.NOTHING
    __slots__ = ("_has_changed", "number")

    def __init__(self, measure: Measure) -> None:
        self.number, self._has_changed = 0, False

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Count an event."""
        self.number += 1
        self._has_changed = True

    def merge(self, other: Self) -> None:
        """Add the other number."""
        self.number += other.number
        self._has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """The number."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_NUMBER: self.number}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the number."""
        self.number = int(chunks.get(_NUMBER, 0))

    def result(self) -> Result:
        """The number."""
        return self.number


class Ratio(Accumulator):
    """The share of the events for which a test holds."""

    reads = Reads.TEST
    __slots__ = ("_has_changed", "holds", "number")

    def __init__(self, measure: Measure) -> None:
        self.number = self.holds = 0
        self._has_changed = False

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Count an event; `value` is 1 where the test holds."""
        self.number += 1
        self.holds += int(value)
        self._has_changed = True

    def merge(self, other: Self) -> None:
        """Add the other numbers."""
        self.number += other.number
        self.holds += other.holds
        self._has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """Both numbers."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_NUMBER: self.number, _HOLDS: self.holds}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over both numbers."""
        self.number, self.holds = int(chunks.get(_NUMBER, 0)), int(chunks.get(_HOLDS, 0))

    def result(self) -> Result:
        """The share, from 0 to 1; None where there is no event."""
        return self.holds / self.number if self.number else None
