"""Extremes: the smallest and the largest number, the earliest and the latest value."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure

_NUMBER: Final = "number"
_EVENT: Final = "event"


class _Extreme(Accumulator):
    """A number of the events that none of the others exceeds in a direction."""

    reads = Reads.NUMBER
    dimension = 1
    __slots__ = ("_has_changed", "number")

    def __init__(self, measure: Measure) -> None:
        self.number: int | None = None
        self._has_changed = False

    def merge(self, other: Self) -> None:
        """Add the other extreme as a number."""
        if other.number is not None:
            self.add(other.number, 0, "")  # of an event, only the number is read

    def changes(self) -> dict[str, Chunk | None]:
        """The number."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {_NUMBER: self.number}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the number."""
        if _NUMBER in chunks:
            self.number = int(chunks[_NUMBER])

    def result(self) -> Result:
        """The number; None without events."""
        return self.number


class Min(_Extreme):
    """The smallest number."""

    __slots__ = ()

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Keep the number if it is smaller."""
        number = int(value)
        if self.number is None or number < self.number:
            self.number, self._has_changed = number, True


class Max(_Extreme):
    """The largest number."""

    __slots__ = ()

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Keep the number if it is larger."""
        number = int(value)
        if self.number is None or number > self.number:
            self.number, self._has_changed = number, True


class _ByTime(Accumulator):
    """The value of the event at an end of the order by (time, event id); of values of the same event, the largest."""

    reads = Reads.TEXT
    __slots__ = ("_has_changed", "at_ms", "event_id", "text")

    def __init__(self, measure: Measure) -> None:
        self.at_ms, self.event_id = 0, ""
        self.text: str | None = None
        self._has_changed = False

    @abstractmethod
    def _replaces(self, at_ms: int, event_id: str) -> bool:
        """Whether another event is nearer to the end than the event that is known."""

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Keep the value if its event is nearer to the end."""
        text = str(value)
        if self.text is not None:
            if at_ms == self.at_ms and event_id == self.event_id:
                if text <= self.text:
                    return
            elif not self._replaces(at_ms, event_id):
                return
        self.at_ms, self.event_id, self.text, self._has_changed = at_ms, event_id, text, True

    def merge(self, other: Self) -> None:
        """Add the event of the other."""
        if other.text is not None:
            self.add(other.text, other.at_ms, other.event_id)

    def changes(self) -> dict[str, Chunk | None]:
        """The event: "<time> <characters of the id> <id><value>". The length makes any text unambiguous."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        event = f"{self.at_ms} {len(self.event_id)} {self.event_id}{self.text}"
        return {_EVENT: event.encode("utf-8", "surrogatepass")}

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the event."""
        event = chunks.get(_EVENT)
        if isinstance(event, bytes):
            at_ms, length, texts = event.decode("utf-8", "surrogatepass").split(" ", 2)
            self.at_ms, self.event_id, self.text = int(at_ms), texts[: int(length)], texts[int(length) :]

    def result(self) -> Result:
        """The value; None without events."""
        return self.text


class First(_ByTime):
    """The value of the earliest event, of the smallest id among the earliest."""

    __slots__ = ()

    def _replaces(self, at_ms: int, event_id: str) -> bool:
        return at_ms < self.at_ms or (at_ms == self.at_ms and event_id < self.event_id)


class Last(_ByTime):
    """The value of the latest event, of the largest id among the latest."""

    __slots__ = ()

    def _replaces(self, at_ms: int, event_id: str) -> bool:
        return at_ms > self.at_ms or (at_ms == self.at_ms and event_id > self.event_id)
