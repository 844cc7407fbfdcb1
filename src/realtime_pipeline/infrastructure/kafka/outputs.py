"""Outputs in Kafka."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from realtime_pipeline.application.errors import Fenced, Refusal, Stopped, Superseded, Unavailable, Unreachable
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.infrastructure.kafka.clients import made_producer, meaning, within
from realtime_pipeline.infrastructure.kafka.letters import LettersTopic, letter_headers
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.publisher import Headers, origin_header
from realtime_pipeline.infrastructure.kafka.rules import OPTION_TYPES, KafkaRules
from realtime_pipeline.infrastructure.kafka.topics import OUTPUT_BYTES_MAX, described

_NOT_MINE = frozenset(
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


class KafkaOutputs(Outputs):
    """Dead letters in a topic of their own, what is for the log in the log's; how far outputs are emitted is the offset
    that the group has committed.

    Outputs and offset go into one transaction. Where nothing was put out, the offset alone is committed, which costs
    a tenth. An owner of earlier times is shut out by its generation in the group; a transaction that it left open is
    waited for by whoever reads the offset.
    """

    def __init__(self, rules: KafkaRules, log: KafkaEventLog, stages: Stages) -> None:
        self._rules = rules
        self._log = log
        self._stages = stages
        self._producer: Producer | None = None
        self._stand: dict[int, tuple[int, int]] = {}
        self._letter_partitions: int | None = None
        self._partition_for = PARTITIONERS[rules.partitioner]

    @property
    def gather_ms(self) -> int:
        """A transaction takes some tens of milliseconds, however much is in it."""
        return self._rules.gather_ms

    def close(self) -> None:
        """Give up what is open."""
        self._producer = None

    @property
    def takes_back(self) -> bool:
        """What is in a topic stays until its retention ends."""
        return False

    def epoch(self, partition: int) -> int:
        """The epoch by which this process claimed outputs; what shuts others out is the group's generation."""
        return self._stand.get(partition, (0, 0))[0]

    def claim(self, partition: int, epoch: int) -> int:
        """Read the position, once no transaction is open any more; commit it again: the group refuses non-owners."""
        if epoch <= self.epoch(partition):
            raise Fenced(f"the outputs of partition {partition} have epoch {self.epoch(partition)} already")
        position = self.positions([partition])[partition]
        try:
            self._commit([TopicPartition(self._rules.topic, partition, position, metadata=f"epoch={epoch}")])
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        self._stand[partition] = (epoch, position)
        return position

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read what the group has committed."""
        places = [TopicPartition(self._rules.topic, partition) for partition in partitions]
        wait_s = (self._rules.answer_ms + self._rules.transaction_ms) / 1000
        try:
            found = self._log.consumer.committed(places, wait_s)
        except KafkaException as error:
            raise meaning(error.args[0], "the group's offsets") from None
        for place in found:
            if place.error is not None:
                raise Unreachable(f"the group's offset of partition {place.partition}: {place.error.str()}")
        return {place.partition: max(place.offset, 0) for place in found}

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Put outputs and positions out, in one transaction."""
        for one in emissions:
            epoch, position = self._stand.get(one.partition, (0, 0))
            if one.epoch != epoch:
                raise Fenced(f"the outputs of partition {one.partition} have another epoch")
            if one.from_position != position:
                raise Superseded({one.partition: position})
        places = [
            TopicPartition(self._rules.topic, one.partition, one.to_position, metadata=f"epoch={one.epoch}")
            for one in emissions
        ]
        letters = [letter for one in emissions for letter in one.dead_letters]
        outgoing = [record for one in emissions for record in one.outgoing]
        try:
            if letters or outgoing:
                self._transact(letters, outgoing, places)
            else:
                self._commit(places)
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        except Fenced:
            self._give_up()
            raise
        except Unreachable:
            self._producer = None  # a call on it has not returned; its time-out ends the transaction
            raise
        for one in emissions:
            self._stand[one.partition] = (one.epoch, one.to_position)

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position; of each partition at most `limit` are read."""
        topic = LettersTopic(self._rules)
        read = topic.read(topic.bounds(), self._rules.answer_ms / 1000, limit)
        found = [letter for _, _, letter in read if isinstance(letter, DeadLetter)]
        found.sort(key=lambda letter: (letter.record.partition, letter.record.position))
        return found[:limit]

    def _transact(
        self, letters: Sequence[DeadLetter], outgoing: Sequence[Outgoing], places: list[TopicPartition]
    ) -> None:
        wait_s = self._rules.answer_ms / 1000
        if self._producer is None:
            transactional_id, timeout_ms = f"{self._rules.group}-{uuid4().hex}", self._rules.transaction_ms
            more: dict[str, OPTION_TYPES] = {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "message.max.bytes": OUTPUT_BYTES_MAX,
            }
            self._producer = made_producer(self._rules, more)
            self._producer.init_transactions(wait_s)
        producer, partitions = self._producer, self._known_topic_partitions()
        producer.begin_transaction()
        for letter in letters:
            record, topic, headers = letter.record, self._rules.dead_letters_topic, letter_headers(letter)
            self._produce(producer, topic, record.key, record.value, record.partition % partitions, headers)
        for one in outgoing:
            partition = self._partition_for(one.value if one.key is None else one.key, self._log.identity.partitions)
            self._produce(producer, self._rules.topic, one.key, one.value, partition, origin_header(one))
        producer.flush(wait_s)
        self._stages.reached(Stage.OUTPUTS_SENT, len(letters) + len(outgoing))
        membership = self._membership()
        within(
            wait_s + RETURN_S,
            lambda: producer.send_offsets_to_transaction(places, membership, wait_s),
            "the group's offsets",
        )
        self._stages.reached(Stage.POSITIONS_SENT, len(letters) + len(outgoing))
        producer.commit_transaction(wait_s)

    @staticmethod
    def _produce(
        producer: Producer, topic: str, key: bytes | None, value: bytes, partition: int, headers: Headers | None
    ) -> None:
        while True:
            try:
                producer.produce(topic, value=value, key=key, partition=partition, headers=headers)
                return
            except BufferError:
                producer.poll(0.05)  # a delivery that fails for good ends the transaction, and so the wait

    def _membership(self) -> Any:
        """What the group knows this worker by. Without it brokers take offsets from anybody."""
        membership = self._log.consumer.consumer_group_metadata()
        if not self._log.consumer.memberid():  # in this order: what is lost in between is not got back before a poll
            raise Fenced("this worker is no member of its group any more")
        return membership

    def _commit(self, places: list[TopicPartition]) -> None:
        self._membership()
        for place in self._log.consumer.commit(offsets=places, asynchronous=False) or []:
            if place.error is not None:
                raise KafkaException(place.error)

    def _refused(self, error: KafkaError) -> Refusal | Stopped | Unavailable:
        """Give the transaction up, with its producer: whether it was committed is read back by the next claim."""
        self._give_up()
        if error.code() in _NOT_MINE:
            return Fenced(f"the group has given these partitions to another worker: {error.str()}")
        if error.code() in _TOO_LARGE:
            return Stopped(
                f"a dead letter is larger than topic {self._rules.dead_letters_topic} takes ({error.str()}): set its "
                f"max.message.bytes to {OUTPUT_BYTES_MAX}"
            )
        return meaning(error, "the outputs")

    def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # there is none open, or its time-out ends it
                producer.abort_transaction(ABORT_S)

    def _known_topic_partitions(self) -> int:
        """As below, for the worker, who waits where nobody answers."""
        try:
            return self._topic_partitions()
        except Unavailable as silence:
            raise Unreachable(str(silence)) from None

    def _topic_partitions(self) -> int:
        if self._letter_partitions is None:
            self._letter_partitions = described(self._rules, self._rules.dead_letters_topic).partitions
        return self._letter_partitions
