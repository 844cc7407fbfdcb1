"""Where a worker is in its round: for measuring it, and for killing it at every step in tests."""

from abc import ABC, abstractmethod
from enum import StrEnum


class Stage(StrEnum):
    """The steps of a round, in order, and those of a publication."""

    FETCHED = "fetched"
    DECODED = "decoded"
    LOADED = "loaded"
    FOLDED = "folded"
    COMMITTING = "committing"
    """Inside a commit: some of its writes are made, not all."""
    COMMITTED = "committed"
    MERGED = "merged"
    EMITTED = "emitted"
    ROUND_DONE = "round_done"
    APPENDED = "appended"
    """Published records are written, and not yet acknowledged to the caller."""
    ACKNOWLEDGED = "acknowledged"


class Stages(ABC):
    """Is told of each step as it ends."""

    @abstractmethod
    def reached(self, stage: Stage, records: int) -> None:
        """A step over so many records is done."""


class Unwatched(Stages):
    """Nobody is looking."""

    def reached(self, stage: Stage, records: int) -> None:
        """Go on."""
