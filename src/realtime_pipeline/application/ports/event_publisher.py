"""The log of events, as producers write it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Outgoing:
    """A record on its way: routed by `partition` where that is set, else by key, else by its own bytes."""

    key: bytes | None
    value: bytes
    origin: str | None = None
    partition: int | None = None


class EventPublisher(ABC):
    """Appends records. Records of one key stay in the order given."""

    @property
    @abstractmethod
    def partitions(self) -> int:
        """Into how many partitions the log is cut."""

    @abstractmethod
    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records; on return they are durable and will be read, whatever is killed.

        Returns, for each partition that got any, the position after the last of them; 0 where the log does not say.
        Blocks while the log cannot take more; never drops.

        Raises:
            Unavailable: the log did not take them all; some may have been taken. Publishing the same events
                again is safe where they carry ids.
        """
