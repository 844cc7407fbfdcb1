"""A topic of others as a source, on any cluster."""

import time
from contextlib import suppress
from typing import Final
from uuid import uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord
from realtime_pipeline.infrastructure.kafka.clients import (
    Admin,
    is_unknown_topic,
    new_admin,
    new_consumer,
    translate_error,
)
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_positions import TopicPosition, start_offsets
from realtime_pipeline.infrastructure.kafka.topics import TopicDescription, describe_topic, topic_bounds

BATCH_BYTES: Final = 8 << 20
CHUNK_RECORDS: Final = 250
"""How many records are taken from the client at once; after each chunk the bytes of the batch are compared with
`BATCH_BYTES`."""
CHECK_TOPIC_S: Final = 1.0
END_WAIT_S: Final = 0.05
"""How long to wait at once for Kafka to report the end of a partition."""
UNKNOWN_TOPIC_S: Final = 5.0
"""A broker that has just started does not know its topics yet."""
_TRANSIENT: Final = frozenset((KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT))


class KafkaTopicSource(Source):
    """Reads all partitions of a topic, transactions only when they are committed.

    Parts are partitions. A position is the topic's id and the next offset: a topic that was deleted and created again
    has another id. The consumer joins no group. Each batch is read before a description that has the topic's id, so
    it is of that topic. Records without a value (tombstones) are skipped.
    """

    def __init__(self, name: str, settings: KafkaTopicSettings) -> None:
        self._name = name
        self._settings = settings
        self._clients = settings.clients()
        self._consumer: Consumer | None = None
        self._admin: Admin | None = None
        self._topic_id = ""
        self._offsets: dict[int, int] = {}
        self._ended: set[int] = set()
        self._checked_s = 0.0
        self._warning = ""

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def open(self, positions: Positions) -> None:
        """Assign all partitions at the positions; a partition without a position begins with its first record."""
        self.close()
        self._admin = new_admin(self._clients)
        topic = self._described()
        bounds = topic_bounds(self._clients, self._settings.topic, IsolationLevel.READ_COMMITTED)
        read = {part: TopicPosition.decode(part, position) for part, position in positions.items()}
        self._offsets = start_offsets(self._settings, topic.topic_id, bounds, read)
        self._topic_id = topic.topic_id
        self._warning = ""
        self._consumer = new_consumer(
            self._clients,
            {
                "group.id": self._settings.group or f"realtime-pipeline-source-{uuid4().hex}",
                "enable.partition.eof": True,
                "on_commit": self._on_commit,  # type: ignore[dict-item]  # a callback among the options
            },
        )
        self._assign()

    def _assign(self) -> None:
        topic = self._settings.topic
        try:
            self._opened().assign([TopicPartition(topic, number, offset) for number, offset in self._offsets.items()])
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {topic}") from None
        self._ended.clear()
        self._checked_s = time.monotonic()

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read records of any partitions, then verify that the topic is still the same.

        Returns:
            None once Kafka has reported the end of every partition and the timeout is over.

        Raises:
            Unreachable: Kafka reports neither records nor ends for longer than its timeout.
        """
        begin_s = time.monotonic()
        records, moved = list[SourceRecord](), dict[int, int]()
        size, wait_s = 0, timeout_s
        while len(records) < records_max and size < BATCH_BYTES:
            messages = self._consume(min(CHUNK_RECORDS, records_max - len(records)) if not wait_s else 1, wait_s)
            for message in messages:
                size += self._take(message, records, moved)
            waited_s = time.monotonic() - begin_s
            is_at_end = len(self._ended) == len(self._offsets)
            if not messages and (moved or (is_at_end and waited_s >= timeout_s)):
                break
            if not moved and waited_s > max(timeout_s, self._settings.request_timeout_ms / 1000):
                raise Unreachable(f"topic {self._settings.topic}: no answer in time from Kafka")
            wait_s = 0.0 if moved else max(timeout_s - waited_s, END_WAIT_S)
        self._offsets |= moved
        if moved or time.monotonic() - self._checked_s >= CHECK_TOPIC_S:
            self._assign_added(self._verified())
        if not moved:
            return None
        ends = {str(number): TopicPosition(self._topic_id, offset).encode() for number, offset in moved.items()}
        return SourceBatch(tuple(records), ends)

    def acknowledge(self, positions: Positions) -> None:
        """Commit the offsets to the group, if the settings name one; the reply is awaited by nobody."""
        if not self._settings.group:
            return
        offsets = [
            TopicPartition(self._settings.topic, int(part), TopicPosition.decode(part, position).offset)
            for part, position in positions.items()
        ]
        try:
            self._opened().commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], [])

    def lag(self) -> str:
        """The records behind the last one, as the client knows of it: markers of transactions among them."""
        behind = 0
        for number, offset in self._offsets.items():
            with suppress(KafkaException):
                bounds = self._opened().get_watermark_offsets(TopicPartition(self._settings.topic, number), cached=True)
                behind += max(bounds[1] - offset, 0)
        return f"{behind:,} records"

    def warning(self) -> str:
        """Why the offsets could not be committed to the group, if they could not."""
        return self._warning

    def close(self) -> None:
        """Close the clients."""
        consumer, self._consumer, self._admin = self._consumer, None, None
        if consumer is not None:
            consumer.close()

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise UnrecoverableState(f"{self._name} is not open")
        return self._consumer

    def _consume(self, limit: int, timeout_s: float) -> list[Message]:
        try:
            return self._opened().consume(limit, timeout_s)
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {self._settings.topic}") from None

    def _take(self, message: Message, records: list[SourceRecord], moved: dict[int, int]) -> int:
        """Add a message to the batch; return its bytes."""
        error, value = message.error(), message.value()
        partition, offset = message.partition() or 0, message.offset() or 0
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(partition)
            if offset > self._offsets.get(partition, offset):
                moved[partition] = max(moved.get(partition, 0), offset)  # behind the markers of transactions
            return 0
        if error is not None:
            self._check_error(error, message.partition())
            return 0
        moved[partition] = offset + 1
        self._ended.discard(partition)
        if value is None:
            return 0
        origin = f"{self._settings.topic}:{partition}:{offset}"
        records.append(SourceRecord(f"{self._topic_id}:{partition}:{offset}", value, origin))
        return len(value)

    def _check_error(self, error: KafkaError, partition: int | None) -> None:
        """Raise an error that does not pass."""
        if error.code() in _TRANSIENT or (error.retriable() and not error.fatal() and not is_unknown_topic(error)):
            return
        self._verified()
        if is_unknown_topic(error):
            return  # the topic is there: the broker has just started
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            bounds = topic_bounds(self._clients, self._settings.topic, IsolationLevel.READ_COMMITTED)
            read = {str(number): TopicPosition(self._topic_id, offset) for number, offset in self._offsets.items()}
            start_offsets(self._settings, self._topic_id, bounds, read)
            raise Unreachable(f"topic {self._settings.topic} deletes records before they are read: opening it again")
        found = translate_error(error, f"topic {self._settings.topic}, partition {partition}")
        if not isinstance(found, RecoverableError) or error.fatal():
            raise found

    def _verified(self) -> TopicDescription:
        """Check that the topic has the id that it had when it was opened."""
        topic = self._described()
        self._checked_s = time.monotonic()
        if topic.topic_id != self._topic_id:
            raise UnrecoverableState(
                f"topic {topic.name} was deleted and created again while it was read: what was not read of the old one "
                "is lost; skip_lost = true reads the new one from its start"
            )
        return topic

    def _assign_added(self, topic: TopicDescription) -> None:
        """Assign the partitions that the topic was given since it was opened, once the consumer knows them.

        It would wait minutes for a partition that is not in its metadata.
        """
        if topic.partitions <= len(self._offsets):
            return
        try:
            known = self._opened().list_topics(topic.name, self._settings.request_timeout_ms / 1000)
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {topic.name}") from None
        added = range(len(self._offsets), len(known.topics[topic.name].partitions))
        if added:
            self._offsets |= dict.fromkeys(added, 0)
            self._assign()

    def _described(self) -> TopicDescription:
        if self._admin is None:
            raise UnrecoverableState(f"{self._name} is not open")
        deadline_s = time.monotonic() + UNKNOWN_TOPIC_S
        while True:
            try:
                return describe_topic(self._clients, self._settings.topic, self._admin)
            except UnrecoverableState:
                if time.monotonic() > deadline_s:
                    raise Unavailable(
                        f"{self._name}: there is no topic {self._settings.topic} at {self._settings.brokers}: "
                        "create it, or correct the settings"
                    ) from None
                time.sleep(0.1)

    def _on_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        self._warning = (
            f"the offsets of group {self._settings.group} are not committed, reading goes on: {error.str()}"
            if error is not None
            else ""
        )
