"""How far time has come by events that were imported, of which a single one may have any date."""

from collections.abc import Sequence
from typing import Final

LAST: Final = 100
"""Of so many imported events, the last, the second-newest decides."""


class ImportedTimes:
    """The times of a partition's last imported events.

    When an imported event was appended says nothing of its time: what bounds the others does not bound it. A file with
    one wrong date in it would move time to that date, and all other events would be late. So time follows the second
    newest of the last hundred. Kept are only those that can still become that: of which fewer than two later events
    have the same time or a later one.
    """

    def __init__(self, chunk: bytes = b"") -> None:
        numbers = [int(number) for number in chunk.split()]
        self._number = numbers[0] if numbers else 0
        self._kept = [(numbers[at], numbers[at + 1], numbers[at + 2]) for at in range(1, len(numbers), 3)]

    def add(self, at_ms: int) -> int | None:
        """Add an event; return the second-newest time of the last hundred, None where it is the first."""
        self._number += 1
        oldest = self._number - LAST
        kept = [
            (number, time_ms, later + (time_ms <= at_ms)) for number, time_ms, later in self._kept if number > oldest
        ]
        self._kept = [entry for entry in kept if entry[2] < 2]
        self._kept.append((self._number, at_ms, 0))
        return second_largest([time_ms for _, time_ms, _ in self._kept])

    def chunk(self) -> bytes:
        """Write it as decimal numbers: how many there were; of each event kept its number, its time, and how many later
        ones have the same time or a later one."""
        return " ".join(str(number) for entry in ((self._number,), *self._kept) for number in entry).encode()


def second_largest(times_ms: Sequence[int]) -> int | None:
    """The second-largest of some times; None where there are not two."""
    return sorted(times_ms)[-2] if len(times_ms) > 1 else None
