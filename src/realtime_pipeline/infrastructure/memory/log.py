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
    """Keeps a list of records for each partition. Any number of `MemoryEventLog`s may read it."""

    def __init__(self, partitions: int, clock: Clock) -> None:
        self.identity = LogIdentity(uuid4().hex, partitions, CONSISTENT)
        self.records: list[list[Record]] = [[] for _ in range(partitions)]
        self.appended = Condition()
        self.source_positions: dict[str, dict[str, str]] = {}
        self.source_epochs: dict[str, int] = {}
        self._clock = clock

    @property
    def partitions(self) -> int:
        """The number of partitions."""
        return self.identity.partitions

    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records; return the end of each partition written to."""
        ends: dict[int, int] = {}
        with self.appended:
            now_ms = self._clock.now_ms()
            for record in records:
                partition = record.partition
                if partition is None:
                    partition = partition_for(record.value if record.key is None else record.key, self.partitions)
                records_of = self.records[partition]
                records_of.append(Record(partition, len(records_of), record.key, record.value, now_ms, record.origin))
                ends[partition] = len(records_of)
            self.appended.notify_all()
        return ends


class MemoryEventLog(EventLog):
    """Reads a `MemoryLog`: all partitions, or the partitions given."""

    def __init__(self, log: MemoryLog, partitions: Collection[int] | None = None) -> None:
        self._log = log
        self._partitions = list(range(log.partitions)) if partitions is None else list(partitions)
        self._listener: RebalanceListener | None = None
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    @property
    def identity(self) -> LogIdentity:
        """The identity of the log."""
        return self._log.identity

    def subscribe(self, listener: RebalanceListener) -> None:
        """Assign the partitions to a listener at the next poll."""
        self._listener = listener

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read records; wait up to the timeout for another thread to publish some."""
        if self._listener is not None:
            self._positions.update(self._listener.on_assigned(self._partitions))
            self._listener = None
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
        """Do nothing: a log in memory stays the same log."""

    def consumed_position(self, partition: int) -> int:
        """The position of the next record to read of a partition."""
        return self._positions.get(partition, 0)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Continue reading at other positions."""
        self._positions.update(positions)

    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions."""
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again."""
        self._paused -= set(partitions)

    def workers(self) -> int:
        """Return 0: no other process shares the log."""
        return 0

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """Return the first position and the end of each partition."""
        return {partition: (0, len(self._log.records[partition])) for partition in partitions}
