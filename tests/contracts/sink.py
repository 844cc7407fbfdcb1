"""What all sinks keep their word on."""

from collections.abc import Sequence
from threading import Barrier, Thread

import pytest

from realtime_pipeline.application.errors import PositionMismatch, WrongLog
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from tests.support.histories import NOW_MS

LOG_ID = "log-1"


def row(position: int, text: str = "") -> Row:
    """An event of ada's; its document says what is in no column."""
    event = Event(f"e{position}", EventKind.PRODUCT_VIEWED, CustomerId("ada"), NOW_MS - 1)
    document = f'{{"event_id":"e{position}","more":[1.10,"{text}"]}}'.encode()
    return Row(position, NOW_MS, event, document, f"events.jsonl:{position}")


def delivery(begin: int, end: int, *positions: int, partition: int = 0) -> Delivery:
    return Delivery(partition, begin, end, tuple(map(row, positions)))


class SinkContract:
    """An empty sink that is bound to the log `LOG_ID`."""

    sink: Sink

    def reopened(self) -> Sink:
        """The same sink, as another process opens it."""
        raise NotImplementedError

    def stored(self) -> Sequence[tuple[int, int, bytes]]:
        """Partition, position and document of all rows, by partition, as another program reads them."""
        raise NotImplementedError

    def positions_stored(self) -> list[tuple[int, int]]:
        return [(partition, position) for partition, position, _ in self.stored()]

    def test_nothing_is_delivered_at_first(self) -> None:
        assert self.sink.positions([0, 7]) == {0: 0, 7: 0}
        assert self.stored() == []

    def test_rows_and_position_are_stored_together(self) -> None:
        self.sink.write(delivery(0, 5, 1, 3))
        self.sink.write(delivery(5, 9, 5))
        assert self.sink.positions([0, 1]) == self.reopened().positions([0, 1]) == {0: 9, 1: 0}
        assert self.stored() == [(0, position, row(position).document) for position in (1, 3, 5)]

    def test_a_delivery_without_events_advances_the_position(self) -> None:
        self.sink.write(delivery(0, 4))
        self.sink.write(delivery(4, 6, 4))
        assert (self.sink.positions([0]), self.positions_stored()) == ({0: 6}, [(0, 4)])

    def test_partitions_have_positions_of_their_own(self) -> None:
        self.sink.write(delivery(0, 2, 0, partition=1))
        self.sink.write(delivery(0, 7, 6, partition=0))
        assert self.sink.positions([0, 1]) == {0: 7, 1: 2}
        assert self.positions_stored() == [(0, 6), (1, 0)]

    @pytest.mark.parametrize("begin", [0, 3, 6])
    def test_a_delivery_that_does_not_begin_at_the_position_is_refused_and_changes_nothing(self, begin: int) -> None:
        self.sink.write(delivery(0, 5, 1, 3))
        for sink in (self.sink, self.reopened()):
            with pytest.raises(PositionMismatch) as refused:
                sink.write(delivery(begin, 8, 7))
            assert refused.value.positions == {0: 5}
        assert (self.sink.positions([0]), self.positions_stored()) == ({0: 5}, [(0, 1), (0, 3)])

    def test_of_two_who_deliver_the_same_one_is_refused(self) -> None:
        """The batches end at different positions, as those of programs with other settings do."""
        together, refused = Barrier(2), list[int]()

        def deliver(sink: Sink, end: int) -> None:
            for begin in range(0, 200, 10):
                together.wait(20)
                try:
                    sink.write(delivery(begin, begin + end, begin))
                except PositionMismatch:
                    refused.append(end)
                together.wait(20)
                if end == 10 and sink.positions([0]) == {0: begin + 5}:  # so that both go on from the same position
                    sink.write(delivery(begin + 5, begin + 10))

        threads = [Thread(target=deliver, args=(sink, end)) for sink, end in ((self.sink, 10), (self.reopened(), 5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(refused) == 20
        assert self.positions_stored() == [(0, begin) for begin in range(0, 200, 10)]

    def test_documents_and_texts_are_stored_as_they_are(self) -> None:
        strange = row(0, "\\u0000 \\n ä 🐸 ' %s")
        self.sink.write(Delivery(0, 0, 1, (strange,)))
        assert self.stored() == [(0, 0, strange.document)]

    def test_another_logs_events_are_refused(self) -> None:
        self.sink.write(delivery(0, 1, 0))
        again = self.reopened()
        again.bind(LOG_ID)
        with pytest.raises(WrongLog):
            self.reopened().bind("log-2")
        again.write(delivery(1, 2, 1))
        assert self.positions_stored() == [(0, 0), (0, 1)]
