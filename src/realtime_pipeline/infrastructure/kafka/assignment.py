"""The partitions that the consumer group assigns to this worker, and the callbacks of its rebalances."""

from collections.abc import Callable, Collection, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from realtime_pipeline.application.errors import PipelineError, Unreachable
from realtime_pipeline.application.ports.event_log import RebalanceListener
from realtime_pipeline.domain.streams.records import Record

Bounds = Callable[[Collection[int]], Mapping[int, tuple[int, int]]]
"""Returns the low and the high watermark offset of each partition."""


class Assignment:
    """Tracks the assigned partitions; reads each from the position that the listener names when it is assigned.

    The client calls `on_assign` and `on_revoke` from within `consume`. No exception may pass through the client's own
    code, so `on_assign` keeps that of the listener for `raise_failure`.
    """

    def __init__(self, topic: str, bounds: Bounds) -> None:
        self._topic = topic
        self._bounds = bounds
        self._listener: RebalanceListener | None = None
        self._partitions: set[int] = set()
        self._starts: dict[int, int] = {}
        self._ends_reached: dict[int, int] = {}
        self._revoked: set[int] = set()
        self.failure: Exception | None = None

    @property
    def listener(self) -> RebalanceListener | None:
        """Who claims partitions when they are assigned; None before the log is subscribed."""
        return self._listener

    @property
    def is_empty(self) -> bool:
        """Whether no partition is assigned."""
        return not self._partitions

    def listen(self, listener: RebalanceListener) -> None:
        """Begin with no partitions and a new listener."""
        self._listener = listener
        self._partitions.clear()

    def begin_poll(self) -> None:
        """Forget which partitions earlier polls revoked."""
        self._revoked.clear()

    def raise_failure(self) -> None:
        """Raise what the listener raised in a callback, once."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def end_reached(self, partition: int) -> int:
        """Return the offset at which the partition's end was last reached since its last seek; 0 if it was not."""
        return self._ends_reached.get(partition, 0)

    def mark_end_reached(self, partition: int, offset: int) -> None:
        """Remember that the consumer reached a partition's end."""
        self._ends_reached[partition] = offset

    def topic_partition(self, number: int, offset: int | None = None) -> TopicPartition:
        """Return the partition as the client names it."""
        if offset is None:
            return TopicPartition(self._topic, number)
        return TopicPartition(self._topic, number, offset)

    def assigned(self, partitions: Collection[int]) -> list[TopicPartition]:
        """Return those of these partitions that are assigned, as the client names them."""
        return [self.topic_partition(number) for number in partitions if number in self._partitions]

    def seek(self, consumer: Consumer, positions: Mapping[int, int]) -> None:
        """Read assigned partitions on from other positions.

        Raises:
            Unreachable: the group has revoked partitions meanwhile.
        """
        topic_partitions = [
            self.topic_partition(number, position)
            for number, position in positions.items()
            if number in self._partitions
        ]
        for number in positions:
            self._ends_reached.pop(number, None)
        try:
            consumer.incremental_unassign(topic_partitions)
            consumer.incremental_assign(topic_partitions)
        except KafkaException as error:
            raise Unreachable(f"Kafka has revoked partitions: {error.args[0].str()}") from None

    def without_revoked(self, consumer: Consumer, records: Sequence[Record]) -> Sequence[Record]:
        """Drop the records of partitions that a rebalance revoked during this poll.

        Partitions that were assigned again are read again from their position: else the records read before the
        rebalance would look like the predecessors of those read after it.
        """
        if not self._revoked:
            return records
        again = {number: self._starts[number] for number in self._revoked & self._partitions if number in self._starts}
        if again:
            self.seek(consumer, again)
        return [record for record in records if record.partition not in self._revoked]

    def on_assign(self, consumer: Consumer, topic_partitions: list[TopicPartition]) -> None:
        """Let the listener claim assigned partitions, and read them from the positions of their cells.

        Partitions that it cannot claim yet are paused.
        """
        numbers = [topic_partition.partition for topic_partition in topic_partitions]
        positions: Mapping[int, int] = {}
        try:
            if self._listener is not None and numbers:
                positions = self._listener.on_assigned(numbers)
        except Exception as error:  # raised by `raise_failure`: none may pass through the client's own code
            self.failure = error
        self._partitions |= set(numbers)
        paused = self._ends_of([number for number in numbers if number not in positions])
        starts = {**paused, **positions}
        consumer.incremental_assign([self.topic_partition(number, starts[number]) for number in numbers])
        self._starts.update(positions)
        for number in numbers:
            self._ends_reached.pop(number, None)
        # The client remembers whether a partition is paused, even after it was revoked and assigned again.
        consumer.resume([self.topic_partition(number) for number in positions])
        consumer.pause([self.topic_partition(number) for number in paused])

    def _ends_of(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the end offsets, as numbers, where partitions that cannot be claimed yet wait.

        Given OFFSET_END instead, the client looks the offset up; if the reply comes after a seek, it looks up once more
        and goes to the end, and the records in between are skipped. If Kafka does not answer, 0 skips nothing.
        """
        try:
            return {number: end for number, (_, end) in self._bounds(partitions).items()}
        except PipelineError:  # of any kind: none may pass through the client's own code
            return dict.fromkeys(partitions, 0)

    def on_revoke(self, consumer: Consumer, topic_partitions: list[TopicPartition]) -> None:
        """Unassign revoked or lost partitions, and tell the listener."""
        numbers = [topic_partition.partition for topic_partition in topic_partitions]
        self._partitions -= set(numbers)
        self._revoked |= set(numbers)
        if self._listener is not None:
            self._listener.on_revoked(numbers)
        consumer.incremental_unassign(topic_partitions)
