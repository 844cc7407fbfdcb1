"""Outputs in memory."""

from collections.abc import Collection, Mapping, Sequence

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.outputs import Emission, Outputs, RecoverPosition, nothing_emitted
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent, late_in_order


class MemoryOutputs(Outputs):
    """Keeps lists of dead letters and late events, and a position for each partition; publishes outgoing records at
    once."""

    def __init__(self, publisher: EventPublisher) -> None:
        self._publisher = publisher
        self._epochs: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._dead_letters: list[DeadLetter] = []
        self._late_events: list[LateEvent] = []

    @property
    def linger_ms(self) -> int:
        """0: a call costs nothing."""
        return 0

    @property
    def can_retract(self) -> bool:
        """True: dead letters and late events are removed from the lists."""
        return True

    def epoch(self, partition: int) -> int:
        """Read the largest epoch that has claimed the outputs."""
        return self._epochs.get(partition, 0)

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Write a new epoch, which fences earlier owners, then read the position."""
        if epoch <= self._epochs.get(partition, 0):
            raise Fenced(f"the outputs of partition {partition} have epoch {self._epochs[partition]} already")
        self._epochs[partition] = epoch
        return self._positions.get(partition, 0)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions up to which outputs were emitted."""
        return {partition: self._positions.get(partition, 0) for partition in partitions}

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write outputs and positions."""
        for emission in emissions:
            self._emit(emission)

    def _emit(self, emission: Emission) -> None:
        if emission.epoch != self._epochs.get(emission.partition):
            raise Fenced(f"the outputs of partition {emission.partition} have another epoch")
        position = self._positions.get(emission.partition, 0)
        if position != emission.from_position:
            raise PositionMismatch({emission.partition: position})
        if emission.outgoing:  # first: after a failure, the worker emits all again
            self._publisher.publish(emission.outgoing)
        self._positions[emission.partition] = emission.to_position
        self._dead_letters = [letter for letter in self._dead_letters if not _is_retracted(letter, emission)]
        self._dead_letters += emission.dead_letters
        self._late_events = [late for late in self._late_events if not _is_retracted(late, emission)]
        self._late_events += emission.late_events

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """Read the first dead letters, by partition and position."""
        ordered = sorted(self._dead_letters, key=lambda letter: (letter.record.partition, letter.record.position))
        return ordered[:limit]

    def late_events(self, limit: int) -> Sequence[LateEvent]:
        """Read the first late events, by partition and position."""
        return late_in_order(self._late_events)[:limit]


def _is_retracted(output: DeadLetter | LateEvent, emission: Emission) -> bool:
    return output.record.partition == emission.partition and output.customer_id in emission.forgotten
