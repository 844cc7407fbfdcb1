"""Publishing into Kafka."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import is_gone, made_producer, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import described

ORIGIN = "origin"
Headers = list[tuple[str, str | bytes | None]]
_SERVE_S = 0.05


def origin_header(record: Outgoing) -> Headers | None:
    """Where a record comes from, for its headers."""
    return None if record.origin is None else [(ORIGIN, record.origin.encode())]


class KafkaEventPublisher(EventPublisher):
    """Appends records to the topic; `publish` returns when all replicas in sync have all of them.

    Partitions are chosen here, by the partitioner of the settings: a record without a key goes by its own bytes.
    """

    def __init__(self, settings: KafkaSettings, observer: StageObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._partitions = described(settings, settings.topic).partitions
        self._partition_for = PARTITIONERS[settings.partitioner]
        self._producer = self._made()
        self._process = OpeningProcess()

    @property
    def partitions(self) -> int:
        """Into how many partitions the log is cut."""
        return self._partitions

    def close(self) -> None:
        """Give up what is still on its way; in a process that was forked there is nothing."""
        if self._process.is_this:
            self._producer.purge()
            self._producer.flush(1)

    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records; wait for the acknowledgement of each.

        Raises:
            Unavailable: not all were acknowledged in time; or the process was forked since, which leaves the threads
                that send behind.
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
            if partition is not None and offset is not None:  # negative where a repeat was acknowledged
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
                    producer.poll(_SERVE_S)
                    self._check(deadline_s, delivered, len(records))
                except KafkaException as error:
                    raise self._failed(error.args[0], len(records)) from None
        self._observer.reached(Stage.APPENDED, len(records))
        while delivered < len(records):
            producer.poll(_SERVE_S)
            self._check(deadline_s + _SERVE_S, delivered, len(records))
        if failures:
            raise self._failed(failures[0], len(records))
        self._observer.reached(Stage.ACKNOWLEDGED, len(records))
        return ends

    def _check(self, deadline_s: float, delivered: int, total: int) -> None:
        if time.monotonic() > deadline_s:
            raise Unavailable(
                f"Kafka at {self._settings.brokers} has acknowledged {delivered} of {counted(total, 'event')} in "
                f"{self._settings.delivery_timeout_ms / 1000:g} s; publish them again, with their ids, when it answers"
            )

    def _failed(self, error: KafkaError, total: int) -> Unavailable:
        if error.fatal():
            self._producer = self._made()
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Unavailable(
                f"Kafka did not take all of {counted(total, 'event')}, one is too large ({error.str()}): raise "
                f"max.message.bytes of topic {self._settings.topic} and message.max.bytes in [kafka.librdkafka], or "
                "leave it out"
            )
        found = translate_error(error, f"topic {self._settings.topic}")
        if isinstance(found, Unavailable | UnrecoverableState) or is_gone(error):
            return Unavailable(f"Kafka did not take all of {counted(total, 'event')}: {found}")
        why = f"{error.str()}; publish them again, with ids"
        return Unavailable(f"Kafka did not take all of {counted(total, 'event')}: {why}")

    def _made(self) -> Producer:
        return made_producer(self._settings, {"delivery.timeout.ms": self._settings.delivery_timeout_ms})
