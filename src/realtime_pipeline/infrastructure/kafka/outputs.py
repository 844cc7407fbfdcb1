"""Outputs in Kafka."""

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
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import made_producer, translate_error, within
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import LettersTopic, letter_headers
from realtime_pipeline.infrastructure.kafka.emitted import emitted_header, last_emitted
from realtime_pipeline.infrastructure.kafka.group_offsets import GroupOffsets
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.publisher import Headers, origin_header
from realtime_pipeline.infrastructure.kafka.settings import OPTION_TYPES, KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import OUTPUT_BYTES_MAX, described

FENCED = frozenset(
    (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._FENCED,
        KafkaError._STATE,
    )
)
ABORT_S = 2.0
RETURN_S = 1.0
"""How much longer than its own time-out a call may take."""
_TOO_LARGE = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE))


class KafkaOutputs(GroupOutputs):
    """Dead letters in a topic of their own, what is for the log in the log's; how far outputs are emitted is the offset
    that the group has committed.

    Outputs and offset go into one transaction. Where nothing was put out, the offset alone is committed, which costs
    a tenth. An owner of earlier times is shut out by its generation in the group; a transaction that it left open is
    waited for by whoever reads the offset.
    """

    def __init__(self, settings: KafkaSettings, log: KafkaEventLog, observer: StageObserver) -> None:
        self._settings = settings
        self._log = log
        self._offsets = GroupOffsets(settings, log)
        self._process = OpeningProcess()
        self._observer = observer
        self._producer: Producer | None = None
        self._stand: dict[int, tuple[int, int]] = {}
        self._letter_partitions: int | None = None
        self._partition_for = PARTITIONERS[settings.partitioner]

    @property
    def linger_ms(self) -> int:
        """A transaction takes some tens of milliseconds, however much is in it."""
        return self._settings.outputs_linger_ms

    def close(self) -> None:
        """Give up what is open."""
        self._producer = None

    @property
    def can_retract(self) -> bool:
        """What is in a topic stays until its retention ends."""
        return False

    def epoch(self, partition: int) -> int:
        """The epoch by which this process claimed outputs; what shuts others out is the group's generation."""
        return self._stand.get(partition, (0, 0))[0]

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Read the position, once no transaction is open any more; commit it again: the group refuses non-owners."""
        if epoch <= self.epoch(partition):
            raise Fenced(f"the outputs of partition {partition} have epoch {self.epoch(partition)} already")
        known = self.committed_positions([partition])[partition]
        try:
            if known is None:
                self._offsets.commit([self._offsets.unknown(partition)])
            position = recover(self.search) if known is None else known
            self._offsets.commit([self._offsets.place(partition, epoch, position)])
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        self._stand[partition] = (epoch, position)
        return position

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read what the group has committed; 0 where it has nothing."""
        return {partition: position or 0 for partition, position in self.committed_positions(partitions).items()}

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read what workers have committed; None where they have not, or somebody else has deleted or changed it."""
        return self._offsets.known(partitions)

    def restore(self, positions: Mapping[int, int]) -> None:
        """Commit positions, while the group has no members: what a worker that claims then goes by."""
        self._offsets.restore(positions)

    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        """Look for outputs where they would be."""
        places: set[tuple[str, int]] = set()
        for one in wanted:
            if one.dead_letters:
                places.add((self._settings.dead_letters_topic, one.partition % self._topic_partitions()))
            places |= {(self._settings.topic, self._partition_of(record)) for record in one.outgoing}
        range_ = (wanted[0].from_position, wanted[-1].to_position)
        return last_emitted(self._settings, places, wanted[0].partition, range_, since_ms)

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Put outputs and positions out, in one transaction."""
        self._process.check()
        for one in emissions:
            epoch, position = self._stand.get(one.partition, (0, 0))
            if one.epoch != epoch:
                raise Fenced(f"the outputs of partition {one.partition} have another epoch")
            if one.from_position != position:
                raise PositionMismatch({one.partition: position})
        places = [self._offsets.place(one.partition, one.epoch, one.to_position) for one in emissions]
        try:
            if any(one.dead_letters or one.outgoing for one in emissions):
                self._transact(emissions, places)
            else:
                self._offsets.commit(places)
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        except Fenced:
            self._abort()
            raise
        except Unreachable:
            self._producer = None  # a call on it has not returned; its time-out ends the transaction
            raise
        for one in emissions:
            self._stand[one.partition] = (one.epoch, one.to_position)

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position; of each partition at most `limit` are read."""
        topic = LettersTopic(self._settings)
        read = topic.read(topic.bounds(), self._settings.request_timeout_ms / 1000, limit)
        found = [letter for _, _, letter in read if isinstance(letter, DeadLetter)]
        found.sort(key=lambda letter: (letter.record.partition, letter.record.position))
        return found[:limit]

    def _transact(self, emissions: Sequence[Emission], places: list[TopicPartition]) -> None:
        wait_s = self._settings.request_timeout_ms / 1000
        if self._producer is None:
            transactional_id, timeout_ms = (
                f"{self._settings.group}-{uuid4().hex}",
                self._settings.transaction_timeout_ms,
            )
            more: dict[str, OPTION_TYPES] = {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "message.max.bytes": OUTPUT_BYTES_MAX,
            }
            self._producer = made_producer(self._settings, more)
            self._producer.init_transactions(wait_s)
        producer = self._producer
        producer.begin_transaction()
        for emission in emissions:
            self._put_out(producer, emission)
        if producer.flush(wait_s) > 0:
            raise KafkaException(_why_undelivered(producer))
        sent = sum(len(one.dead_letters) + len(one.outgoing) for one in emissions)
        self._observer.reached(Stage.OUTPUTS_SENT, sent)
        membership = self._offsets.membership()
        within(
            wait_s + RETURN_S,
            lambda: producer.send_offsets_to_transaction(places, membership, wait_s),
            "the group's offsets",
        )
        self._observer.reached(Stage.POSITIONS_SENT, sent)
        producer.commit_transaction(wait_s)

    def _put_out(self, producer: Producer, emission: Emission) -> None:
        """Send the outputs of one partition."""
        partitions = self._topic_partitions()
        of_whom = emitted_header(self._settings.group, emission.partition, emission.to_position)
        for letter in emission.dead_letters:
            record, topic = letter.record, self._settings.dead_letters_topic
            headers = letter_headers(letter) + of_whom
            self._produce(producer, topic, record.key, record.value, record.partition % partitions, headers)
        for one in emission.outgoing:
            headers = (origin_header(one) or []) + of_whom
            self._produce(producer, self._settings.topic, one.key, one.value, self._partition_of(one), headers)

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
                producer.poll(0.05)  # a delivery that fails for good ends the transaction, and so the wait

    def _refused(self, error: KafkaError) -> RecoverableError | UnrecoverableState | Unavailable:
        """Give the transaction up, with its producer: whether it was committed is read back by the next claim."""
        self._abort()
        if error.code() in FENCED:
            return Fenced(f"the group has given these partitions to another worker: {error.str()}")
        if error.code() in _TOO_LARGE:
            return UnrecoverableState(
                f"a dead letter is larger than topic {self._settings.dead_letters_topic} takes ({error.str()}): set "
                f"its max.message.bytes to {OUTPUT_BYTES_MAX}"
            )
        return translate_error(error, "the outputs")

    def _abort(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # there is none open, or its time-out ends it
                producer.abort_transaction(ABORT_S)

    def _topic_partitions(self) -> int:
        if self._letter_partitions is None:
            self._letter_partitions = described(self._settings, self._settings.dead_letters_topic).partitions
        return self._letter_partitions


def _why_undelivered(producer: Producer) -> KafkaError:
    """Why a transaction has failed, as a call that it refuses says; the next step would wait for its end for ever."""
    try:
        producer.begin_transaction()
    except KafkaException as error:
        found: KafkaError = error.args[0]
        if found.code() != KafkaError._STATE:
            return found
    return KafkaError(KafkaError._TIMED_OUT, "outputs were not acknowledged")
