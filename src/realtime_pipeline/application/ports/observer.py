"""Where a worker is in its round: for measuring it, and for killing it at every step in tests."""

from abc import ABC, abstractmethod
from enum import StrEnum


class Stage(StrEnum):
    """The steps of a round, in order, and those of a publication."""

    FETCHED = "fetched"
    DECODED = "decoded"
    LOADED = "loaded"
    FOLDED = "folded"
    WRITTEN = "written"
    """A commit is written down for the store, which need not have it yet."""
    COMMITTING = "committing"
    """Amid committing: inside of a transaction, or after some cells and before others."""
    COMMITTED = "committed"
    MERGED = "merged"
    OUTPUTS_SENT = "outputs_sent"
    """The outputs are in an open transaction; their positions are not."""
    POSITIONS_SENT = "positions_sent"
    """Outputs and positions are in an open transaction."""
    EMITTED = "emitted"
    TRIMMING = "trimming"
    """Readers have reported where they stand; the entries they have are not trimmed yet."""
    ROUND_DONE = "round_done"
    APPENDED = "appended"
    """Published records are written, and not yet acknowledged to the caller."""
    ACKNOWLEDGED = "acknowledged"
    SNAPSHOTTING = "snapshotting"
    """A piece of a snapshot is written, in an open transaction."""
    LOG_TRIMMING = "log_trimming"
    """Old records are removed from the log, in an open transaction."""
    BACKING_UP = "backing_up"
    """A part of a backup is written."""


class StageObserver(ABC):
    """Is told of each step as it ends."""

    @abstractmethod
    def reached(self, stage: Stage, records: int) -> None:
        """A step over so many records is done."""


class NoObserver(StageObserver):
    """Nobody is looking."""

    def reached(self, stage: Stage, records: int) -> None:
        """Go on."""
