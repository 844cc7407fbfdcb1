"""What was emitted, as the topics have it: how far outputs were, where the group's offsets no longer say it."""

import time
from collections.abc import Collection, Mapping
from typing import Final
from uuid import uuid4

import attrs
from confluent_kafka import OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import made_admin, made_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.publisher import Headers
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

EMITTED: Final = "emitted"
"""The header that says in which transaction an output was emitted: group, partition, and where its range ends."""

CLOCKS_APART_MS: Final = 3_600_000
SEARCH_S: Final = 60.0
READ_AT_ONCE: Final = 500


def emitted_header(group: str, partition: int, to_position: int) -> Headers:
    """What an output says of the transaction it was emitted in."""
    return [(EMITTED, f"{group}/{partition}/{to_position}")]


@attrs.define
class _Found:
    """What was found of one partition behind a position; `is_foreign` where somebody else may have emitted it."""

    group: str
    partition: int
    position: int
    is_foreign: bool = False

    def see(self, message: Message) -> None:
        """Look at one record."""
        said = dict(message.headers() or {})
        headers = {name: value for name, value in said.items() if isinstance(value, bytes)}
        group, partition, to_position = _said(headers)
        if partition != self.partition or to_position <= self.position:
            return
        if group == self.group:
            self.position = to_position
        else:
            self.is_foreign = True


def last_emitted(
    settings: KafkaSettings, places: Collection[tuple[str, int]], partition: int, range_: tuple[int, int], since_ms: int
) -> int | None:
    """Look for outputs of the records [from, to) of a partition of the log, in all that may hold some.

    Returns the position up to which the group has emitted them; None where that cannot be told: records of that time
    are gone from a topic, another group or an earlier release has emitted them, or there are too many to look through.

    Raises:
        Unreachable: Kafka does not answer, or a transaction is open that hides what is looked for.
    """
    from_position, to_position = range_
    found = _Found(settings.group, partition, from_position)
    consumer = made_consumer(
        settings, {"group.id": f"{settings.group}-emitted-{uuid4().hex}", "enable.partition.eof": True}
    )
    try:
        ends = _ends(settings, places)
        starts, is_whole = _starts(consumer, settings, ends, since_ms - CLOCKS_APART_MS)
        is_whole = _read(consumer, settings, starts, ends, found, to_position) and is_whole
    except KafkaException as error:
        raise translate_error(error.args[0], "the search for outputs") from None
    finally:
        consumer.close()
    if found.position >= to_position:
        return found.position
    return found.position if is_whole and not found.is_foreign else None


def _said(headers: Mapping[str, bytes]) -> tuple[str, int, int]:
    """Group, partition, and end of the range that an output was emitted for; a letter of an earlier release has no
    group."""
    try:
        if EMITTED in headers:
            group, partition, to_position = headers[EMITTED].decode().rsplit("/", 2)
            return group, int(partition), int(to_position)
        return "", int(headers["partition"]), int(headers["position"]) + 1
    except (KeyError, ValueError):
        return "", -1, 0


def _ends(settings: KafkaSettings, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Where partitions end now, behind transactions that are open, too."""
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, number): latest for topic, number in places}
    admin, wait_s = (
        made_admin(settings),
        settings.request_timeout_ms / 1000,
    )  # kept: its answers come only as long as it is there
    answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=wait_s)
    return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}


def _starts(
    consumer: Consumer, settings: KafkaSettings, ends: Mapping[tuple[str, int], int], since_ms: int
) -> tuple[list[TopicPartition], bool]:
    """From where to read what is of a time or later, and whether none of that is gone."""
    wait_s, is_whole = settings.request_timeout_ms / 1000, True
    times = [TopicPartition(topic, number, max(since_ms, 0)) for topic, number in ends]
    starts = consumer.offsets_for_times(times, wait_s)
    for place in starts:
        if place.error is not None:
            raise KafkaException(place.error)
        bounds = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), wait_s)
        if bounds is None:
            raise Unreachable("Kafka does not say how far a topic reaches")
        first = bounds[0]
        if place.offset in (OFFSET_END, -1):
            place.offset = ends[place.topic, place.partition]
        is_whole = is_whole and (first == 0 or first < place.offset)
    return [place for place in starts if place.offset < ends[place.topic, place.partition]], is_whole


def _read(
    consumer: Consumer,
    settings: KafkaSettings,
    starts: list[TopicPartition],
    ends: Mapping[tuple[str, int], int],
    found: _Found,
    enough: int,
) -> bool:
    """Look at what lies between starts and ends; say whether all was looked at, or enough found."""
    consumer.assign(starts)
    unread, until_s = {(place.topic, place.partition) for place in starts}, time.monotonic() + SEARCH_S
    while unread and found.position < enough:
        if time.monotonic() > until_s:
            return False
        messages = consumer.consume(1, settings.request_timeout_ms / 1000)
        messages += consumer.consume(READ_AT_ONCE, 0) if messages else []
        if not messages:
            raise Unreachable(f"Kafka at {settings.brokers} does not return what was emitted")
        for message in messages:
            error, place = message.error(), (message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            if error is None:
                found.see(message)
                offset += 1
            elif error.code() != KafkaError._PARTITION_EOF:
                if not error.retriable():
                    raise KafkaException(error)
                continue
            elif place in unread and offset < ends[place]:
                raise Unreachable(f"topic {place[0]}: a transaction is open that may hold outputs; it is waited for")
            if offset >= ends[place]:
                unread.discard(place)
    return True
