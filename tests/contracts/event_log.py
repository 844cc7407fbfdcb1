"""What every log and its publisher must do."""

import time
from collections.abc import Collection, Mapping

from realtime_pipeline.application.ports.event_log import EventLog, RebalanceListener
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.routing import partition_for
from realtime_pipeline.domain.streams.records import Record
from tests.support.histories import NOW_MS

PARTITIONS = 3


class Owner(RebalanceListener):
    """Answers assignments with given positions, and remembers its partitions."""

    def __init__(self, positions: Mapping[int, int] | None = None) -> None:
        self.held: set[int] = set()
        self._positions = positions or {}

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        self.held |= set(partitions)
        return {partition: self._positions.get(partition, 0) for partition in partitions}

    def on_revoked(self, partitions: Collection[int]) -> None:
        self.held -= set(partitions)


class LateOwner(Owner):
    """Does not know the positions at the assignment."""

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        self.held |= set(partitions)
        return {}


class EventLogContract:
    """An empty log of three partitions.

    After `patience_s` without a record, the log is read to its end. Each `turn_records` records include some of each
    partition.
    """

    log: EventLog
    publisher: EventPublisher
    patience_s = 0.0
    turn_records = 30

    def all(self, owner: Owner, limit: int = 100) -> list[Record]:
        self.log.subscribe(owner)
        deadline_s = time.monotonic() + 30
        records: list[Record] = []
        while True:
            polled = self.log.poll(limit, self.patience_s)
            assert len(polled) <= limit
            assert time.monotonic() < deadline_s, "no partition was assigned"
            if not polled and len(owner.held) == PARTITIONS and self.is_read(owner):
                return records
            records += polled

    def is_read(self, owner: Owner) -> bool:
        """Whether all partitions of the owner were read to their ends."""
        return all(
            self.log.consumed_position(number) >= end
            for number, (_, end) in self.log.bounds(sorted(owner.held)).items()
        )

    def is_now(self, at_ms: int) -> bool:
        """Whether the log's clock may have shown this time."""
        return at_ms == NOW_MS

    def test_a_single_worker_is_assigned_all_partitions(self) -> None:
        owner = Owner()
        assert self.all(owner) == []
        assert owner.held == {0, 1, 2}
        assert (self.log.identity.partitions, self.publisher.partitions) == (3, 3)

    def test_publishing_returns_the_ends_of_partitions_and_so_does_the_log(self) -> None:
        assert self.log.ends([0, 1, 2]) == {0: 0, 1: 0, 2: 0}
        assert self.publisher.publish([Outgoing(None, b"x", partition=number) for number in (0, 2, 2)]) == {0: 1, 2: 2}
        assert self.publisher.publish([Outgoing(None, b"y", partition=2)]) == {2: 3}
        assert self.log.ends([0, 1, 2]) == {0: 1, 1: 0, 2: 3}

    def test_a_partition_that_is_claimed_later_is_read_from_its_position_and_skips_no_record(self) -> None:
        self.publisher.publish([Outgoing(b"%d" % number, b"%d" % number) for number in range(60)])
        owner = LateOwner()
        self.log.subscribe(owner)
        deadline_s = time.monotonic() + 30
        while len(owner.held) < PARTITIONS:
            assert self.log.poll(1, 0) == []
            assert time.monotonic() < deadline_s, "no partition was assigned"
        self.log.seek(dict.fromkeys(range(PARTITIONS), 1))
        self.log.resume(range(PARTITIONS))
        found: dict[int, list[int]] = {}
        until_s = time.monotonic() + 3 * self.patience_s
        while not self.is_read(owner) or time.monotonic() < until_s:
            for record in self.log.poll(100, self.patience_s):
                found.setdefault(record.partition, []).append(record.position)
            assert time.monotonic() < deadline_s
        ends = {number: end for number, (_, end) in self.log.bounds(range(PARTITIONS)).items()}
        assert found == {number: list(range(1, end)) for number, end in ends.items()}

    def test_records_are_read_as_they_were_written(self) -> None:
        self.publisher.publish([Outgoing(b"ada", b"one", "file:1"), Outgoing(None, b"\xff\x00")])
        read = {record.value: record for record in self.all(Owner())}
        ada = partition_for(b"ada", PARTITIONS)
        nobody = partition_for(b"\xff\x00", PARTITIONS)
        assert read[b"one"]._replace(appended_at_ms=0) == Record(ada, 0, b"ada", b"one", 0, "file:1")
        garbage = Record(nobody, int(ada == nobody), None, b"\xff\x00", 0, None)
        assert read[b"\xff\x00"]._replace(appended_at_ms=0) == garbage
        assert all(self.is_now(record.appended_at_ms) for record in read.values())

    def test_the_consumed_position_reaches_the_end_of_a_partition(self) -> None:
        self.publisher.publish([Outgoing(f"{number}".encode(), b"v") for number in range(9)])
        assert [self.log.consumed_position(partition) for partition in range(PARTITIONS)] == [0, 0, 0]
        self.all(Owner())
        ends = {partition: end for partition, (_, end) in self.log.bounds(range(PARTITIONS)).items()}
        deadline_s = time.monotonic() + 30
        while any(self.log.consumed_position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline_s, "the position does not reach the end"
            assert list(self.log.poll(10, 0.1)) == []
        self.log.seek({0: 0})
        assert self.log.consumed_position(0) == 0

    def test_records_of_a_key_stay_in_order(self) -> None:
        values = [f"{number}".encode() for number in range(50)]
        for begin in range(0, 50, 10):
            self.publisher.publish([Outgoing(b"ada", value) for value in values[begin : begin + 10]])
        read = self.all(Owner(), limit=7)
        assert [record.value for record in read] == values
        assert [record.position for record in read] == list(range(50))

    def test_a_record_goes_to_the_partition_it_names(self) -> None:
        self.publisher.publish([Outgoing(b"ada", b"x", partition=number) for number in range(PARTITIONS)])
        assert sorted(record.partition for record in self.all(Owner())) == [0, 1, 2]

    def test_reading_begins_where_the_owner_says(self) -> None:
        self.publisher.publish([Outgoing(b"k", f"{number}".encode(), partition=1) for number in range(5)])
        assert [record.position for record in self.all(Owner({1: 3}))] == [3, 4]

    def test_seeking_reads_again(self) -> None:
        self.publisher.publish([Outgoing(b"k", f"{number}".encode(), partition=1) for number in range(5)])
        self.all(Owner())
        self.log.seek({1: 2})
        assert [record.position for record in self.more(3)] == [2, 3, 4]

    def test_a_paused_partition_waits(self) -> None:
        self.all(Owner())
        self.log.pause([1])
        self.publisher.publish([Outgoing(b"k", b"x", partition=1), Outgoing(b"k", b"y", partition=2)])
        assert [record.value for record in self.more(1)] == [b"y"]
        assert list(self.log.poll(10, self.patience_s)) == []
        self.log.resume([1])
        assert [record.value for record in self.more(1)] == [b"x"]

    def more(self, records: int) -> list[Record]:
        """Read this many more records."""
        read: list[Record] = []
        deadline_s = time.monotonic() + 10
        while len(read) < records and time.monotonic() < deadline_s:
            read += self.log.poll(10, self.patience_s)
        return read

    def test_records_published_after_a_poll_are_read(self) -> None:
        assert self.all(Owner()) == []
        self.publisher.publish([Outgoing(b"ada", b"late")])
        assert [record.value for record in self.more(1)] == [b"late"]

    def test_every_partition_is_polled(self) -> None:
        for partition in range(PARTITIONS):
            self.publisher.publish([Outgoing(b"k", b"x", partition=partition)] * 100)
        assert {record.partition for record in self.all(Owner(), limit=30)} == {0, 1, 2}
        self.log.seek({0: 0, 1: 0, 2: 0})
        assert {record.partition for record in self.more(self.turn_records)} == {0, 1, 2}

    def test_bounds_are_the_first_position_and_the_end(self) -> None:
        self.publisher.publish([Outgoing(b"k", b"x", partition=1)] * 4)
        assert self.log.bounds([0, 1]) == {0: (0, 0), 1: (0, 4)}
