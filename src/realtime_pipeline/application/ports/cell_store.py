"""CellStore: the owner's side of cells. A cell is one partition's customers, sessions, position and outbox."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import attrs

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter, Effects
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas


@attrs.frozen
class OutboxEntry:
    """What a commit has for the views and the outputs, of exactly the records in [from, to).

    `outgoing` are records for the log: messages to other customers. `at_ms` is when the entry was made, by its worker's
    clock: whoever owns the cell then trims it when it is old enough.
    """

    partition: int
    from_position: int
    to_position: int
    watermark: Watermark
    deltas: Deltas
    dead_letters: tuple[DeadLetter, ...]
    forgotten: frozenset[CustomerId]
    outgoing: tuple[Outgoing, ...] = ()
    at_ms: int = 0
    late_events: tuple[LateEvent, ...] = ()

    @property
    def has_outputs(self) -> bool:
        """Whether there is anything to emit."""
        return bool(self.dead_letters or self.late_events or self.outgoing)


@attrs.frozen
class Commit:
    """The effects of the records in [from, to) of one partition, with the right to write them."""

    partition: int
    epoch: int
    number: int
    from_position: int
    to_position: int
    watermark: Watermark
    effects: Effects
    outgoing: tuple[Outgoing, ...] = ()
    at_ms: int = 0

    @property
    def entry(self) -> OutboxEntry:
        """The outbox entry of this commit."""
        return OutboxEntry(
            self.partition,
            self.from_position,
            self.to_position,
            self.watermark,
            self.effects.deltas,
            self.effects.dead_letters,
            self.effects.letters_forgotten,
            self.outgoing,
            self.at_ms,
            self.effects.late_events,
        )


@attrs.frozen
class OwnerNotes:
    """What a cell's owner has observed, written for its successor.

    Outputs of all records before `emitted` were emitted. The log has no record in [`empty_from`, `empty_to`): only
    marks that end transactions, behind the last record folded.
    """

    emitted: int = 0
    empty_from: int = 0
    empty_to: int = 0


@attrs.frozen
class ClaimedCell:
    """A cell as its new owner finds it. `number` is that of the last commit."""

    position: int
    number: int
    watermark: Watermark


class CellStore(ABC):
    """Stores cells. Whatever is killed, a cell has the effects of a whole number of commits.

    Only the worker that owns a partition uses it, from one thread: `bind` once, `claim` when the partition is assigned
    and after every failure, then `load_customers` and `commit` several times a second, `positions`, `trim` and
    `write_notes` once a second. All of them block until the store has replied; each may raise `Unreachable` where the
    store is across a network. Readers use `CustomerQueries`.
    """

    @property
    @abstractmethod
    def commit_records_max(self) -> int:
        """The largest number of records of one commit, so that no commit delays readers for long."""

    @abstractmethod
    def bind(self, identity: LogIdentity) -> None:
        """Tie the store to a log, the first time; check it, every other time.

        Raises:
            WrongLog: the store was built from another log.
        """

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch written to the cell; 0 where it was never claimed."""

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells; 0 where a cell was never claimed."""

    @abstractmethod
    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, which fences earlier owners off; then read the position of the cell.

        Raises:
            Fenced: the cell has this epoch or a larger one already.
        """

    @abstractmethod
    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load customers, by partition; a blank customer where none is stored, with the time of its tombstone."""

    @abstractmethod
    def load_panes(self, wanted: Mapping[int, Collection[PaneId]]) -> Mapping[int, Mapping[PaneId, Chunks]]:
        """Load panes, by partition; a pane without chunks is empty."""

    @abstractmethod
    def purge_panes(
        self, partition: int, epoch: int, fingerprint: str, starts_ms: Collection[int], purged_ms: int
    ) -> None:
        """Delete panes of a definition, and note that panes of windows final at `purged_ms` are gone: all or nothing.

        Raises:
            Fenced: the epoch is not the owner's; nothing was deleted.
        """

    @abstractmethod
    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the outbox entries that end after a position, in order, a bounded number at a time."""

    @abstractmethod
    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit: effects, position, watermark, counts and outbox entry, all or nothing.

        Each commit is atomic by itself; those of one cell are written in order. The iterable is consumed one commit at
        a time, and nothing of a commit is read after the next was requested: by then its customers have changed.
        Returns the bytes of the store that each outbox entry takes until it is trimmed; 0 where none is stored.

        Raises:
            Fenced: epoch, position or number of some commit are not those of its cell. That commit changed nothing;
                those before it are written, those after it may not have been sent.
        """

    @abstractmethod
    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Delete outbox entries that end at or before a position; ignores a stale epoch."""

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write what owners have observed, by partition. Notes stay true, so an earlier owner may write them too.

        Does nothing where cells and outputs are one database, which loses neither.
        """
        _ = notes

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read the notes that an owner wrote last."""
        _ = partition
        return OwnerNotes()

    @abstractmethod
    def erase(self) -> None:
        """Delete all cells with everything in them; the store stays bound to its log."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make one transaction of a round's commits, merges and emissions, where all are in one database.

        An exception rolls all of them back. Elsewhere this does nothing, and each step is atomic by itself.
        """
        return nullcontext()
