"""The log in memory."""

from collections.abc import Collection, Mapping, Sequence
from threading import Condition
from uuid import uuid4

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_log import EventLog, LogIdentity, RebalanceListener
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.routing import CONSISTENT, partition_for
from realtime_pipeline.domain.streams.records import Record


class MemoryLog(EventPublisher):
    """Lists of records, one a partition. Any number of `MemoryEventLog`s may read it."""

    def __init__(self, partitions: int, clock: Clock) -> None:
        self.identity = LogIdentity(uuid4().hex, partitions, CONSISTENT)
        self.records: list[list[Record]] = [[] for _ in range(partitions)]
        self.appended = Condition()
        self._clock = clock

    @property
    def partitions(self) -> int:
        """Into how many partitions the log is cut."""
        return self.identity.partitions

    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records, as `EventPublisher.publish`."""
        ends: dict[int, int] = {}
        with self.appended:
            now_ms = self._clock.now_ms()
            for record in records:
                partition = record.partition
                if partition is None:
                    partition = partition_for(record.value if record.key is None else record.key, self.partitions)
                kept = self.records[partition]
                kept.append(Record(partition, len(kept), record.key, record.value, now_ms, record.origin))
                ends[partition] = len(kept)
            self.appended.notify_all()
        return ends


class MemoryEventLog(EventLog):
    """Reads a `MemoryLog`: all its partitions, or those given."""

    def __init__(self, log: MemoryLog, partitions: Collection[int] | None = None) -> None:
        self._log = log
        self._wanted = list(range(log.partitions)) if partitions is None else list(partitions)
        self._owner: RebalanceListener | None = None
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._log.identity

    def subscribe(self, listener: RebalanceListener) -> None:
        """Take the partitions at the next poll."""
        self._owner = listener

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read records, waiting for another thread to publish some."""
        if self._owner is not None:
            self._positions.update(self._owner.on_assigned(self._wanted))
            self._owner = None
        with self._log.appended:
            self._log.appended.wait_for(self._has_more, timeout_s)
            return self._read(limit)

    def _has_more(self) -> bool:
        return any(position < len(self._log.records[number]) for number, position in self._reading())

    def _reading(self) -> list[tuple[int, int]]:
        return [(number, position) for number, position in self._positions.items() if number not in self._paused]

    def _read(self, limit: int) -> list[Record]:
        polled: list[Record] = []
        reading = self._reading()
        share = max(1, limit // max(1, len(reading)))
        for partition, position in reading:
            records = self._log.records[partition][position : position + min(share, limit - len(polled))]
            self._positions[partition] += len(records)
            polled += records
        return polled

    def verify_identity(self) -> None:
        """It is always the same log."""

    def consumed_position(self, partition: int) -> int:
        """Up to where a partition was read."""
        return self._positions.get(partition, 0)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from other positions."""
        self._positions.update(positions)

    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions."""
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again."""
        self._paused -= set(partitions)

    def workers(self) -> int:
        """A second worker takes over from the first."""
        return 0

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """The first position still held, and the one after the last, of each partition."""
        return {partition: (0, len(self._log.records[partition])) for partition in partitions}
