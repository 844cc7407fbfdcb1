"""Publishing records to Kafka."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import is_unknown_topic, new_producer, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import describe_topic

ORIGIN = "origin"
Headers = list[tuple[str, str | bytes | None]]
_POLL_S = 0.05
"""How long one poll serves delivery reports."""


def origin_header(record: Outgoing) -> Headers | None:
    """Return the header that holds a record's origin; None if it has no origin."""
    return None if record.origin is None else [(ORIGIN, record.origin.encode())]


class KafkaEventPublisher(EventPublisher):
    """Appends records to the topic; `publish` returns when all in-sync replicas have acknowledged all of them.

    The partitioner of the settings chooses the partition by the record's key, or by its value if it has no key.
    """

    def __init__(self, settings: KafkaSettings, observer: StageObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._partitions = describe_topic(settings, settings.topic).partitions
        self._partition_for = PARTITIONERS[settings.partitioner]
        self._producer = self._new_producer()
        self._process = OpeningProcess()

    @property
    def partitions(self) -> int:
        """How many partitions the log has."""
        return self._partitions

    def close(self) -> None:
        """Purge the producer's queue. A forked process does nothing: it has no sending threads."""
        if self._process.is_this:
            self._producer.purge()
            self._producer.flush(1)

    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records; wait for the acknowledgement of each.

        Raises:
            Unavailable: not all were acknowledged within the delivery timeout; or the process was forked since the
                publisher was opened, and has no sending threads.
        """
        self._process.check()
        delivered, failures, ends = 0, list[KafkaError](), dict[int, int]()

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            nonlocal delivered
            delivered += 1
            if error is not None:
                failures.append(error)
                return
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:  # negative if a duplicate was acknowledged
                ends[partition] = max(ends.get(partition, 0), offset + 1)

        deadline_s = time.monotonic() + self._settings.delivery_timeout_ms / 1000
        producer = self._producer
        for record in records:
            partition = record.partition
            if partition is None:
                partition = self._partition_for(record.value if record.key is None else record.key, self._partitions)
            headers = origin_header(record)
            while True:
                try:
                    producer.produce(
                        self._settings.topic,
                        value=record.value,
                        key=record.key,
                        partition=partition,
                        headers=headers,
                        on_delivery=on_delivery,
                    )
                    break
                except BufferError:
                    producer.poll(_POLL_S)
                    self._check_deadline(deadline_s, delivered, len(records))
                except KafkaException as error:
                    raise self._translate(error.args[0], len(records)) from None
        self._observer.reached(Stage.APPENDED, len(records))
        while delivered < len(records):
            producer.poll(_POLL_S)
            self._check_deadline(deadline_s + _POLL_S, delivered, len(records))
        if failures:
            raise self._translate(failures[0], len(records))
        self._observer.reached(Stage.ACKNOWLEDGED, len(records))
        return ends

    def _check_deadline(self, deadline_s: float, delivered: int, total: int) -> None:
        if time.monotonic() > deadline_s:
            raise Unavailable(
                f"Kafka at {self._settings.brokers} has acknowledged {delivered} of {counted(total, 'event')} in "
                f"{self._settings.delivery_timeout_ms / 1000:g} s; publish them again, with their ids, when it answers"
            )

    def _translate(self, error: KafkaError, total: int) -> Unavailable:
        if error.fatal():
            self._producer = self._new_producer()
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Unavailable(
                f"Kafka did not accept all of {counted(total, 'event')}, one is too large ({error.str()}): raise "
                f"max.message.bytes of topic {self._settings.topic} and message.max.bytes in [kafka.librdkafka], or "
                "leave it out"
            )
        found = translate_error(error, f"topic {self._settings.topic}")
        if isinstance(found, Unavailable | UnrecoverableState) or is_unknown_topic(error):
            return Unavailable(f"Kafka did not accept all of {counted(total, 'event')}: {found}")
        why = f"{error.str()}; publish them again, with ids"
        return Unavailable(f"Kafka did not accept all of {counted(total, 'event')}: {why}")

    def _new_producer(self) -> Producer:
        return new_producer(self._settings, {"delivery.timeout.ms": self._settings.delivery_timeout_ms})
