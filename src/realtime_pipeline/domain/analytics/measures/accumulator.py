"""What a measure has of some events: small chunks that are stored one by one, and can be merged in any order."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.measure import Measure

Chunk = int | bytes
"""A part of a measure's state: a whole number, or at most a few hundred bytes."""
Value = int | str
"""What an event has for a measure: a number as a whole number of millionths or of the field's own unit, or text."""
Entry = tuple[str, int | float]
Result = int | float | str | Sequence[Entry] | None
"""What a measure says of a window: a number, text, or entries with a number each; None where it has nothing to say."""

CHUNK_BYTES_MAX: Final = 64
"""The aim for a chunk; an entry that has texts of an event may be larger."""


class Reads(Enum):
    """What a measure reads of an event."""

    NOTHING = "nothing"
    """Only that the event happened: the value is 1."""
    NUMBER = "a number"
    """A whole number; events without a number in the field add nothing."""
    TEXT = "a value"
    """A value as text; events without a value in the field add nothing."""
    TEST = "a test"
    """1 where the measure's `of_which` holds for the event, else 0."""


class Accumulator(ABC):
    """The state of one measure for one key of a pane.

    The state is a function of the events added, whatever their order and however they are spread over accumulators
    that are merged: `merge` is commutative and associative. Its chunks are stored each under a name of its own, so that
    a commit writes only those that have changed.
    """

    __slots__ = ()
    reads: Reads
    dimension: int = 0
    """The power of the field's unit that results have: 1 for a sum of amounts, 2 for a variance, 0 for a count."""

    @abstractmethod
    def __init__(self, measure: Measure) -> None:
        """Make an empty state; `measure` has the measure's parameters."""

    @abstractmethod
    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Add an event: its value, as `reads` says, its time and its id."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the events of another accumulator of the same measure, which stays as it is."""

    @abstractmethod
    def changes(self) -> dict[str, Chunk | None]:
        """The chunks that `add` and `merge` have changed since the last call, with their values; None: deleted."""

    @abstractmethod
    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over stored chunks, all of them, into an empty state. They are no changes."""

    @abstractmethod
    def result(self) -> Result:
        """What the measure says; numbers are in the unit of the values added, to the power `dimension`."""
