"""The event log in Kafka, read by the workers' consumer group."""

import time
from collections.abc import Collection, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from realtime_pipeline.application.errors import RecoverableError, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.event_log import EventLog, LogIdentity, RebalanceListener
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.assignment import Assignment
from realtime_pipeline.infrastructure.kafka.clients import is_unknown_topic, new_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.last_positions import last_positions
from realtime_pipeline.infrastructure.kafka.records import to_record
from realtime_pipeline.infrastructure.kafka.settings import OPTION_TYPES, KafkaSettings
from realtime_pipeline.infrastructure.kafka.topic_identity import TopicIdentity
from realtime_pipeline.infrastructure.kafka.topics import group_members

BATCH_RECORDS = 500
TAIL = 100
"""How many offsets before a partition's end are searched first for its last record: transaction markers are none."""
CHECK_BROKERS_S = 1.0
_UNSUPPORTED = frozenset((KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE))
TRANSIENT = frozenset((KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN))
MEMBER_REJECTED = frozenset(
    (
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_SESSION_TIMEOUT,
    )
)


class KafkaEventLog(EventLog):
    """Reads the topic as a member of the workers' consumer group; each partition has one owner in the group.

    The group's committed offsets do not say where to read from: the owner names the position of each partition that
    is assigned to it.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._process = OpeningProcess()
        self._topic = TopicIdentity(settings)
        self._protocol = "classic" if settings.group_protocol == "classic" else "consumer"
        self._consumer: Consumer | None = None
        self._assignment = Assignment(settings.topic, self.bounds)
        self._checked_s = time.monotonic()

    @property
    def identity(self) -> LogIdentity:
        """Which log this is; a topic that is deleted and created again has another id."""
        return self._topic.log

    @property
    def consumer(self) -> Consumer:
        """The member of the group; the outputs commit their offsets through it.

        Raises:
            Unavailable: the process was forked since the log was opened.
        """
        self._process.check()
        if self._consumer is None:
            options: dict[str, OPTION_TYPES] = {
                "group.id": self._settings.group,
                "group.protocol": self._protocol,
                "enable.partition.eof": True,
            }
            if self._protocol == "classic":
                options["partition.assignment.strategy"] = "cooperative-sticky"
            self._consumer = new_consumer(self._settings, options)
        return self._consumer

    def close(self) -> None:
        """Leave the group, so that a rebalance gives the partitions to other members at once."""
        if self._consumer is not None and self._process.is_this:
            self._consumer.close()
            self._consumer = None

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group; partitions are assigned during `poll`."""
        if self._assignment.listener is not None:
            self.close()
        self._assignment.listen(listener)
        self._join()

    def _join(self) -> None:
        self.consumer.subscribe(
            [self._settings.topic],
            on_assign=self._assignment.on_assign,
            on_revoke=self._assignment.on_revoke,
            on_lost=self._assignment.on_revoke,
        )

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read records; rebalances happen meanwhile."""
        self._assignment.begin_poll()
        self._topic.drop_request()
        deadline_s = time.monotonic() + timeout_s
        records = self._read(limit, timeout_s)
        while not records and self._assignment.failure is None and (left_s := deadline_s - time.monotonic()) > 0:
            records = self._read(limit, left_s)  # only events of the client came, no record
        self._assignment.raise_failure()
        if records:
            self._topic.request()
        elif self._assignment.listener is not None and self._assignment.is_empty:
            self._check_brokers()
        return self._assignment.without_revoked(self.consumer, records)

    def _check_brokers(self) -> None:
        """See, once a second, that brokers answer.

        If they do not, a member of a classic group loses its partitions, which looks as if it had none assigned.
        """
        if time.monotonic() - self._checked_s >= CHECK_BROKERS_S:
            try:
                self._topic.verify_now()
            except UnrecoverableState as error:  # a broker that has just started does not know the topic yet
                raise Unreachable(str(error)) from None
            self._checked_s = time.monotonic()

    def _read(self, limit: int, timeout_s: float) -> Sequence[Record]:
        messages = self._consume(1, timeout_s)
        if messages:
            while len(messages) < limit:
                more = self._consume(min(BATCH_RECORDS, limit - len(messages)), 0)
                messages += more
                if len(more) < BATCH_RECORDS:
                    break
        return [to_record(message) for message in messages if not self._is_transient(message)]

    def verify_identity(self) -> None:
        """Wait for the description of the topic that `poll` requested, and compare it."""
        self._topic.verify()

    def consumed_position(self, partition: int) -> int:
        """Return the offset at which the partition's end was last reached; 0 if it was not."""
        return self._assignment.end_reached(partition)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from other positions."""
        self._assignment.seek(self.consumer, positions)

    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions."""
        self.consumer.pause(self._assignment.assigned(partitions))

    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again."""
        self.consumer.resume(self._assignment.assigned(partitions))

    def workers(self) -> int:
        """Return how many members the group has besides this one."""
        own_id = self._consumer.memberid() if self._consumer is not None else None
        return sum(member != own_id for member in group_members(self._settings))

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """Return the low and the high watermark offset of each partition."""
        found = {}
        try:
            for number in partitions:
                watermark_offsets = self.consumer.get_watermark_offsets(
                    self._assignment.topic_partition(number), self._settings.request_timeout_ms / 1000
                )
                if watermark_offsets is None:
                    raise Unreachable("Kafka does not return the watermark offsets of the log")
                found[number] = watermark_offsets
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {self._settings.topic}") from None
        return found

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the position after the last record of each partition; 0 for a partition without records."""
        bounds = self.bounds(partitions)
        found = dict.fromkeys(partitions, 0)
        unknown, reach = {number for number, (low, high) in bounds.items() if low < high}, TAIL
        while unknown:
            starts = {number: max(bounds[number][0], bounds[number][1] - reach) for number in unknown}
            last = last_positions(self._settings, starts)
            found.update((number, position + 1) for number, position in last.items())
            unknown = {number for number in unknown - last.keys() if starts[number] > bounds[number][0]}
            reach *= 10
        return found

    def _consume(self, limit: int, timeout_s: float) -> list[Message]:
        try:
            return self.consumer.consume(limit, timeout_s)
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {self._settings.topic}") from None

    def _is_transient(self, message: Message) -> bool:
        """Return whether a message is not a record but an error that passes; raise an error that does not pass."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._assignment.mark_end_reached(message.partition() or 0, message.offset() or 0)
            return True
        if error.code() in _UNSUPPORTED and self._settings.group_protocol == "auto" and self._protocol == "consumer":
            self._protocol = "classic"  # the brokers are older than the new group protocol
            self.close()
            self._join()
            return True
        if error.code() in TRANSIENT or (error.retriable() and not error.fatal()):
            return True
        if error.code() in MEMBER_REJECTED:
            raise UnrecoverableState(
                f"the group {self._settings.group} does not take this worker: {error.str()}; see [kafka]"
            )
        if is_unknown_topic(error):
            self._topic.verify_now()  # if the topic is there, the broker had just started
            return True
        found = translate_error(error, f"topic {self._settings.topic}, partition {message.partition()}")
        if not isinstance(found, RecoverableError):
            self._topic.verify_now()  # names a topic that was created again, even while it is shorter than the old one
            raise found
        if error.fatal():
            raise UnrecoverableState(f"Kafka has fenced this worker: {error.str()}; start it again")
        return True
