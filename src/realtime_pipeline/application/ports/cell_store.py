"""Cells: one partition's customers, sessions and position, changed together by whoever owns the partition."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import attrs

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter, Effects
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas


@attrs.frozen
class OutboxEntry:
    """What a commit owes its readers (the views and the outputs): exactly the records in [from, to).

    `outgoing` are records for the log: what its customers' folds have to say to others. `at_ms` is when it was made, by
    its worker's clock: an entry goes when it is old enough, whoever owns it then.
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
        """What this commit owes its readers."""
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
        )


@attrs.frozen
class OwnerNotes:
    """What a cell's owner has seen, and wrote down for whoever comes after.

    Outputs of all records before `emitted` were emitted. The log holds no record in [`empty_from`, `empty_to`): only
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
    """Keeps cells. Whatever is killed, a cell holds the effects of a whole number of commits.

    Writing goes: `claim` once, then `load_customers` and `commit` again and again. Reading is open to everybody and
    sees whole commits only. Every method may raise `Unreachable` where the store is across a network.
    """

    @property
    @abstractmethod
    def commit_records_max(self) -> int:
        """How many records a commit may cover, so that no commit holds readers up for long."""

    @abstractmethod
    def bind(self, identity: LogIdentity) -> None:
        """Tie the store to a log, the first time; check it, every other time.

        Raises:
            WrongLog: the store was built from another log.
        """

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch written to the cell; 0 for one that was never claimed."""

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read where cells stand; 0 for one that was never claimed."""

    @abstractmethod
    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, so that no earlier owner can change the cell any more, then read where it stands.

        Raises:
            Fenced: the cell has this epoch or a larger one already.
        """

    @abstractmethod
    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the customers wanted of each partition: a blank one where nothing is kept.

        One who was forgotten knows when.
        """

    @abstractmethod
    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the entries that end after a position, in order; some at a time."""

    @abstractmethod
    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit: effects, position, watermark, counts and the entry for the readers, all or nothing.

        Each commit stands for itself, those of one cell in order. They are taken one at a time, and nothing of one is
        looked at after the next was taken: by then its customers have changed. Returns how many bytes of the store
        the entry of each takes until it is trimmed; 0 where none is kept.

        Raises:
            Fenced: epoch, position or number of some commit are not its cell's, which was not changed by it; those
                after it may not have been looked at.
        """

    @abstractmethod
    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Let go of entries that end at or before a position: every reader has them. A stale epoch is ignored."""

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write down what owners have seen of their partitions. It stays true, so an earlier owner may write it too.

        Does nothing where cells and outputs are one database, which forgets neither.
        """
        _ = notes

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read what an owner wrote down last."""
        _ = partition
        return OwnerNotes()

    @abstractmethod
    def erase(self) -> None:
        """Delete all cells and all that lies in them; the store still belongs to its log."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make one transaction of a round's commits, merges and emissions, where they all lie in one database.

        Leaving by an exception then undoes them all. Elsewhere this does nothing, and each step stands alone.
        """
        return nullcontext()
