"""Event bytes to events: the one decoder, for everything that ever takes an event in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import msgspec

from realtime_pipeline.domain.shop.events import (
    ANONYMOUS,
    NOTHING,
    CustomerId,
    Event,
    EventKind,
    ProductId,
    anonymous,
    routing_key,
)
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.shop.review import RATINGS
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Rejected, Tick
from realtime_pipeline.domain.streams.watermark import END_OF_TIME
from realtime_pipeline.infrastructure.codecs.upcasters import Document, upcast

TYPE_NAMES: Final[Mapping[EventKind, tuple[str, ...]]] = {
    EventKind.PRODUCT_VIEWED: ("product_viewed", "product_view", "view", "viewed"),
    EventKind.PRODUCT_CARTED: ("product_carted", "add_to_cart", "cart"),
    EventKind.PRODUCT_UNCARTED: ("product_uncarted", "remove_from_cart"),
    EventKind.PRODUCT_PURCHASED: ("product_purchased", "purchase", "purchased", "transaction"),
    EventKind.PURCHASE_CANCELLED: ("purchase_cancelled", "cancellation", "cancel", "refund"),
    EventKind.PRODUCT_REVIEWED: ("product_reviewed", "review"),
    EventKind.CUSTOMER_FORGOTTEN: ("customer_forgotten", "forget"),
}
"""The event types understood out of the box; a shop adds its own in the settings (`event_types`)."""

TICK_KEY: Final = b"\0tick"
"""The key of ticks. No event can have it, since ids are printable."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KNOWN_PROPERTIES: Final = frozenset(
    ("product_id", "category", "name", "price", "quantity", "order_id", "rating", "text")
)


@attrs.frozen
class EventLimits:
    """What an event may measure. Ids and the like in characters, prices and amounts in units of the currency."""

    record_bytes_max: int = 65_536
    id_length_max: int = 128
    label_length_max: int = 256
    text_length_max: int = 2_000
    properties_max: int = 64
    nesting_max: int = 4
    quantity_max: int = 1_000_000
    amount_max: int = 1_000_000_000


class _Invalid(Exception):
    """Some part of an event is not what it must be; the message is the reason."""


def encode_tick(floor_ms: int | None) -> bytes:
    """Write a tick: its floor in decimal, or nothing."""
    return b"" if floor_ms is None else str(floor_ms).encode()


def encode_event(document: Mapping[str, object]) -> bytes:
    """Write an event document as JSON."""
    return msgspec.json.encode(document)


def kind_named(name: str) -> EventKind | None:
    """Find a kind by any of its type names."""
    return next((kind for kind, names in TYPE_NAMES.items() if name in names), None)


class EventDecoder:
    """Decodes, upcasts and validates events. Called with a record, it never raises.

    `event_types` maps a shop's own type names to kinds, and wins over the built-in names. `log_name` goes into the
    ids given to events that have none.
    """

    def __init__(
        self, limits: EventLimits, event_types: Mapping[str, EventKind], log_name: str = "user_events"
    ) -> None:
        self._limits = limits
        self._log_name = log_name
        self._kinds = {name: kind for kind, names in TYPE_NAMES.items() for name in names} | dict(event_types)
        self._parse = msgspec.json.Decoder().decode

    def __call__(self, record: Record) -> Decoded:
        """Make of a record what it says."""
        try:
            if record.key == TICK_KEY:
                return Tick(int(record.value) if record.value else None)
            document = self._document(record.value)
            type_ = document.get("event_type")
            if not isinstance(type_, str):
                raise _Invalid("invalid_event_type: an event needs an event_type (or action) that is text")
            kind = self._kinds.get(type_)
            return Ignored(type_[: self._limits.id_length_max]) if kind is None else self._event(record, kind, document)
        except _Invalid as invalid:
            return Rejected(str(invalid))
        except (ValueError, RecursionError, OverflowError) as error:
            return Rejected(f"not_json: {error}"[:200])

    def routing_key(self, value: bytes) -> str | None:
        """Find the key by which event bytes are routed; None for those without a customer and for garbage."""
        decoded = self(Record(0, 0, None, value, END_OF_TIME))
        if isinstance(decoded, Event) and decoded.customer_id is not None:
            return routing_key(decoded.customer_id)
        return None

    def _document(self, value: bytes) -> Document:
        if len(value) > self._limits.record_bytes_max:
            raise _Invalid(f"too_large: {len(value)} bytes are more than {self._limits.record_bytes_max}")
        document = self._parse(value)
        if not isinstance(document, dict):
            raise _Invalid("not_an_event: an event is a JSON object")
        return upcast(document)

    def _event(self, record: Record, kind: EventKind, document: Document) -> Event:
        limits = self._limits
        properties = _object(document, "properties")
        session_id = self._id(document, "session_id")
        product_id = self._id(properties, "product_id")
        price = _number(properties, "price", limits.amount_max)
        quantity = _whole(properties, "quantity", range(1, limits.quantity_max + 1), 1)
        if price is not None and price * quantity > limits.amount_max:
            raise _Invalid(f"invalid_amount: price times quantity is more than {limits.amount_max}")
        rating = _whole(properties, "rating", RATINGS, 0) or None
        customer_id = self._customer(document, session_id)
        if kind is EventKind.PRODUCT_REVIEWED and (product_id is None or rating is None):
            raise _Invalid("incomplete_review: a review needs a product_id and a rating from 1 to 5")
        if kind is EventKind.CUSTOMER_FORGOTTEN and customer_id is None:
            raise _Invalid("incomplete_forgetting: it needs the user_id (or session_id) to forget")
        return Event(
            event_id=self._id(document, "event_id") or f"{self._log_name}-{record.partition}-{record.position}",
            kind=kind,
            customer_id=customer_id,
            occurred_at_ms=_time(document.get("timestamp")),
            session_id=session_id,
            product_id=None if product_id is None else ProductId(product_id),
            category=_label(properties, "category", limits.label_length_max),
            name=_label(properties, "name", limits.label_length_max),
            price=None if price is None else Amount(round(price * PER_UNIT)),
            quantity=quantity,
            order_id=self._id(properties, "order_id"),
            rating=rating,
            text=_label(properties, "text", limits.text_length_max) or "",
            replayed=document.get("replayed") is True,
            properties=self._others(properties),
            context=self._bounded(_object(document, "context"), "context"),
        )

    def _customer(self, document: Document, session_id: str | None) -> CustomerId | None:
        user_id = self._id(document, "user_id")
        if user_id is not None:
            if user_id.startswith(ANONYMOUS):
                raise _Invalid(f"invalid_user_id: ids that begin with {ANONYMOUS} are kept for visitors")
            return CustomerId(user_id)
        return None if session_id is None else anonymous(session_id)

    def _id(self, document: Mapping[str, object], name: str) -> str | None:
        """Read an id: text or a whole number; empty text is as good as none."""
        value = document.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise _Invalid(f"invalid_{name}: an id is text or a whole number")
        if len(value) > self._limits.id_length_max or not value.isprintable():
            raise _Invalid(f"invalid_{name}: an id has at most {self._limits.id_length_max} printable characters")
        return value

    def _others(self, properties: Mapping[str, object]) -> Mapping[str, object]:
        if properties.keys() <= _KNOWN_PROPERTIES:
            return NOTHING
        unknown = {name: value for name, value in properties.items() if name not in _KNOWN_PROPERTIES}
        return self._bounded(unknown, "properties")

    def _bounded(self, values: Mapping[str, object], name: str) -> Mapping[str, object]:
        if len(values) > self._limits.properties_max:
            raise _Invalid(f"too_many_{name}: {len(values)} are more than {self._limits.properties_max}")
        for value in values.values():
            if isinstance(value, dict | list) and _nesting(value) > self._limits.nesting_max:
                raise _Invalid(f"nested_{name}: deeper than {self._limits.nesting_max} levels")
        return values


def _object(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document.get(name)
    if value is None:
        return NOTHING
    if not isinstance(value, dict):
        raise _Invalid(f"invalid_{name}: it must be a JSON object")
    return value


def _label(properties: Mapping[str, object], name: str, length_max: int) -> str | None:
    """Read free text, as much of it as is kept; empty text is as good as none."""
    value = properties.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _Invalid(f"invalid_{name}: it must be text")
    return value[:length_max]


def _number(properties: Mapping[str, object], name: str, largest: int) -> float | None:
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise _Invalid(f"invalid_{name}: it must be a number from 0 to {largest}")
    return value


def _whole(properties: Mapping[str, object], name: str, allowed: range, default: int) -> int:
    value = properties.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in allowed:
        raise _Invalid(f"invalid_{name}: it must be a whole number from {allowed[0]} to {allowed[-1]}")
    return int(value)


def _time(value: object) -> int:
    """Read a time: milliseconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            at_ms = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
        except (ValueError, OverflowError):
            raise _Invalid("invalid_timestamp: text must be an ISO 8601 time") from None
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < END_OF_TIME:
        at_ms = int(value)
    else:
        at_ms = -1
    if not 0 <= at_ms < END_OF_TIME:
        raise _Invalid("invalid_timestamp: it must be milliseconds since 1970, or an ISO 8601 time after it")
    return at_ms


def _nesting(value: object) -> int:
    """How deep objects and lists lie in one another. The parser bounds the depth, so recursion is safe."""
    if isinstance(value, dict):
        return 1 + max(map(_nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_nesting, value), default=0)
    return 0
