"""Classifies each record as far as the record alone decides its class, and groups the other events by customer."""

from collections.abc import Callable
from sys import intern
from typing import Final
from zlib import crc32

import attrs

from harness.oracle.identity import APPENDED_AT_MS, KEY_STRIDE, LATEST_MS, KeyedEvent, merge_event
from harness.oracle.listings import NEVER_MS, TickRecord, WindowTick
from harness.oracle.profile import country_of
from harness.oracle.visitor_profile import MergeMessage, OracleDecoded
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ANONYMOUS, NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected, Tick, WatermarkTick

UNREADABLE: Final = "unreadable"
"""Replaces the reason codes of all records that cannot be decoded: two decoders may report different faults first."""

PartitionOf = Callable[[CustomerId], int]
"""The partition that must hold a customer's records: by the hash of the user id, else of the session id."""

DeadLetter = tuple[int, int, str, CustomerId | None]
"""Partition, position, reason code and customer of a rejected record."""


@attrs.define
class ClassifiedRecords:
    """The records that have a class, counted; and the events of each customer, which are classified together later.

    `message_times_ms` has the times in the log of forgettings and merged profiles, by customer and event id: where a
    clock was ahead, they count as of an earlier time. `letter_checksums` has a checksum of each rejected record, by
    partition and position. `appended_ms` is the append time of the latest record of each partition;
    `appended_ms_of_ahead` that of records whose event time is later than their append time. `ticks` are those of each
    partition that move its watermark, `window_ticks` those that move the time of windows. `stock_events` state a stock;
    their watermark decides their class; `stock_checksums` has theirs.
    """

    counts: dict[RecordClass, int]
    by_customer: dict[CustomerId, list[KeyedEvent]] = attrs.Factory(dict)
    without_customer: list[KeyedEvent] = attrs.Factory(list)
    dead_letters: list[DeadLetter] = attrs.Factory(list)
    forgettings: list[tuple[int, int, CustomerId]] = attrs.Factory(list)
    message_times_ms: dict[tuple[CustomerId, str], list[int]] = attrs.Factory(dict)
    letter_checksums: dict[tuple[int, int], int] = attrs.Factory(dict)
    appended_ms: dict[int, int] = attrs.Factory(dict)
    appended_ms_of_ahead: dict[SessionKey, int] = attrs.Factory(dict)
    ticks: dict[int, list[TickRecord]] = attrs.Factory(dict)
    window_ticks: dict[SessionKey, WindowTick] = attrs.Factory(dict)
    stock_events: list[KeyedEvent] = attrs.Factory(list)
    stock_checksums: dict[tuple[int, int], int] = attrs.Factory(dict)


def classify(
    record: Record,
    decoded: OracleDecoded,
    max_future_skew_ms: int,
    partition_of: PartitionOf,
    classified: ClassifiedRecords,
) -> None:
    """Classify a record, and add it to `classified`."""
    appended_ms = classified.appended_ms
    appended_before_ms = appended_ms.get(record.partition, NEVER_MS)
    appended_ms[record.partition] = max(record.appended_at_ms, appended_ms.get(record.partition, record.appended_at_ms))
    if isinstance(decoded, Tick):
        classified.counts[RecordClass.CONTROL] += 1
        key = SessionKey(record.position * KEY_STRIDE + record.partition)
        classified.window_ticks[key] = WindowTick(decoded, record.appended_at_ms, appended_before_ms)
    elif isinstance(decoded, WatermarkTick):
        classified.counts[RecordClass.CONTROL] += 1
        tick = TickRecord(record.position, record.appended_at_ms, appended_before_ms, decoded.floor_ms)
        classified.ticks.setdefault(record.partition, []).append(tick)
    elif isinstance(decoded, Ignored):
        classified.counts[RecordClass.IGNORED] += 1
    elif (reason := _rejection(record, decoded, max_future_skew_ms, partition_of)) is not None:
        classified.counts[RecordClass.DEAD_LETTER] += 1
        classified.dead_letters.append((record.partition, record.position, reason, decoded.customer_id))
        classified.letter_checksums[record.partition, record.position] = checksum_of(record)
    elif isinstance(decoded, Event | MergeMessage):
        event = merge_event(decoded) if isinstance(decoded, MergeMessage) else _without_unused_fields(decoded)
        if not _may_be_rejected(decoded):
            latest_ms = record.appended_at_ms + max_future_skew_ms
            event = event._replace(
                occurred_at_ms=min(event.occurred_at_ms, latest_ms),
                properties={**event.properties, LATEST_MS: latest_ms},
            )
        keyed = SessionKey(record.position * KEY_STRIDE + record.partition), event
        if isinstance(decoded, Event) and decoded.forwarded is None and event.occurred_at_ms > record.appended_at_ms:
            keyed = keyed[0], event._replace(properties={**event.properties, APPENDED_AT_MS: record.appended_at_ms})
        if event.occurred_at_ms > record.appended_at_ms:
            classified.appended_ms_of_ahead[keyed[0]] = record.appended_at_ms
        if event.facts.get("stock") is not None:
            classified.stock_events.append(keyed)
            classified.stock_checksums[record.partition, record.position] = checksum_of(record)
        elif decoded.customer_id is None:
            classified.counts[RecordClass.APPLIED] += 1
            classified.without_customer.append(keyed)
        else:
            classified.by_customer.setdefault(decoded.customer_id, []).append(keyed)
            if not _may_be_rejected(decoded):
                name = decoded.customer_id, event.event_id
                classified.message_times_ms.setdefault(name, []).append(decoded.occurred_at_ms)


def is_kept(letter: DeadLetter, classified: ClassifiedRecords) -> bool:
    """Whether a dead letter is kept: a forgetting erases the customer's earlier dead letters of its partition."""
    partition, position, _, customer_id = letter
    return not any(
        (forgotten_in, forgotten_id) == (partition, customer_id) and position < forgotten_at
        for forgotten_in, forgotten_at, forgotten_id in classified.forgettings
    )


def _rejection(
    record: Record, decoded: Event | MergeMessage | Rejected, max_future_skew_ms: int, partition_of: PartitionOf
) -> str | None:
    """The reason code of a record that is a dead letter whatever came before it; None for other records."""
    if isinstance(decoded, Rejected):
        return UNREADABLE
    if decoded.customer_id is not None and partition_of(decoded.customer_id) != record.partition:
        return "misrouted"
    is_ahead = decoded.occurred_at_ms - record.appended_at_ms > max_future_skew_ms
    is_original = isinstance(decoded, Event) and decoded.forwarded is None
    return "in_the_future" if is_ahead and is_original and _may_be_rejected(decoded) else None


def checksum_of(record: Record) -> int:
    """A checksum of a record: of its key, value, origin and append time."""
    return crc32(repr((record.key, record.value, record.origin, record.appended_at_ms)).encode(errors="replace"))


def _may_be_rejected(decoded: Event | MergeMessage) -> bool:
    """Whether a record is rejected where its time is too far in the future.

    A forgetting or a merged profile never is: it counts as of the latest time that an event may have.
    """
    return isinstance(decoded, Event) and decoded.kind is not EventKind.CUSTOMER_FORGOTTEN


def routing_key(customer_id: CustomerId) -> bytes:
    """The key that decides the partition of a customer's records."""
    return (customer_id[len(ANONYMOUS) :] if customer_id.startswith(ANONYMOUS) else customer_id).encode()


def _without_unused_fields(event: Event) -> Event:
    """Drop what no expectation needs, and share equal strings: the events of a whole log must fit into memory."""
    country, agent = country_of(event), event.context.get("user_agent")
    context: dict[str, object] = {} if country is None else {"country": country}
    if isinstance(agent, str):
        context["user_agent"] = intern(agent)
    return event._replace(
        product_id=None if event.product_id is None else ProductId(intern(event.product_id)),
        category=None if event.category is None else intern(event.category),
        name=None if event.name is None else intern(event.name),
        properties=NOTHING,
        context=context or NOTHING,
    )
