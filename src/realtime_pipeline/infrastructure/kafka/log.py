"""The log in Kafka."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from realtime_pipeline.application.errors import (
    PipelineError,
    RecoverableError,
    Unreachable,
    UnrecoverableState,
    WrongLog,
)
from realtime_pipeline.application.ports.event_log import EventLog, LogIdentity, RebalanceListener
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import Admin, is_gone, made_admin, made_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.last_positions import last_positions
from realtime_pipeline.infrastructure.kafka.publisher import ORIGIN
from realtime_pipeline.infrastructure.kafka.settings import OPTION_TYPES, KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import Described, asked, described, members

CONSUMED_AT_ONCE = 500
TAIL = 100
"""Among how many of a partition's last entries its last record is looked for first: marks of transactions are none."""
ASK_EVERY_S = 1.0
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
    """Reads the topic as one of its group of workers, each partition by one of them.

    Where to read from is never Kafka's to say: the owner names the position when it gains a partition.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._process = OpeningProcess()
        topic = described(settings, settings.topic)
        if topic.partitions > PARTITIONS_MAX:
            raise WrongLog(
                f"topic {settings.topic} has {topic.partitions} partitions: at most {PARTITIONS_MAX} can be told apart"
            )
        self._identity = LogIdentity(topic.topic_id, topic.partitions, settings.partitioner)
        self._protocol = "classic" if settings.group_protocol == "classic" else "consumer"
        self._consumer: Consumer | None = None
        self._listener: RebalanceListener | None = None
        self._assigned: set[int] = set()
        self._admin: Admin | None = None
        self._starts: dict[int, int] = {}
        self._ends_reached: dict[int, int] = {}
        self._revoked: set[int] = set()
        self._failure: Exception | None = None
        self._answer: Callable[[], Described] | None = None
        self._heard_s = time.monotonic()

    @property
    def identity(self) -> LogIdentity:
        """Which log this is; a topic that is made anew has another id."""
        return self._identity

    @property
    def consumer(self) -> Consumer:
        """The group's member: outputs are emitted in its name.

        Raises:
            Unavailable: the process was forked since the log was opened.
        """
        self._process.check()
        if self._consumer is None:
            more: dict[str, OPTION_TYPES] = {
                "group.id": self._settings.group,
                "group.protocol": self._protocol,
                "enable.partition.eof": True,
            }
            if self._protocol == "classic":
                more["partition.assignment.strategy"] = "cooperative-sticky"
            self._consumer = made_consumer(self._settings, more)
        return self._consumer

    def close(self) -> None:
        """Leave the group, so that others get the partitions at once."""
        if self._consumer is not None and self._process.is_this:
            self._consumer.close()
            self._consumer = None

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group; partitions come during `poll`."""
        if self._listener is not None:
            self.close()
        self._listener = listener
        self._assigned.clear()
        self._join()

    def _join(self) -> None:
        self.consumer.subscribe(
            [self._settings.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read records."""
        self._revoked.clear()
        self._answer = None
        deadline_s = time.monotonic() + timeout_s
        records = self._read(limit, timeout_s)
        while not records and self._failure is None and (left_s := deadline_s - time.monotonic()) > 0:
            records = self._read(limit, left_s)  # word of something else had come
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if records:
            self._ask_for_topic()
        elif self._listener is not None and not self._assigned:
            self._ask_whether_anybody_is_there()
        return self._without_revoked(records) if self._revoked else records

    def _ask_whether_anybody_is_there(self) -> None:
        """Where brokers go away, a worker of a group of the classic kind is left without partitions, and nothing else
        would tell that from having none to take."""
        if time.monotonic() - self._heard_s >= ASK_EVERY_S:
            try:
                self._check_topic()
            except UnrecoverableState as error:  # a broker that has just started knows of no topic yet
                raise Unreachable(str(error)) from None
            self._heard_s = time.monotonic()

    def _read(self, limit: int, timeout_s: float) -> Sequence[Record]:
        messages = self._consume(1, timeout_s)
        if messages:
            while len(messages) < limit:
                more = self._consume(min(CONSUMED_AT_ONCE, limit - len(messages)), 0)
                messages += more
                if len(more) < CONSUMED_AT_ONCE:
                    break
        return [record_of(message) for message in messages if not self._is_transient(message)]

    def _without_revoked(self, records: Sequence[Record]) -> Sequence[Record]:
        """Drop the records of partitions that went during this poll; those that came back are read anew.

        Else what was read before and what is read after could be taken for one.
        """
        again = {number: self._starts[number] for number in self._revoked & self._assigned if number in self._starts}
        if again:
            self.seek(again)
        return [record for record in records if record.partition not in self._revoked]

    def verify_identity(self) -> None:
        """Hear which topic had the name when records had come."""
        if self._answer is not None:
            self._check(self._answer)
            self._answer = None

    def consumed_position(self, partition: int) -> int:
        """Where the partition's end was last reached; 0 where it was not."""
        return self._ends_reached.get(partition, 0)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from other positions."""
        places = [
            self._topic_partition(number, position)
            for number, position in positions.items()
            if number in self._assigned
        ]
        for number in positions:
            self._ends_reached.pop(number, None)
        try:
            self.consumer.incremental_unassign(places)
            self.consumer.incremental_assign(places)
        except KafkaException as error:
            raise Unreachable(f"Kafka has taken partitions back: {error.args[0].str()}") from None

    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions."""
        self.consumer.pause([self._topic_partition(number) for number in partitions if number in self._assigned])

    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again."""
        self.consumer.resume([self._topic_partition(number) for number in partitions if number in self._assigned])

    def workers(self) -> int:
        """How many members the group has, beside this one."""
        mine = self._consumer.memberid() if self._consumer is not None else None
        return sum(member != mine for member in members(self._settings))

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """The first position still held, and the one after the last, of each partition."""
        found = {}
        try:
            for number in partitions:
                low_high = self.consumer.get_watermark_offsets(
                    self._topic_partition(number), self._settings.request_timeout_ms / 1000
                )
                if low_high is None:
                    raise Unreachable("Kafka does not say how far the log reaches")
                found[number] = low_high
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {self._settings.topic}") from None
        return found

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The position after the last record of each partition; 0 for one that holds none."""
        bounds = self.bounds(partitions)
        found = dict.fromkeys(partitions, 0)
        lacking, reach = {number for number, (low, high) in bounds.items() if low < high}, TAIL
        while lacking:
            starts = {number: max(bounds[number][0], bounds[number][1] - reach) for number in lacking}
            last = last_positions(self._settings, starts)
            found.update((number, position + 1) for number, position in last.items())
            lacking = {number for number in lacking - last.keys() if starts[number] > bounds[number][0]}
            reach *= 10
        return found

    def _consume(self, limit: int, timeout_s: float) -> list[Message]:
        try:
            return self.consumer.consume(limit, timeout_s)
        except KafkaException as error:
            raise translate_error(error.args[0], f"topic {self._settings.topic}") from None

    def _is_transient(self, message: Message) -> bool:
        """Say whether a message is no record, but word of something that passes. What does not pass is raised."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._ends_reached[message.partition() or 0] = message.offset() or 0
            return True
        if error.code() in _UNSUPPORTED and self._settings.group_protocol == "auto" and self._protocol == "consumer":
            self._protocol = "classic"  # brokers older than the new group protocol
            self.close()
            self._join()
            return True
        if error.code() in TRANSIENT or (error.retriable() and not error.fatal()):
            return True
        if error.code() in MEMBER_REJECTED:
            raise UnrecoverableState(
                f"the group {self._settings.group} does not take this worker: {error.str()}; see [kafka]"
            )
        if is_gone(error):
            self._check_topic()  # else a broker spoke that had just started
            return True
        found = translate_error(error, f"topic {self._settings.topic}, partition {message.partition()}")
        if not isinstance(found, RecoverableError):
            self._check_topic()  # one made anew is named as such, also while it is shorter than the old one was
            raise found
        if error.fatal():
            raise UnrecoverableState(f"Kafka has shut this worker out: {error.str()}; start it again")
        return True

    def _check_topic(self) -> None:
        """See at once that the topic is there, and the one that it was."""
        self._ask_for_topic()
        self.verify_identity()

    def _ask_for_topic(self) -> None:
        """Ask which topic it is, after records have come: the client reads by name, and would go on in another topic
        of the same name at the position where it was. The answer takes its time, in which decoding goes on."""
        if self._admin is None:
            self._admin = made_admin(self._settings)
        self._answer = asked(self._settings, self._settings.topic, self._admin)

    def _check(self, answer: Callable[[], Described]) -> None:
        topic = answer()
        if (topic.topic_id, topic.partitions) != (self._identity.log_id, self._identity.partitions):
            raise WrongLog(
                f"topic {self._settings.topic} was made again, or given more partitions, under the worker: the store "
                f"was built from log {self._identity.log_id}/{self._identity.partitions}, this is "
                f"{topic.topic_id}/{topic.partitions}; use another namespace and group"
            )

    def _on_assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Have the new partitions claimed, and read them from where their cells stand."""
        numbers = [place.partition for place in places]
        positions: Mapping[int, int] = {}
        try:
            if self._listener is not None and numbers:
                positions = self._listener.on_assigned(numbers)
        except Exception as error:  # raised by `poll`: none may pass through the client's own code
            self._failure = error
        self._assigned |= set(numbers)
        waiting = self._ends_of([number for number in numbers if number not in positions])
        begin = {**waiting, **positions}
        consumer.incremental_assign([self._topic_partition(number, begin[number]) for number in numbers])
        self._starts.update(positions)
        for number in numbers:
            self._ends_reached.pop(number, None)
        # Whether a partition is paused outlives its going and coming back.
        consumer.resume([self._topic_partition(number) for number in positions])
        consumer.pause([self._topic_partition(number) for number in waiting])

    def _ends_of(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where those that cannot be claimed yet may wait: at their ends, as numbers.

        Given the end by name, the client looks it up; an answer that comes after a seek makes it look once more and go
        there, and what lies between is passed over. Where nobody answers, any number will do that leaves nothing out.
        """
        try:
            return {number: end for number, (_, end) in self.bounds(partitions).items()}
        except PipelineError:  # of whatever kind: none may pass through the client's own code
            return dict.fromkeys(partitions, 0)

    def _on_revoke(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        numbers = [place.partition for place in places]
        self._assigned -= set(numbers)
        self._revoked |= set(numbers)
        if self._listener is not None:
            self._listener.on_revoked(numbers)
        consumer.incremental_unassign(places)

    def _topic_partition(self, number: int, position: int | None = None) -> TopicPartition:
        if position is None:
            return TopicPartition(self._settings.topic, number)
        return TopicPartition(self._settings.topic, number, position)


def record_of(message: Message) -> Record:
    """The record that a message is."""
    headers = message.headers()
    origin = None
    if headers:
        said = dict(headers).get(ORIGIN)
        origin = said.decode("utf-8", "replace") if isinstance(said, bytes) else None
    partition, position = message.partition(), message.offset()
    if partition is None or position is None:
        raise UnrecoverableState("Kafka returned a record without a place")  # only errors have none
    return Record(partition, position, message.key(), message.value() or b"", message.timestamp()[1], origin)
