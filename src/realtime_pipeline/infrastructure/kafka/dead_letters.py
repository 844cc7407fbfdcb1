"""Dead letters in Kafka."""

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
from realtime_pipeline.infrastructure.kafka.clients import made_producer, translate_error
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import LettersTopic, Mark, mark_headers, wanted
from realtime_pipeline.infrastructure.kafka.publisher import origin_header
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import described

_ANOTHER: Final = frozenset((KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH))
ABORT_S: Final = 2.0
_SLACK_S: Final = 12.0
"""How long, beyond its time-out, a worker's transaction that was left open may hide what lies behind it: brokers look
for such transactions every 10 s."""


@attrs.frozen
class _Marked:
    """A mark that is known, and where in the topic it lies; None as long as that was not read."""

    handling: Handling
    partition: int
    offset: int | None = None


class KafkaDeadLetters(DeadLetters):
    """The topic that outputs write into; a mark is a message of it, behind its letter.

    What is published again and its marks are one transaction. Whoever handles letters takes the same transactional id:
    the brokers then end the transaction of whoever came before, and refuse what that one still sends. So all marks are
    known, once they are read to the end that the topic has then, hidden messages included.
    """

    def __init__(self, settings: KafkaSettings, observer: StageObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._topic = LettersTopic(settings)
        self._partition_for = PARTITIONERS[settings.partitioner]
        self._marks: dict[LetterKey, _Marked] = {}
        self._marks_read: dict[int, int] = {}
        self._begins: dict[int, int] = {}
        self._lock = Lock()

    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read the topic twice: the marks, then the letters, a partition of it after the other."""
        ranges = wanted(self._topic.bounds(), partitions)
        with self._lock:
            self._read_marks(ranges)
            marks = {key: marked.handling for key, marked in self._marks.items()}
        seen: set[LetterKey] = set()
        now_in = -1
        for number, _, found in self._topic.read(ranges, self._settings.request_timeout_ms / 1000):
            if number != now_in:  # all letters of a record's partition lie in one of the topic's
                now_in = number
                seen.clear()
            if isinstance(found, Mark) or (key := key_of(found)) in seen:
                continue
            seen.add(key)
            if partitions is None or key.partition in partitions:
                yield Letter(found, marks.get(key))

    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Put records and marks into one transaction, as the only program that does."""
        log_partitions = described(self._settings, self._settings.topic).partitions
        with self._lock:
            try:
                producer = self._only_producer()
                ranges = self._topic.bounds(IsolationLevel.READ_UNCOMMITTED)
                self._read_marks(ranges, self._settings.transaction_timeout_ms / 1000 + _SLACK_S)
                due = {key: outgoing for key, outgoing in batch if key not in self._marks}
                self._observer.reached(Stage.FETCHED, len(due))
                if due:
                    self._transact(producer, due, handling, log_partitions, len(ranges))
            except KafkaException as error:
                raise self._failed(error.args[0]) from None
            self._marks.update((key, _Marked(handling, key.partition % len(ranges))) for key in due)
            return due.keys()

    def _read_marks(self, ranges: Mapping[int, tuple[int, int]], more_s: float = 0.0) -> None:
        """Read on to the ends of partitions, from where marks were read to before; drop what the topic has dropped."""
        if any(self._marks_read.get(number, 0) > end for number, (_, end) in ranges.items()):
            self._marks, self._marks_read = {}, {}  # the topic was made again
        begins = {number: begin for number, (begin, _) in ranges.items()}
        if any(begin > self._begins.get(number, 0) for number, begin in begins.items()):
            self._begins.update(begins)
            self._marks = {
                key: marked
                for key, marked in self._marks.items()
                if marked.offset is None or marked.offset >= self._begins.get(marked.partition, 0)
            }
        unread = {
            number: (max(begins[number], self._marks_read.get(number, 0)), ranges[number][1]) for number in ranges
        }
        for number, offset, found in self._topic.read(unread, self._settings.request_timeout_ms / 1000 + more_s):
            if isinstance(found, Mark):
                known = self._marks.get(found.key)
                if known is None or known.offset is None:
                    self._marks[found.key] = _Marked(found.handling, number, offset)
        self._marks_read.update((number, end) for number, (_, end) in unread.items())

    def _only_producer(self) -> Producer:
        """A producer that shuts all earlier ones out."""
        producer = made_producer(
            self._settings,
            {
                "transactional.id": f"{self._settings.dead_letters_topic}-handling",
                "transaction.timeout.ms": self._settings.transaction_timeout_ms,
            },
        )
        producer.init_transactions(self._settings.request_timeout_ms / 1000 + _SLACK_S)
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
            for one in records:
                partition = self._partition_for(one.value if one.key is None else one.key, log_partitions)
                producer.produce(self._settings.topic, one.value, one.key, partition, headers=origin_header(one))
            for key in due:
                name, partition = f"{key.partition}-{key.position}".encode(), key.partition % letter_partitions
                headers = mark_headers(Mark(key, handling))
                producer.produce(self._settings.dead_letters_topic, b"", name, partition, headers=headers)
            producer.flush(self._settings.request_timeout_ms / 1000)
            self._observer.reached(Stage.APPENDED, len(due))
            producer.commit_transaction(self._settings.request_timeout_ms / 1000)
        except BaseException:
            with suppress(KafkaException):  # it was shut out, or its outcome is open: whoever comes next ends it
                producer.abort_transaction(ABORT_S)
            raise
        self._observer.reached(Stage.ACKNOWLEDGED, len(due))

    def _failed(self, error: KafkaError) -> Unavailable | UnrecoverableState:
        if error.code() in _ANOTHER:
            return Unavailable(
                "another program handles dead letters at the same time, and nothing of this batch was done: "
                "let only one run, then run it again"
            )
        found = translate_error(error, "the dead letters")
        if isinstance(found, Unavailable | UnrecoverableState):
            return found
        return Unavailable(f"Kafka at {self._settings.brokers} did not take what was to be published: {found}")
