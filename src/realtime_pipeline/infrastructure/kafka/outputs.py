"""Outputs in Kafka: dead letters, late events, records for the log, and the positions up to which they were emitted."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from realtime_pipeline.application.errors import (
    Fenced,
    PositionMismatch,
    RecoverableError,
    Unavailable,
    Unreachable,
    UnrecoverableState,
)
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.outputs import Emission, GroupOutputs, RecoverPosition, nothing_emitted
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent, late_in_order
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import call_with_timeout, new_producer, translate_error
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import DeadLetterTopic, letter_headers
from realtime_pipeline.infrastructure.kafka.emitted import emitted_header, last_emitted
from realtime_pipeline.infrastructure.kafka.group_offsets import GroupOffsets
from realtime_pipeline.infrastructure.kafka.late_events import late_event_headers, read_late_events
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.publisher import Headers, origin_header
from realtime_pipeline.infrastructure.kafka.settings import OPTION_TYPES, KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import OUTPUT_BYTES_MAX, describe_topic

FENCED = frozenset(
    (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._FENCED,
        KafkaError._STATE,
    )
)
ABORT_TIMEOUT_S = 2.0
OVERRUN_S = 1.0
"""How much longer than its own timeout a call may take."""
_TOO_LARGE = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE))


class KafkaOutputs(GroupOutputs):
    """Writes dead letters and late events to their topics, and records for the log to the log's topic.

    The position up to which outputs were emitted is the committed offset of the workers' consumer group. Outputs and
    offset are one transaction. An emission without outputs commits the offset alone, which costs a tenth. The group
    coordinator fences an earlier owner by its generation; reading the committed offset waits for a transaction that
    an earlier owner left open.
    """

    def __init__(self, settings: KafkaSettings, log: KafkaEventLog, observer: StageObserver) -> None:
        self._settings = settings
        self._log = log
        self._offsets = GroupOffsets(settings, log)
        self._process = OpeningProcess()
        self._observer = observer
        self._producer: Producer | None = None
        self._claimed: dict[int, tuple[int, int]] = {}
        self._partition_counts: dict[str, int] = {}
        self._partition_for = PARTITIONERS[settings.partitioner]

    @property
    def linger_ms(self) -> int:
        """How long to buffer emissions: a transaction takes some tens of milliseconds, whatever its size."""
        return self._settings.outputs_linger_ms

    def close(self) -> None:
        """Drop the producer; the transaction timeout aborts its open transaction."""
        self._producer = None

    @property
    def can_retract(self) -> bool:
        """False: a topic keeps its records until their retention ends."""
        return False

    def epoch(self, partition: int) -> int:
        """Return the epoch by which this process claimed the outputs; the group's generation is what fences others."""
        return self._claimed.get(partition, (0, 0))[0]

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Read the position once no transaction is open, and commit it again, which only the owner is allowed to do."""
        if epoch <= self.epoch(partition):
            raise Fenced(f"the outputs of partition {partition} have epoch {self.epoch(partition)} already")
        committed = self.committed_positions([partition])[partition]
        try:
            if committed is None:
                self._offsets.commit([self._offsets.placeholder(partition)])
            position = recover(self.search) if committed is None else committed
            self._offsets.commit([self._offsets.offset_of(partition, epoch, position)])
        except KafkaException as error:
            raise self._abort_and_translate(error.args[0]) from None
        self._claimed[partition] = (epoch, position)
        return position

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the group's committed positions; 0 for a partition that has none."""
        return {partition: position or 0 for partition, position in self.committed_positions(partitions).items()}

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read the positions that workers committed; None if there is none, or another tool deleted or changed it."""
        return self._offsets.committed(partitions)

    def restore(self, positions: Mapping[int, int]) -> None:
        """Commit positions while the group has no members, for the workers that claim the partitions next."""
        self._offsets.restore(positions)

    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        """Search for outputs in the topic partitions that they were written to."""
        topic_partitions: set[tuple[str, int]] = set()
        letters_topic, late_topic = self._settings.dead_letters_topic, self._settings.late_events_topic
        for emission in wanted:
            for topic, outputs in ((letters_topic, emission.dead_letters), (late_topic, emission.late_events)):
                if outputs:
                    topic_partitions.add((topic, emission.partition % self._count_partitions(topic)))
            topic_partitions |= {(self._settings.topic, self._partition_of(record)) for record in emission.outgoing}
        range_ = (wanted[0].from_position, wanted[-1].to_position)
        return last_emitted(self._settings, topic_partitions, wanted[0].partition, range_, since_ms)

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write outputs and positions in one transaction."""
        self._process.check()
        for emission in emissions:
            epoch, position = self._claimed.get(emission.partition, (0, 0))
            if emission.epoch != epoch:
                raise Fenced(f"the outputs of partition {emission.partition} have another epoch")
            if emission.from_position != position:
                raise PositionMismatch({emission.partition: position})
        offsets = [
            self._offsets.offset_of(emission.partition, emission.epoch, emission.to_position) for emission in emissions
        ]
        try:
            if any(emission.size for emission in emissions):
                self._transact(emissions, offsets)
            else:
                self._offsets.commit(offsets)
        except KafkaException as error:
            raise self._abort_and_translate(error.args[0]) from None
        except (Fenced, UnrecoverableState):  # a topic is not there
            self._abort()
            raise
        except Unreachable:
            self._producer = None  # a call on it has not returned; the transaction timeout aborts the transaction
            raise
        for emission in emissions:
            self._claimed[emission.partition] = (emission.epoch, emission.to_position)

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """Return the first dead letters by partition and position; read at most `limit` of each partition."""
        topic = DeadLetterTopic(self._settings)
        read = topic.read(topic.bounds(), self._settings.request_timeout_ms / 1000, limit)
        found = [letter for _, _, letter in read if isinstance(letter, DeadLetter)]
        found.sort(key=lambda letter: (letter.record.partition, letter.record.position))
        return found[:limit]

    def late_events(self, limit: int) -> Sequence[LateEvent]:
        """Return the first late events by partition and position; read at most `limit` of each partition."""
        return late_in_order([late for _, late in read_late_events(self._settings, limit=limit)])[:limit]

    def _transact(self, emissions: Sequence[Emission], offsets: list[TopicPartition]) -> None:
        """Produce the outputs, add the offsets, and commit the transaction."""
        timeout_s = self._settings.request_timeout_ms / 1000
        if self._producer is None:
            options: dict[str, OPTION_TYPES] = {
                "transactional.id": f"{self._settings.group}-{uuid4().hex}",
                "transaction.timeout.ms": self._settings.transaction_timeout_ms,
                "message.max.bytes": OUTPUT_BYTES_MAX,
            }
            self._producer = new_producer(self._settings, options)
            self._producer.init_transactions(timeout_s)
        producer = self._producer
        producer.begin_transaction()
        for emission in emissions:
            self._produce_outputs(producer, emission)
        if producer.flush(timeout_s) > 0:
            raise KafkaException(_delivery_error(producer))
        sent = sum(emission.size for emission in emissions)
        self._observer.reached(Stage.OUTPUTS_SENT, sent)
        group_metadata = self._offsets.group_metadata()
        call_with_timeout(
            timeout_s + OVERRUN_S,
            lambda: producer.send_offsets_to_transaction(offsets, group_metadata, timeout_s),
            "the group's offsets",
        )
        self._observer.reached(Stage.POSITIONS_SENT, sent)
        producer.commit_transaction(timeout_s)

    def _produce_outputs(self, producer: Producer, emission: Emission) -> None:
        """Produce the outputs of one partition."""
        emitted = emitted_header(self._settings.group, emission.partition, emission.to_position)
        letters_topic, late_topic = self._settings.dead_letters_topic, self._settings.late_events_topic
        described = [(letters_topic, letter.record, letter_headers(letter)) for letter in emission.dead_letters]
        described += [(late_topic, late.record, late_event_headers(late)) for late in emission.late_events]
        for topic, record, headers in described:
            partition = record.partition % self._count_partitions(topic)
            self._produce(producer, topic, record.key, record.value, partition, headers + emitted)
        topic = self._settings.topic
        for outgoing in emission.outgoing:
            headers = (origin_header(outgoing) or []) + emitted
            self._produce(producer, topic, outgoing.key, outgoing.value, self._partition_of(outgoing), headers)

    def _partition_of(self, record: Outgoing) -> int:
        return self._partition_for(record.value if record.key is None else record.key, self._log.identity.partitions)

    @staticmethod
    def _produce(
        producer: Producer, topic: str, key: bytes | None, value: bytes, partition: int, headers: Headers
    ) -> None:
        while True:
            try:
                producer.produce(topic, value=value, key=key, partition=partition, headers=headers)
                return
            except BufferError:
                producer.poll(0.05)  # a delivery that fails for good fails the transaction, which ends the loop

    def _abort_and_translate(self, error: KafkaError) -> RecoverableError | UnrecoverableState | Unavailable:
        """Abort the transaction and drop its producer; the next claim reads whether the transaction was committed."""
        self._abort()
        if error.code() in FENCED:
            return Fenced(f"the group has given these partitions to another worker: {error.str()}")
        if error.code() in _TOO_LARGE:
            return UnrecoverableState(
                f"a dead letter is larger than topic {self._settings.dead_letters_topic} accepts, or a late event than "
                f"topic {self._settings.late_events_topic} ({error.str()}): set its max.message.bytes to "
                f"{OUTPUT_BYTES_MAX}"
            )
        return translate_error(error, "the outputs")

    def _abort(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # no transaction is open, or its timeout aborts it
                producer.abort_transaction(ABORT_TIMEOUT_S)

    def _count_partitions(self, topic: str) -> int:
        if topic not in self._partition_counts:
            self._partition_counts[topic] = describe_topic(self._settings, topic).partitions
        return self._partition_counts[topic]


def _delivery_error(producer: Producer) -> KafkaError:
    """Return why a transaction has failed: a call that librdkafka rejects names the error, and does not block."""
    try:
        producer.begin_transaction()
    except KafkaException as error:
        found: KafkaError = error.args[0]
        if found.code() != KafkaError._STATE:
            return found
    return KafkaError(KafkaError._TIMED_OUT, "outputs were not acknowledged")
