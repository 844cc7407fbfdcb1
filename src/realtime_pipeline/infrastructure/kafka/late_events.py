"""Late events in Kafka: the messages of their topic, and reading them."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from confluent_kafka import IsolationLevel, Message

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.formats import FORMAT, LATE_EVENT
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import select_ranges
from realtime_pipeline.infrastructure.kafka.publisher import Headers
from realtime_pipeline.infrastructure.kafka.read_range import open_consumer, read_range
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import topic_bounds

_NUMBERS: Final = re.compile(r"[1-9]\d{0,8} [1-9]\d{0,8}", re.ASCII)
_MISSED: Final = re.compile(r"([a-z0-9_]+)=(\d{1,9})", re.ASCII)


def late_event_headers(late: LateEvent) -> Headers:
    """Return the headers of a late event, whose message has the key and the value of the record."""
    record = late.record
    values = {
        "partition": record.partition,
        "position": record.position,
        "appended_at_ms": record.appended_at_ms,
        "missed": " ".join(f"{missed.definition}={missed.windows}" for missed in late.missed),
        "occurred_at_ms": late.occurred_at_ms,
        "time_ms": late.time_ms,
        "origin": record.origin,
        "customer_id": late.customer_id,
        FORMAT: LATE_EVENT.in_words,
    }
    return [(name, str(value)) for name, value in values.items() if value is not None]


def decode_late_event(message: Message) -> LateEvent | None:
    """Decode a message of the topic; return None if another program wrote it.

    Raises:
        NewerRelease: a newer release wrote the message in a format that this one cannot read.
    """
    raw = dict(message.headers() or {})
    headers = {name: value.decode(errors="replace") for name, value in raw.items() if isinstance(value, bytes)}
    if _NUMBERS.fullmatch(headers.get(FORMAT, "")):
        LATE_EVENT.check([int(number) for number in headers[FORMAT].split()])
    try:
        partition, position, appended_at_ms, occurred_at_ms, time_ms = (
            int(headers[name]) for name in ("partition", "position", "appended_at_ms", "occurred_at_ms", "time_ms")
        )
        missed = tuple(MissedWindows(name, int(number)) for name, number in _MISSED.findall(headers["missed"]))
    except (KeyError, ValueError):
        return None
    customer_id = headers.get("customer_id")
    record = Record(partition, position, message.key(), message.value() or b"", appended_at_ms, headers.get("origin"))
    return LateEvent(record, missed, occurred_at_ms, time_ms, None if customer_id is None else CustomerId(customer_id))


def read_late_events(
    settings: KafkaSettings, partitions: Collection[int] | None = None, limit: int | None = None
) -> Iterator[tuple[int, LateEvent]]:
    """Read the late events that the topic has now, one of its partitions after the other; yield each with that number.

    Args:
        settings: Where Kafka is, and the topic.
        partitions: Only partitions of the topic that hold late events of these partitions of the log.
        limit: How many to read of each partition of the topic at most.

    Raises:
        Unavailable: Kafka does not answer, or an open transaction hides some of them.
    """
    name, wait_s = settings.late_events_topic, settings.request_timeout_ms / 1000
    with open_consumer(settings, "the late events") as consumer:
        for number, (begin, end) in sorted(select_ranges(_bounds(settings), partitions).items()):
            read = 0
            for message in read_range(consumer, name, number, begin, end, wait_s):
                late = decode_late_event(message)
                if late is not None:
                    yield number, late
                    read += 1
                if read == limit:
                    break


def _bounds(settings: KafkaSettings) -> Mapping[int, tuple[int, int]]:
    """The offsets of the topic; none where there is no topic: a worker that had a late event would have said so."""
    try:
        return topic_bounds(settings, settings.late_events_topic, IsolationLevel.READ_COMMITTED)
    except UnrecoverableState:
        return {}


class KafkaLateEvents(LateEvents):
    """Reads the topic; nothing is written there but by the outputs."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def late_events(self, partitions: Collection[int] | None = None) -> Iterator[LateEvent]:
        """Read one partition of the topic after the other, each late event once."""
        seen: set[tuple[int, int, int]] = set()
        current = -1
        for number, late in read_late_events(self._settings, partitions):
            if number != current:  # all of a partition of the log lie in one partition of the topic
                current = number
                seen.clear()
            record = late.record
            key = record.partition, record.position, record.appended_at_ms
            if key not in seen and (partitions is None or record.partition in partitions):
                yield late
            seen.add(key)
