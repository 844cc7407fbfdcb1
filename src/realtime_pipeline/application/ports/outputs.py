"""Outputs: dead letters, late events, and records that a fold appends to the log, each emitted once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import attrs

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent


@attrs.frozen
class Emission:
    """The outputs of the records [from, to) of one partition.

    Earlier dead letters and late events of customers `forgotten` in this range are retracted first, where the
    technology can. `outgoing` are records to append to the log.
    """

    partition: int
    epoch: int
    from_position: int
    to_position: int
    dead_letters: tuple[DeadLetter, ...]
    forgotten: frozenset[CustomerId] = frozenset()
    outgoing: tuple[Outgoing, ...] = ()
    late_events: tuple[LateEvent, ...] = ()

    @property
    def size(self) -> int:
        """The number of outputs."""
        return len(self.dead_letters) + len(self.late_events) + len(self.outgoing)


Search: TypeAlias = Callable[[Sequence[Emission], int], int | None]
"""Searches all outputs since a time (ms) for emissions of one partition: returns the position up to which they were
emitted; None where that cannot be found any more."""

RecoverPosition: TypeAlias = Callable[[Search], int]
"""Recovers from the store the position up to which outputs were emitted."""


def nothing_emitted(_search: Search) -> int:
    """The recovered position of a new partition."""
    return 0


class Outputs(ABC):
    """Emits outputs together with the position that they advance their partition to, so that nothing is emitted twice.

    Only workers use it, each for its own partitions, from one thread: `claim` when a partition is assigned and after
    every failure, `emit` at most every `linger_ms` under load, `positions` once a second. All block until the outputs
    are durable or the position is read; each may raise `Unreachable`.
    """

    @property
    @abstractmethod
    def linger_ms(self) -> int:
        """For how long emissions may be buffered, where a call is expensive; 0: emit at once."""

    @property
    @abstractmethod
    def can_retract(self) -> bool:
        """Whether dead letters and late events of forgotten customers are retracted; elsewhere the retention deletes
        them."""

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch by which the partition's outputs were claimed, as far as this process knows; else 0."""

    @abstractmethod
    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Fence earlier owners off, then read the position up to which outputs were emitted.

        Where the position was never written, or was deleted, `recover` finds it, and it is written again.

        Raises:
            Fenced: a larger epoch has claimed the partition's outputs already.
            UnrecoverableState: the position cannot be recovered.
        """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions up to which outputs were emitted."""

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read positions as workers have committed them; None where there is none, or another tool has written it."""
        return self.positions(partitions)

    @abstractmethod
    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write outputs and positions, at most one emission for each partition, each all or nothing.

        Raises:
            Fenced: an epoch is not the owner's; nothing of that partition was written.
            PositionMismatch: the outputs of a partition are not at `from_position`; nothing of it was written.
            Unreachable: it is not known what was written.
        """

    @abstractmethod
    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position."""

    @abstractmethod
    def late_events(self, limit: int) -> Sequence[LateEvent]:
        """The first late events, by partition and position."""


class GroupOutputs(Outputs):
    """Outputs whose positions are the committed offsets of a consumer group, which other tools may delete or change."""

    @abstractmethod
    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        """Search all outputs since a time for emissions: see `Search`."""

    @abstractmethod
    def restore(self, positions: Mapping[int, int]) -> None:
        """Write positions where none are committed, while no worker runs."""
