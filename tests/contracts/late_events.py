"""What every adapter of late events must do: each is read once, whole."""

from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from tests.contracts.outputs import late_event


class LateEventsContract:
    """No late events, and the outputs that write them; partition 0 is assigned already."""

    late_events: LateEvents
    outputs: Outputs

    def emit(self, *positions: int, begin: int = 0, end: int = 9) -> None:
        late_events = tuple(late_event(position) for position in positions)
        self.outputs.emit([Emission(0, 1, begin, end, (), late_events=late_events)])

    def given(self, *positions: int, end: int = 9) -> None:
        self.outputs.claim(0, 1)
        self.emit(*positions, end=end)

    def ids(self) -> list[str]:
        return [late.id for late in self.late_events.late_events()]

    def test_late_events_are_read_as_they_were_emitted(self) -> None:
        assert self.ids() == []
        self.given(3, 7)
        assert list(self.late_events.late_events()) == [late_event(3), late_event(7)]

    def test_late_events_of_other_partitions_are_left_out(self) -> None:
        self.given(3)
        assert [late.id for late in self.late_events.late_events({0})] == ["0-3"]
        assert list(self.late_events.late_events({1})) == []
        assert list(self.late_events.late_events(set())) == []

    def test_late_events_emitted_during_a_read_are_in_the_next_read(self) -> None:
        self.given(3, 7)
        reading = self.late_events.late_events()
        assert next(reading).id == "0-3"
        self.emit(12, begin=9, end=20)
        assert [late.id for late in reading] == ["0-7"]
        assert self.ids() == ["0-3", "0-7", "0-12"]

    def test_many_late_events_are_read_in_batches(self) -> None:
        self.given(*range(1_200), end=1_200)
        assert self.ids() == [f"0-{position}" for position in range(1_200)]
