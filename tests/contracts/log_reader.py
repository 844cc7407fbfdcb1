"""What every log reader must do."""

from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.ports.log_reader import LogReader


class LogReaderContract:
    """An empty log of three partitions, and its reader."""

    publisher: EventPublisher
    reader: LogReader

    def read(self, partition: int, begin: int, end: int) -> list[tuple[int, int, bytes]]:
        return [(record.partition, record.position, record.value) for record in self.reader.read(partition, begin, end)]

    def test_a_range_of_a_partition_is_read_in_order(self) -> None:
        for partition in (0, 1):
            self.publisher.publish([Outgoing(b"k", b"%d" % number, partition=partition) for number in range(10)])
        assert self.read(1, 3, 6) == [(1, 3, b"3"), (1, 4, b"4"), (1, 5, b"5")]
        assert self.read(1, 8, 10) == [(1, 8, b"8"), (1, 9, b"9")]
        assert self.read(1, 3, 3) == self.read(2, 0, 0) == []

    def test_records_are_read_whole_and_read_again(self) -> None:
        self.publisher.publish([Outgoing(None, b"\xff\x00", "file:1", partition=0)])
        for _ in range(2):
            (record,) = self.reader.read(0, 0, 1)
            assert (record.key, record.value, record.origin) == (None, b"\xff\x00", "file:1")

    def test_many_records_are_read(self) -> None:
        self.publisher.publish([Outgoing(b"k", b"%d" % number, partition=0) for number in range(4_500)])
        assert [position for _, position, _ in self.read(0, 1, 4_500)] == list(range(1, 4_500))
