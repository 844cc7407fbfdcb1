"""Records by class, as far as each says by itself what becomes of it."""

from collections.abc import Callable
from sys import intern
from typing import Final
from zlib import crc32

import attrs

from harness.oracle.profile import country_of
from harness.oracle.sign_in import APPENDED, KEY_STRIDE, LATEST, Placed, as_event
from harness.oracle.visitor_profile import MergeMessage, OracleDecoded
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ANONYMOUS, NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected, Tick

UNREADABLE: Final = "unreadable"
"""Stands for the codes of all records that cannot be decoded: two decoders may see different faults in one."""

Belongs = Callable[[CustomerId], int]
"""In which partition a customer's records must lie: by the hash of the user id, else of the session id."""

Letter = tuple[int, int, str, CustomerId | None]
"""Partition, position, reason and owner of a record."""


@attrs.define
class Sorted:
    """The records by class, as far as a record says by itself; a customer's events are judged together."""

    counts: dict[RecordClass, int]
    by_customer: dict[CustomerId, list[Placed]] = attrs.Factory(dict)
    of_nobody: list[Placed] = attrs.Factory(list)
    dead_letters: list[Letter] = attrs.Factory(list)
    forgettings: list[tuple[int, int, CustomerId]] = attrs.Factory(list)
    written_ms: dict[tuple[CustomerId, str], list[int]] = attrs.Factory(dict)
    """The times that forgettings and histories have in the log; where a clock was ahead they count as of earlier."""
    letters: dict[tuple[int, int], int] = attrs.Factory(dict)
    """By place, what identifies the whole of a record that cannot be folded."""
    appended_ms: dict[int, int] = attrs.Factory(dict)
    """By partition, when the latest of its records was appended."""
    appended_before_ms: dict[SessionKey, int] = attrs.Factory(dict)
    """When those records were appended whose events happen only after that."""
    ticked: set[int] = attrs.Factory(set)
    """The partitions whose time ticks have moved on."""


def sort(record: Record, decoded: OracleDecoded, max_future_skew_ms: int, belongs: Belongs, sorted_: Sorted) -> None:
    """Put a record where it belongs."""
    appended_ms = sorted_.appended_ms
    appended_ms[record.partition] = max(record.appended_at_ms, appended_ms.get(record.partition, record.appended_at_ms))
    if isinstance(decoded, Tick):
        sorted_.counts[RecordClass.CONTROL] += 1
        sorted_.ticked.add(record.partition)
    elif isinstance(decoded, Ignored):
        sorted_.counts[RecordClass.IGNORED] += 1
    elif (reason := _refusal(record, decoded, max_future_skew_ms, belongs)) is not None:
        sorted_.counts[RecordClass.DEAD_LETTER] += 1
        sorted_.dead_letters.append((record.partition, record.position, reason, decoded.customer_id))
        sorted_.letters[record.partition, record.position] = identified(record)
    elif isinstance(decoded, Event | MergeMessage):
        event = as_event(decoded) if isinstance(decoded, MergeMessage) else _slim(decoded)
        if not _may_be_refused(decoded):
            latest_ms = record.appended_at_ms + max_future_skew_ms
            event = event._replace(
                occurred_at_ms=min(event.occurred_at_ms, latest_ms), properties={**event.properties, LATEST: latest_ms}
            )
        placed = SessionKey(record.position * KEY_STRIDE + record.partition), event
        if isinstance(decoded, Event) and decoded.forwarded is None and event.occurred_at_ms > record.appended_at_ms:
            placed = placed[0], event._replace(properties={**event.properties, APPENDED: record.appended_at_ms})
        if event.occurred_at_ms > record.appended_at_ms:
            sorted_.appended_before_ms[placed[0]] = record.appended_at_ms
        if decoded.customer_id is None:
            sorted_.counts[RecordClass.APPLIED] += 1
            sorted_.of_nobody.append(placed)
        else:
            sorted_.by_customer.setdefault(decoded.customer_id, []).append(placed)
            if not _may_be_refused(decoded):
                name = decoded.customer_id, event.event_id
                sorted_.written_ms.setdefault(name, []).append(decoded.occurred_at_ms)


def stays(letter: Letter, sorted_: Sorted) -> bool:
    """A customer's dead letters go with the customer: those of the same partition before the forgetting."""
    partition, position, _, owner = letter
    return not any(
        (at, whose) == (partition, owner) and position < forgotten for at, forgotten, whose in sorted_.forgettings
    )


def _refusal(
    record: Record, decoded: Event | MergeMessage | Rejected, max_future_skew_ms: int, belongs: Belongs
) -> str | None:
    """Say why a record is a dead letter whatever came before it, if it is one."""
    if isinstance(decoded, Rejected):
        return UNREADABLE
    if decoded.customer_id is not None and belongs(decoded.customer_id) != record.partition:
        return "misrouted"
    is_ahead = decoded.occurred_at_ms - record.appended_at_ms > max_future_skew_ms
    is_original = isinstance(decoded, Event) and decoded.forwarded is None
    return "in_the_future" if is_ahead and is_original and _may_be_refused(decoded) else None


def identified(record: Record) -> int:
    """A number that another record would hardly have: of its key, its bytes, where it came from and when."""
    return crc32(repr((record.key, record.value, record.origin, record.appended_at_ms)).encode(errors="replace"))


def _may_be_refused(decoded: Event | MergeMessage) -> bool:
    """What must be done whatever a clock says is done as of the latest time that an event may have."""
    return isinstance(decoded, Event) and decoded.kind is not EventKind.CUSTOMER_FORGOTTEN


def key_of(customer_id: CustomerId) -> bytes:
    """The key by which a customer's records are shared out."""
    return (customer_id[len(ANONYMOUS) :] if customer_id.startswith(ANONYMOUS) else customer_id).encode()


def _slim(event: Event) -> Event:
    """Let go of what no expectation is about, and keep one copy of what is said often: a whole log must fit."""
    country = country_of(event)
    return event._replace(
        product_id=None if event.product_id is None else ProductId(intern(event.product_id)),
        category=None if event.category is None else intern(event.category),
        name=None if event.name is None else intern(event.name),
        properties=NOTHING,
        context=NOTHING if country is None else {"country": country},
    )
