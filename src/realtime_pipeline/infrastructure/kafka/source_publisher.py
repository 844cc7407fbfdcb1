"""Publishing a source's records to the log in Kafka."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from realtime_pipeline.application.errors import PipelineError, RecoverableError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.source import Positions
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import is_unknown_topic, new_producer, translate_error
from realtime_pipeline.infrastructure.kafka.publisher import Headers, origin_header
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.source_positions import PARTITION, encode_position, read_positions
from realtime_pipeline.infrastructure.kafka.topics import describe_topic

ABORT_TIMEOUT_S: Final = 2.0
_FENCED: Final = frozenset(
    (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._STATE)
)
_TOO_LARGE: Final = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE))


class KafkaSourcePublisher(SourcePublisher):
    """Writes records to the log's topic and positions to a compacted topic, in one transaction.

    The transactional id is that of the source: a claim fences the producers before it, and ends their transactions.
    """

    def __init__(self, settings: KafkaSettings, observer: StageObserver, source: str) -> None:
        self._settings = settings
        self._observer = observer
        self._source = source
        self._log_id, self._partitions = "", 0
        self._partition_for = PARTITIONERS[settings.partitioner]
        self._producer: Producer | None = None
        self._process = OpeningProcess()

    def claim(self) -> Positions:
        """Fence earlier producers of the source, then read the positions that they committed."""
        self._process.check()
        topic = describe_topic(self._settings, self._settings.topic)
        describe_topic(self._settings, self._settings.source_positions_topic)
        self._log_id, self._partitions = topic.topic_id, topic.partitions  # a topic made again is another log
        digest = blake2b(f"{self._log_id}/{self._source}".encode(), digest_size=12).hexdigest()
        self.close()
        try:
            producer = new_producer(
                self._settings,
                {
                    "transactional.id": f"{self._settings.topic}-source-{digest}",
                    "transaction.timeout.ms": self._settings.transaction_timeout_ms,
                },
            )
            producer.init_transactions(self._timeout_s)
        except KafkaException as error:
            raise self._translate(error.args[0]) from None
        positions = read_positions(self._settings, self._log_id, self._source)
        self._producer = producer
        return positions

    def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
        """Write records and positions in one transaction."""
        self._process.check()
        producer = self._producer
        if producer is None:
            raise UnrecoverableState(f"{self._source} is not claimed: its last publication failed")
        try:
            producer.begin_transaction()
            for record in records:
                partition = record.partition
                if partition is None:
                    key = record.value if record.key is None else record.key
                    partition = self._partition_for(key, self._partitions)
                self._produce(
                    producer, self._settings.topic, record.key, record.value, partition, origin_header(record)
                )
            for part, position in positions.items():
                key, value = encode_position(self._log_id, self._source, part, position)
                self._produce(producer, self._settings.source_positions_topic, key, value, PARTITION, None)
            self._observer.reached(Stage.APPENDED, len(records))
            producer.commit_transaction(self._timeout_s)
        except KafkaException as error:
            self._abort()
            raise self._translate(error.args[0]) from None
        self._observer.reached(Stage.ACKNOWLEDGED, len(records))

    def close(self) -> None:
        """Drop the producer; the next claim, or the transaction's timeout, ends a transaction that is open."""
        if self._process.is_this and self._producer is not None:
            self._producer.purge()
        self._producer = None

    @property
    def _timeout_s(self) -> float:
        return self._settings.request_timeout_ms / 1000

    @staticmethod
    def _produce(
        producer: Producer, topic: str, key: bytes | None, value: bytes, partition: int, headers: Headers | None
    ) -> None:
        while True:
            try:
                producer.produce(topic, value=value, key=key, partition=partition, headers=headers)
                return
            except BufferError:
                producer.poll(0.05)  # a delivery that fails for good fails the transaction, which ends the loop

    def _abort(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # no transaction is open, or its timeout aborts it
                producer.abort_transaction(ABORT_TIMEOUT_S)

    def _translate(self, error: KafkaError) -> PipelineError | RecoverableError:
        if error.code() in _FENCED:
            return UnrecoverableState(f"another process reads {self._source} now: let only one run ({error.str()})")
        if error.code() in _TOO_LARGE:
            return Unavailable(
                f"Kafka did not accept a record of {self._source} ({error.str()}): raise max.message.bytes of topic "
                f"{self._settings.topic}, and message.max.bytes in [kafka.librdkafka]"
            )
        if is_unknown_topic(error):
            return UnrecoverableState(f"a topic is not there ({error.str()}): realtime-pipeline topics create")
        return translate_error(error, f"the records of {self._source}")
