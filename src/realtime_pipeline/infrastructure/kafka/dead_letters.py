"""Reading and handling dead letters in Kafka."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final

import attrs
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey, key_of
from realtime_pipeline.infrastructure.kafka.clients import new_producer, translate_error
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import DeadLetterTopic, Mark, mark_headers, select_ranges
from realtime_pipeline.infrastructure.kafka.publisher import origin_header
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import describe_topic

_FENCED: Final = frozenset((KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH))
ABORT_TIMEOUT_S: Final = 2.0
_ABORT_DELAY_S: Final = 12.0
"""How long after its timeout a worker's abandoned transaction may stay open: brokers abort such transactions every
10 s."""


@attrs.frozen
class _KnownMark:
    """A mark that was read or written, with its partition in the topic; the offset is None until it was read."""

    handling: Handling
    partition: int
    offset: int | None = None


class KafkaDeadLetters(DeadLetters):
    """Letters and marks of one topic: the outputs write the letters, this class writes a mark behind its letter.

    A batch's republished records and its marks are one transaction. All programs that handle letters use the same
    transactional id: the brokers abort the open transaction of an earlier producer and fence it. So all marks are
    known once the topic is read to its end offset of that moment, hidden messages included.
    """

    def __init__(self, settings: KafkaSettings, observer: StageObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._topic = DeadLetterTopic(settings)
        self._partition_for = PARTITIONERS[settings.partitioner]
        self._marks: dict[LetterKey, _KnownMark] = {}
        self._marks_read_to: dict[int, int] = {}
        self._low_offsets: dict[int, int] = {}
        self._lock = Lock()

    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read the topic twice: first the marks, then the letters, one partition after the other."""
        ranges = select_ranges(self._topic.bounds(), partitions)
        with self._lock:
            self._read_marks(ranges)
            marks = {key: mark.handling for key, mark in self._marks.items()}
        seen: set[LetterKey] = set()
        current = -1
        for number, _, found in self._topic.read(ranges, self._settings.request_timeout_ms / 1000):
            if number != current:  # all letters of a partition of the log lie in one partition of the topic
                current = number
                seen.clear()
            if isinstance(found, Mark) or (key := key_of(found)) in seen:
                continue
            seen.add(key)
            if partitions is None or key.partition in partitions:
                yield Letter(found, marks.get(key))

    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Write records and marks in one transaction; fence every other program that handles letters."""
        log_partitions = describe_topic(self._settings, self._settings.topic).partitions
        with self._lock:
            try:
                producer = self._fencing_producer()
                ranges = self._topic.bounds(IsolationLevel.READ_UNCOMMITTED)
                self._read_marks(ranges, self._settings.transaction_timeout_ms / 1000 + _ABORT_DELAY_S)
                due = {key: outgoing for key, outgoing in batch if key not in self._marks}
                self._observer.reached(Stage.FETCHED, len(due))
                if due:
                    self._transact(producer, due, handling, log_partitions, len(ranges))
            except KafkaException as error:
                raise self._translate(error.args[0]) from None
            self._marks.update((key, _KnownMark(handling, key.partition % len(ranges))) for key in due)
            return due.keys()

    def _read_marks(self, ranges: Mapping[int, tuple[int, int]], extra_wait_s: float = 0.0) -> None:
        """Read new marks up to the ends of partitions; drop the marks that the topic's retention has deleted."""
        if any(self._marks_read_to.get(number, 0) > end for number, (_, end) in ranges.items()):
            self._marks, self._marks_read_to = {}, {}  # the topic was deleted and created again
        lows = {number: low for number, (low, _) in ranges.items()}
        if any(low > self._low_offsets.get(number, 0) for number, low in lows.items()):
            self._low_offsets.update(lows)
            self._marks = {
                key: mark
                for key, mark in self._marks.items()
                if mark.offset is None or mark.offset >= self._low_offsets.get(mark.partition, 0)
            }
        unread = {
            number: (max(lows[number], self._marks_read_to.get(number, 0)), ranges[number][1]) for number in ranges
        }
        for number, offset, found in self._topic.read(unread, self._settings.request_timeout_ms / 1000 + extra_wait_s):
            if isinstance(found, Mark):
                known = self._marks.get(found.key)
                if known is None or known.offset is None:
                    self._marks[found.key] = _KnownMark(found.handling, number, offset)
        self._marks_read_to.update((number, end) for number, (_, end) in unread.items())

    def _fencing_producer(self) -> Producer:
        """Create a transactional producer that fences all earlier producers of the transactional id."""
        producer = new_producer(
            self._settings,
            {
                "transactional.id": f"{self._settings.dead_letters_topic}-handling",
                "transaction.timeout.ms": self._settings.transaction_timeout_ms,
            },
        )
        producer.init_transactions(self._settings.request_timeout_ms / 1000 + _ABORT_DELAY_S)
        return producer

    def _transact(
        self,
        producer: Producer,
        due: Mapping[LetterKey, Outgoing | None],
        handling: Handling,
        log_partitions: int,
        letter_partitions: int,
    ) -> None:
        records = [outgoing for outgoing in due.values() if outgoing is not None]
        producer.begin_transaction()
        try:
            for record in records:
                partition = self._partition_for(record.value if record.key is None else record.key, log_partitions)
                producer.produce(
                    self._settings.topic, record.value, record.key, partition, headers=origin_header(record)
                )
            for key in due:
                name, partition = f"{key.partition}-{key.position}".encode(), key.partition % letter_partitions
                headers = mark_headers(Mark(key, handling))
                producer.produce(self._settings.dead_letters_topic, b"", name, partition, headers=headers)
            producer.flush(self._settings.request_timeout_ms / 1000)
            self._observer.reached(Stage.APPENDED, len(due))
            producer.commit_transaction(self._settings.request_timeout_ms / 1000)
        except BaseException:
            with suppress(KafkaException):  # fenced, or the outcome is unknown: the next producer aborts it
                producer.abort_transaction(ABORT_TIMEOUT_S)
            raise
        self._observer.reached(Stage.ACKNOWLEDGED, len(due))

    def _translate(self, error: KafkaError) -> Unavailable | UnrecoverableState:
        if error.code() in _FENCED:
            return Unavailable(
                "another program handles dead letters at the same time, and nothing of this batch was done: "
                "let only one run, then run it again"
            )
        found = translate_error(error, "the dead letters")
        if isinstance(found, Unavailable | UnrecoverableState):
            return found
        return Unavailable(f"Kafka at {self._settings.brokers} did not accept the records to publish: {found}")
