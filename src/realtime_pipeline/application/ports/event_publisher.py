"""EventPublisher: the log of events, as producers write it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Outgoing:
    """A record to append: routed by `partition` where that is set, else by key, else by its own bytes."""

    key: bytes | None
    value: bytes
    origin: str | None = None
    partition: int | None = None


class EventPublisher(ABC):
    """Appends records. Records of one key stay in order. Any thread, and any number of processes, may publish."""

    @property
    @abstractmethod
    def partitions(self) -> int:
        """The number of partitions of the log."""

    @abstractmethod
    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records; on return they are durable and will be consumed, whatever is killed.

        Returns the position after the last record appended to each partition; 0 where the log does not give it. Blocks
        while the log applies back-pressure; drops nothing.

        Raises:
            Unavailable: the log did not acknowledge all records; some may be appended. Publishing the same events again
                is safe where they carry ids.
        """
