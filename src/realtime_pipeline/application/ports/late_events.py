"""LateEvents: late events as operators read them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator

from realtime_pipeline.domain.streams.late_events import LateEvent


class LateEvents(ABC):
    """Reads the late events that `Outputs` has emitted. Nothing changes them; they go with their retention, or with
    their customer where outputs can retract."""

    @abstractmethod
    def late_events(self, partitions: Collection[int] | None = None) -> Iterator[LateEvent]:
        """Read the late events of records of these partitions (default: of all), a bounded number at a time.

        Each is returned once, also where outputs emitted it twice because an operator had decided so. Those that are
        emitted after the iteration began are not returned. Late events of one partition come in the order of their
        positions, unless another store that was built from the same log has emitted more of them since.

        Raises:
            Unavailable: they cannot be read.
        """
