"""StageObserver: is called at every step of a round, for metrics and traces, and to inject faults in tests."""

from abc import ABC, abstractmethod
from enum import StrEnum


class Stage(StrEnum):
    """The steps of a round, in order, and those of a publication."""

    FETCHED = "fetched"
    DECODED = "decoded"
    LOADED = "loaded"
    FOLDED = "folded"
    WRITTEN = "written"
    """A commit is encoded for the store, which need not have it yet."""
    COMMITTING = "committing"
    """In the middle of committing: inside of a transaction, or after some cells and before others."""
    COMMITTED = "committed"
    MERGED = "merged"
    OUTPUTS_SENT = "outputs_sent"
    """The outputs are in an open transaction; their positions are not."""
    POSITIONS_SENT = "positions_sent"
    """Outputs and positions are in an open transaction."""
    EMITTED = "emitted"
    TRIMMING = "trimming"
    """Views and outputs have reported their positions; the entries that they have are not trimmed yet."""
    ROUND_DONE = "round_done"
    APPENDED = "appended"
    """Published records are appended, and not yet acknowledged to the caller."""
    ACKNOWLEDGED = "acknowledged"
    SNAPSHOTTING = "snapshotting"
    """A piece of a snapshot is written, in an open transaction."""
    LOG_TRIMMING = "log_trimming"
    """Old records are removed from the log, in an open transaction."""
    SOURCE_READ = "source_read"
    """Records of a source are read, and not published yet."""
    SOURCE_PUBLISHED = "source_published"
    """Records of a source are published with its positions, and not acknowledged to the source yet."""
    BACKING_UP = "backing_up"
    """A part of a backup is written."""


class StageObserver(ABC):
    """Is called as each step ends, in the thread that made the step: up to some thousand times a second.

    It must return at once. What it raises ends the round as a crash at that step would: tests inject faults so; metrics
    and traces must raise nothing.
    """

    @abstractmethod
    def reached(self, stage: Stage, records: int) -> None:
        """A step has ended; `records` is how many records it was for, or 0 where it counts something else."""


class NoObserver(StageObserver):
    """Observes nothing."""

    def reached(self, stage: Stage, records: int) -> None:
        """Do nothing."""
