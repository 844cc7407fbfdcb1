"""The most frequent values."""

from bisect import insort
from collections.abc import Mapping
from heapq import nsmallest
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.distinct import hash_64
from realtime_pipeline.domain.analytics.measures.measure import Measure

_OTHER: Final = "other"
_VALUE: Final = "="
"""Begins the name of a value's chunk, so that no value is taken for `other`."""
OTHER_NAME: Final = "(other)"


class Top(Accumulator):
    """The most frequent values of at most `entries_max`, which are counted exactly; all others are counted together.

    Counted are the values with the smallest hashes, a bottom-k sketch of the values: Cohen and Kaplan 2007,
    "Summarizing data using bottom-k sketches", section 1. Once there are `entries_max` of them, the largest hash among
    them can only fall. So a value that was refused or evicted never returns, and each counted value has been counted
    from its first event on. A value outside the sketch has no entry of its own, however frequent it is.
    """

    reads = Reads.TEXT
    __slots__ = ("_by_hash", "_changed", "_entries_max", "_limit", "_other_has_changed", "counts", "other")

    def __init__(self, measure: Measure) -> None:
        self._limit, self._entries_max = measure.limit, measure.entries_max
        self.counts: dict[str, int] = {}
        self.other, self._other_has_changed = 0, False
        self._by_hash: list[tuple[int, str]] = []  # the counted values; stays empty until a value finds no room
        self._changed: dict[str, bool] = {}  # value -> whether its chunk has yet to be stored for the first time

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Count a value."""
        text = str(value)
        if text in self.counts:
            self.counts[text] += 1
            self._changed.setdefault(text, False)
        else:
            self._add_unknown(text, 1)

    def merge(self, other: Self) -> None:
        """Add the other counts; of the union, the values with the smallest hashes stay."""
        for text, number in other.counts.items():
            if text in self.counts:
                self.counts[text] += number
                self._changed.setdefault(text, False)
            else:
                self._add_unknown(text, number)
        if other.other:
            self._add_other(other.other)

    def _add_unknown(self, text: str, number: int) -> None:
        if len(self.counts) >= self._entries_max:
            if not self._by_hash:
                self._by_hash = sorted((hash_64(counted), counted) for counted in self.counts)
            entry = hash_64(text), text  # the text decides between equal hashes
            if entry > self._by_hash[-1]:
                self._add_other(number)
                return
            self._evict(self._by_hash.pop()[1])
            insort(self._by_hash, entry)
        self.counts[text], self._changed[text] = number, True

    def _evict(self, text: str) -> None:
        self._add_other(self.counts.pop(text))
        if self._changed.get(text):
            del self._changed[text]  # nothing of it was stored
        else:
            self._changed[text] = False

    def _add_other(self, number: int) -> None:
        self.other += number
        self._other_has_changed = True

    def changes(self) -> dict[str, Chunk | None]:
        """The count of each changed value, None if it was evicted, and the count of the other events."""
        changes: dict[str, Chunk | None] = {f"{_VALUE}{text}": self.counts.get(text) for text in self._changed}
        self._changed.clear()
        if self._other_has_changed:
            self._other_has_changed = False
            changes[_OTHER] = self.other
        return changes

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over all counts."""
        self.counts = {name.removeprefix(_VALUE): int(count) for name, count in chunks.items() if name != _OTHER}
        self.other = int(chunks.get(_OTHER, 0))

    def result(self) -> Result:
        """The `limit` largest counts, equal ones by value; last the other events, if any. None without events."""
        if not self.counts:
            return None
        entries = nsmallest(self._limit, self.counts.items(), key=lambda entry: (-entry[1], entry[0]))
        return [*entries, (OTHER_NAME, self.other)] if self.other else entries
