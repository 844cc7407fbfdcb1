"""What every adapter of outputs must do."""

import time

import attrs
import pytest

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from tests.contracts.event_log import Owner

ADA = CustomerId("ada")


def letter(position: int, partition: int = 0, whose: CustomerId | None = ADA) -> DeadLetter:
    record = Record(partition, position, b"key", b"\xff\x00value", 5, f"file:{position}")
    return DeadLetter(record, "not_json: why", whose)


def late_event(position: int, partition: int = 0, whose: CustomerId | None = ADA) -> LateEvent:
    record = Record(partition, position, None if whose is None else b"ada", b"\xff\x00value", 5, f"file:{position}")
    return LateEvent(record, (MissedWindows("by_product", 4), MissedWindows("minutes", 1)), 3, position + 100, whose)


class OutputsContract:
    """Outputs, and the log that outgoing records go to; on Kafka the partitions are assigned already."""

    outputs: Outputs
    log: EventLog

    def appended(self, count: int) -> list[Record]:
        """Read the records that were appended to the log."""
        if self.log.consumed_position(0) == 0 and not self.holds_partitions:
            self.log.subscribe(Owner())
        records: list[Record] = []
        deadline_s = time.monotonic() + 20
        while len(records) < count:
            assert time.monotonic() < deadline_s, f"{len(records)} of {count} records were read"
            records += self.log.poll(10, 0.2)
        return [*records, *self.log.poll(10, 0.2)]

    holds_partitions = False

    def test_outgoing_records_are_appended_once_with_the_dead_letters(self) -> None:
        self.outputs.claim(0, 1)
        outgoing = (Outgoing(b"bob", b"one", "file:1"), Outgoing(b"bob", b"two"))
        self.outputs.emit([Emission(0, 1, 0, 9, (letter(3),), outgoing=outgoing)])
        with pytest.raises(PositionMismatch):
            self.outputs.emit([Emission(0, 1, 0, 9, (), outgoing=outgoing)])
        records = self.appended(2)
        assert [(record.key, record.value, record.origin) for record in records] == [
            (b"bob", b"one", "file:1"),
            (b"bob", b"two", None),
        ]
        assert len({record.partition for record in records}) == 1
        assert list(self.outputs.dead_letters(10)) == [letter(3)]

    def test_emitted_dead_letters_are_read_back(self) -> None:
        assert self.outputs.claim(0, 1) == 0
        self.outputs.emit([Emission(0, 1, 0, 9, (letter(3), letter(7)))])
        assert list(self.outputs.dead_letters(10)) == [letter(3), letter(7)]
        assert list(self.outputs.dead_letters(1)) == [letter(3)]
        assert self.outputs.positions([0, 1]) == {0: 9, 1: 0}

    def test_dead_letters_are_ordered_by_partition_and_position(self) -> None:
        self.outputs.claim(0, 1)
        self.outputs.claim(1, 1)
        self.outputs.emit([Emission(1, 1, 0, 9, (letter(3, 1),))])
        self.outputs.emit([Emission(0, 1, 0, 9, (letter(5),))])
        assert list(self.outputs.dead_letters(10)) == [letter(5), letter(3, 1)]

    def test_emitted_late_events_are_read_back_by_partition_and_position(self) -> None:
        self.outputs.claim(0, 1)
        self.outputs.claim(1, 1)
        self.outputs.emit([Emission(1, 1, 0, 9, (letter(2, 1),), late_events=(late_event(3, 1), late_event(4, 1)))])
        without_key = attrs.evolve(late_event(7, whose=None), record=Record(0, 7, None, b"", 5))
        self.outputs.emit([Emission(0, 1, 0, 9, (), late_events=(late_event(5), without_key))])
        assert list(self.outputs.late_events(10)) == [late_event(5), without_key, late_event(3, 1), late_event(4, 1)]
        assert list(self.outputs.late_events(1)) == [late_event(5)]
        assert list(self.outputs.dead_letters(10)) == [letter(2, 1)]
        assert self.outputs.positions([0, 1]) == {0: 9, 1: 9}

    def test_a_repeated_emission_is_refused(self) -> None:
        self.outputs.claim(0, 1)
        emission = Emission(0, 1, 0, 9, (letter(3),), late_events=(late_event(4),))
        self.outputs.emit([emission])
        with pytest.raises(PositionMismatch) as refused:
            self.outputs.emit([emission])
        assert refused.value.positions == {0: 9}
        assert list(self.outputs.dead_letters(10)) == [letter(3)]
        assert list(self.outputs.late_events(10)) == [late_event(4)]

    def test_an_emission_that_leaves_a_gap_is_refused(self) -> None:
        self.outputs.claim(0, 1)
        with pytest.raises(PositionMismatch):
            self.outputs.emit([Emission(0, 1, 4, 9, (letter(5),))])

    def test_a_claim_fences_the_earlier_owner_of_outputs(self) -> None:
        self.outputs.claim(0, 1)
        self.outputs.emit([Emission(0, 1, 0, 9, ())])
        assert self.outputs.claim(0, 2) == 9
        with pytest.raises(Fenced):
            self.outputs.emit([Emission(0, 1, 9, 10, (letter(9),), late_events=(late_event(9),))])
        with pytest.raises(Fenced):
            self.outputs.claim(0, 2)
        self.outputs.emit([Emission(0, 2, 9, 10, ())])
        assert [*self.outputs.dead_letters(10), *self.outputs.late_events(10)] == []

    def test_an_emission_without_a_claim_is_refused(self) -> None:
        with pytest.raises(Fenced):
            self.outputs.emit([Emission(0, 1, 0, 1, ())])


class RetractableContract(OutputsContract):
    """Outputs that can retract dead letters and late events."""

    def test_late_events_of_a_forgotten_customer_are_retracted(self) -> None:
        self.outputs.claim(0, 1)
        self.outputs.claim(1, 1)
        visitor, nobodys = late_event(5, whose=CustomerId("anonymous:ada")), late_event(6, whose=None)
        self.outputs.emit([Emission(0, 1, 0, 9, (), late_events=(late_event(3), visitor, nobodys))])
        self.outputs.emit([Emission(1, 1, 0, 9, (), late_events=(late_event(4, 1),))])
        self.outputs.emit([Emission(0, 1, 9, 20, (), frozenset([ADA]), late_events=(late_event(12),))])
        assert list(self.outputs.late_events(10)) == [visitor, nobodys, late_event(12), late_event(4, 1)]

    def test_dead_letters_of_a_forgotten_customer_are_retracted(self) -> None:
        self.outputs.claim(0, 1)
        self.outputs.claim(1, 1)
        visitor, nobodys = letter(5, whose=CustomerId("anonymous:ada")), letter(6, whose=None)
        self.outputs.emit([Emission(0, 1, 0, 9, (letter(3), visitor, nobodys))])
        self.outputs.emit([Emission(1, 1, 0, 9, (letter(4, 1),))])
        self.outputs.emit([Emission(0, 1, 9, 20, (letter(12),), frozenset([ADA]))])
        assert list(self.outputs.dead_letters(10)) == [visitor, nobodys, letter(12), letter(4, 1)]
        self.outputs.emit([Emission(0, 1, 20, 30, (), frozenset([CustomerId("bob")]))])
        assert len(self.outputs.dead_letters(10)) == 4
