"""What the pipeline says to the world beside its views."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import attrs

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter


@attrs.frozen
class Emission:
    """The outputs of the records [from, to) of one partition.

    Earlier dead letters of the partition that belong to a customer `forgotten` in this range are taken back first.
    `outgoing` are records to append to the log.
    """

    partition: int
    epoch: int
    from_position: int
    to_position: int
    dead_letters: tuple[DeadLetter, ...]
    forgotten: frozenset[CustomerId] = frozenset()
    outgoing: tuple[Outgoing, ...] = ()


Search: TypeAlias = Callable[[Sequence[Emission], int], int | None]
"""Looks for emissions of one partition among all that was put out since a time (ms): answers with the position up to
which they were emitted; None where that cannot be told any more."""

RecoverPosition: TypeAlias = Callable[[Search], int]
"""Tells from the store up to which position outputs were emitted."""


def nothing_emitted(_search: Search) -> int:
    """What is recalled of a partition that is new."""
    return 0


class Outputs(ABC):
    """Takes outputs together with the position they bring their partition to, so that nothing is said twice."""

    @property
    @abstractmethod
    def linger_ms(self) -> int:
        """For how long emissions may be gathered, where each call is dear; 0: emit at once."""

    @property
    @abstractmethod
    def can_retract(self) -> bool:
        """Whether the dead letters of who is forgotten are taken back; elsewhere their retention ends them."""

    @abstractmethod
    def epoch(self, partition: int) -> int:
        """The largest epoch by which the partition's outputs were claimed, as far as this process knows; else 0."""

    @abstractmethod
    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Shut earlier owners out, then read up to which position outputs were emitted.

        Where that was never written, or was deleted, `recall` says it, and it is written again.

        Raises:
            Fenced: a larger epoch has claimed the partition's outputs already.
            UnrecoverableState: it cannot be recalled.
        """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read up to which position outputs were emitted."""

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read positions as workers have written them; None where none is there, or another tool has written it."""
        return self.positions(partitions)

    @abstractmethod
    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write outputs and positions, at most one emission a partition; each is written whole or not at all.

        Where nothing can be taken back, its retention ends it.

        Raises:
            Fenced: some epoch is not its owner's; nothing of that partition was written.
            PositionMismatch: the outputs of some partition do not stand at `from`; nothing of it was written.
            Unreachable: what was written is not known.
        """

    @abstractmethod
    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position."""


class GroupOutputs(Outputs):
    """Outputs whose positions lie with a group of workers, where other tools may delete or change them."""

    @abstractmethod
    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        """Look for emissions among all that was put out since a time: see `Search`."""

    @abstractmethod
    def restore(self, positions: Mapping[int, int]) -> None:
        """Write positions where none are known, while no worker runs."""
