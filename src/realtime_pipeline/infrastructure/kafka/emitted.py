"""Searching the topics for emitted outputs, to recover a position after the group's committed offset is lost."""

import time
from collections.abc import Collection, Mapping
from typing import Final
from uuid import uuid4

import attrs
from confluent_kafka import OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import new_admin, new_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.publisher import Headers
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

EMITTED: Final = "emitted"
"""The header that names an output's transaction: group, partition, and the end of its range of records."""

CLOCK_SKEW_MAX_MS: Final = 3_600_000
SEARCH_S: Final = 60.0
BATCH_RECORDS: Final = 500


def emitted_header(group: str, partition: int, to_position: int) -> Headers:
    """Return the header that names the transaction in which an output is emitted."""
    return [(EMITTED, f"{group}/{partition}/{to_position}")]


@attrs.define
class _Search:
    """How far a group has emitted one partition's outputs; `is_foreign` if another writer may have emitted some."""

    group: str
    partition: int
    position: int
    is_foreign: bool = False

    def inspect(self, message: Message) -> None:
        """Read the header of one message."""
        raw = dict(message.headers() or {})
        headers = {name: value for name, value in raw.items() if isinstance(value, bytes)}
        group, partition, to_position = _parse_headers(headers)
        if partition != self.partition or to_position <= self.position:
            return
        if group == self.group:
            self.position = to_position
        else:
            self.is_foreign = True


def last_emitted(
    settings: KafkaSettings,
    topic_partitions: Collection[tuple[str, int]],
    partition: int,
    range_: tuple[int, int],
    since_ms: int,
) -> int | None:
    """Search for the outputs of the records [from, to) of one partition of the log.

    Args:
        settings: Where Kafka is, and the workers' group.
        topic_partitions: All topic partitions that may hold some of the outputs.
        partition: The partition of the log.
        range_: The positions from and to.
        since_ms: The earliest time at which the outputs can have been emitted.

    Returns:
        The position up to which the group has emitted the outputs. None if it cannot be determined: a topic no longer
        holds the records of that time, another group or an earlier release has emitted them, or there are too many
        to search.

    Raises:
        Unreachable: Kafka does not answer, or an open transaction hides some of the outputs.
    """
    from_position, to_position = range_
    search = _Search(settings.group, partition, from_position)
    consumer = new_consumer(
        settings, {"group.id": f"{settings.group}-emitted-{uuid4().hex}", "enable.partition.eof": True}
    )
    try:
        ends = _end_offsets(settings, topic_partitions)
        starts, is_whole = _start_offsets(consumer, settings, ends, since_ms - CLOCK_SKEW_MAX_MS)
        is_whole = _read(consumer, settings, starts, ends, search, to_position) and is_whole
    except KafkaException as error:
        raise translate_error(error.args[0], "the search for outputs") from None
    finally:
        consumer.close()
    if search.position >= to_position:
        return search.position
    return search.position if is_whole and not search.is_foreign else None


def _parse_headers(headers: Mapping[str, bytes]) -> tuple[str, int, int]:
    """Return the group, the partition and the end of the range of an output.

    The group is empty for a dead letter of an earlier release, which wrote no `emitted` header.
    """
    try:
        if EMITTED in headers:
            group, partition, to_position = headers[EMITTED].decode().rsplit("/", 2)
            return group, int(partition), int(to_position)
        return "", int(headers["partition"]), int(headers["position"]) + 1
    except (KeyError, ValueError):
        return "", -1, 0


def _end_offsets(settings: KafkaSettings, topic_partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return the current end offsets, those of open transactions included."""
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    requested = {TopicPartition(topic, number): latest for topic, number in topic_partitions}
    admin, timeout_s = new_admin(settings), settings.request_timeout_ms / 1000  # the futures need the admin alive
    offsets = admin.list_offsets(requested, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=timeout_s)
    return {
        (topic_partition.topic, topic_partition.partition): offset.result().offset
        for topic_partition, offset in offsets.items()
    }


def _start_offsets(
    consumer: Consumer, settings: KafkaSettings, ends: Mapping[tuple[str, int], int], since_ms: int
) -> tuple[list[TopicPartition], bool]:
    """Return the offsets to read records of a time or later from, and whether the topics still hold all of them."""
    timeout_s, is_whole = settings.request_timeout_ms / 1000, True
    times = [TopicPartition(topic, number, max(since_ms, 0)) for topic, number in ends]
    starts = consumer.offsets_for_times(times, timeout_s)
    for start in starts:
        if start.error is not None:
            raise KafkaException(start.error)
        watermark_offsets = consumer.get_watermark_offsets(TopicPartition(start.topic, start.partition), timeout_s)
        if watermark_offsets is None:
            raise Unreachable("Kafka does not return the watermark offsets of a topic")
        low = watermark_offsets[0]
        if start.offset in (OFFSET_END, -1):
            start.offset = ends[start.topic, start.partition]
        is_whole = is_whole and (low == 0 or low < start.offset)
    return [start for start in starts if start.offset < ends[start.topic, start.partition]], is_whole


def _read(
    consumer: Consumer,
    settings: KafkaSettings,
    starts: list[TopicPartition],
    ends: Mapping[tuple[str, int], int],
    search: _Search,
    enough: int,
) -> bool:
    """Inspect the messages between starts and ends.

    Returns:
        Whether all were inspected, or the position `enough` was found; false if the time was over before.
    """
    consumer.assign(starts)
    unread, deadline_s = {(start.topic, start.partition) for start in starts}, time.monotonic() + SEARCH_S
    while unread and search.position < enough:
        if time.monotonic() > deadline_s:
            return False
        messages = consumer.consume(1, settings.request_timeout_ms / 1000)
        messages += consumer.consume(BATCH_RECORDS, 0) if messages else []
        if not messages:
            raise Unreachable(f"Kafka at {settings.brokers} does not return what was emitted")
        for message in messages:
            error, topic_partition = message.error(), (message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            if error is None:
                search.inspect(message)
                offset += 1
            elif error.code() != KafkaError._PARTITION_EOF:
                if not error.retriable():
                    raise KafkaException(error)
                continue
            elif topic_partition in unread and offset < ends[topic_partition]:
                raise Unreachable(
                    f"topic {topic_partition[0]}: a transaction is open that may hold outputs; it is waited for"
                )
            if offset >= ends[topic_partition]:
                unread.discard(topic_partition)
    return True
