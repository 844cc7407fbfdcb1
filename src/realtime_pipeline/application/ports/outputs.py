"""What the pipeline says to the world beside its views."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs

from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter


@attrs.frozen
class Emission:
    """The outputs of the records [from, to) of one partition.

    Earlier dead letters of the partition that belong to a customer `forgotten` in this range are taken back first.
    """

    partition: int
    epoch: int
    from_position: int
    to_position: int
    dead_letters: tuple[DeadLetter, ...]
    forgotten: frozenset[CustomerId] = frozenset()


class Outputs(ABC):
    """Takes outputs together with the position they bring their partition to, so that nothing is said twice."""

    @abstractmethod
    def claim(self, partition: int, epoch: int) -> int:
        """Shut earlier owners out, then read up to which position outputs were emitted.

        Raises:
            Fenced: a larger epoch has claimed the partition's outputs already.
        """

    @abstractmethod
    def emit(self, emission: Emission) -> None:
        """Write outputs and position, all or nothing. Where nothing can be taken back, its retention ends it.

        Raises:
            Fenced: the epoch is not the owner's; nothing was written.
            Superseded: the outputs do not stand at `from`; nothing was written.
        """

    @abstractmethod
    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position."""
