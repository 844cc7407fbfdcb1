"""Reading an event field by field, in any schema: what matters for its kind is checked, all else is passed over."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from realtime_pipeline.domain.shop.events import NOTHING, EventKind
from realtime_pipeline.domain.shop.review import RATINGS
from realtime_pipeline.infrastructure.codecs.event_builder import (
    CANCELLED,
    FORGOTTEN,
    PURCHASED,
    REVIEWED,
    SHOWN,
    SIGNED_IN,
)
from realtime_pipeline.infrastructure.codecs.fields import (
    label_in,
    read_id,
    read_ids,
    read_money,
    read_whole,
)
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import QUANTITY_LIMIT
from realtime_pipeline.infrastructure.codecs.spelling import PROPERTIES, check_spelling, incomplete_event, spelt
from realtime_pipeline.infrastructure.codecs.upcasters import FIELDS, Document, object_in, properties_in
from realtime_pipeline.infrastructure.codecs.wire import LogPosition, Money, Properties, Wire

_convert: Final = msgspec.convert
_LABELS: Final = ("category", "name")
_LOOKS: Final = ("product_id", *_LABELS, "price")
_SALES: Final = (*_LOOKS, "quantity", "amount", "order_id")
_MATTERS: Final[Mapping[EventKind, tuple[str, ...]]] = {
    PURCHASED: _SALES,
    CANCELLED: _SALES,
    REVIEWED: ("product_id", "rating", "text", *_LABELS),
    SHOWN: ("products",),
    SIGNED_IN: (),
    FORGOTTEN: (),
}
"""The properties that matter for a kind; `_LOOKS` for those that are not named."""

_OF_CUSTOMERS: Final = (SIGNED_IN, FORGOTTEN)
"""Kinds that have no properties, and no context."""

_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "product_id": read_id,
    "order_id": read_id,
    "products": read_ids,
    "category": lambda _, value: label_in(value),
    "name": lambda _, value: label_in(value),
    "text": lambda _, value: label_in(value),
    "price": read_money,
    "amount": read_money,
    "quantity": lambda name, value: read_whole(name, value, range(1, QUANTITY_LIMIT + 1)),
    "rating": lambda name, value: read_whole(name, value, RATINGS),
}


def read_event(document: Document, kind: EventKind) -> tuple[Wire, Mapping[str, object]]:
    """Read the fields of an event, and the properties that mean nothing here but may to windows and patterns.

    Raises:
        Invalid: a field that matters is not what it must be, or is spelt in another way.
    """
    has_properties = kind not in _OF_CUSTOMERS
    if has_properties and (quick := _read_at_once(document)) is not None:
        return quick
    matters = _MATTERS.get(kind, _LOOKS)
    merged = properties_in(document) if has_properties else {}
    _check_names(document, merged, kind)
    wire = Wire(
        event_id=read_id("event_id", document.get("event_id")),
        user_id=read_id("user_id", document.get("user_id")),
        session_id=None if _needs_no_session(document, kind) else read_id("session_id", document.get("session_id")),
        timestamp=_timestamp(document.get("timestamp")),
        replayed=_replayed(document.get("replayed")),
    )
    if not has_properties:
        return wire, NOTHING
    wire.properties = _properties(merged, matters)
    wire.forwarded = _forwarded(document.get("forwarded"))
    wire.context = _context(document)
    return wire, _others(merged)


def _read_at_once(document: Document) -> tuple[Wire, Mapping[str, object]] | None:
    """Read an event whose fields are all of the type that they are to be, in a third of the time; None for others."""
    stated, metadata = document.get("properties"), document.get("metadata")
    if stated is None:
        stated = {} if metadata is None else metadata
    elif metadata is not None:
        return None
    if not isinstance(stated, dict):
        return None
    others = [name for name in stated if name not in PROPERTIES]
    unknown = others if document.keys() <= FIELDS else (*others, *(document.keys() - FIELDS))
    if any(map(spelt, unknown)):
        return None
    try:
        wire = _convert(document, Wire)
        read = wire.properties
        if read is None:
            read = wire.properties = _convert(stated, Properties)
        if read.amount is None and document.get("amount") is not None:
            read.amount = _convert(document["amount"], Money)
    except msgspec.ValidationError:
        return None
    if not (wire.user_id or wire.session_id or read.product_id):
        return None
    return wire, {name: stated[name] for name in others if stated[name] is not None} if others else NOTHING


def _others(stated: Document) -> Mapping[str, object]:
    return {name: value for name, value in stated.items() if name not in PROPERTIES}


def _check_names(document: Document, merged: Document, kind: EventKind) -> None:
    """See that no field that matters is there in another spelling, and that there is a customer or a product."""
    matters, has_properties = _MATTERS.get(kind, _LOOKS), kind not in _OF_CUSTOMERS
    absent = {name for name in ("event_id", "user_id", "session_id", "timestamp") if document.get(name) in (None, "")}
    absent |= {name for name in matters if merged.get(name) in (None, "")}
    if "product_id" in matters and {"user_id", "session_id", "product_id"} <= absent and document.get("user_id") != "":
        raise incomplete_event(document)
    if document.get("replayed") is None:
        absent.add("replayed")
    if has_properties and document.get("properties") is None and document.get("metadata") is None:
        absent |= {"properties", "metadata"}
    if _needs_no_session(document, kind):
        absent.discard("session_id")
    check_spelling(document, absent, with_properties=has_properties)


def _needs_no_session(document: Document, kind: EventKind) -> bool:
    """Whoever is forgotten by their user id is forgotten whatever the session is."""
    return kind is FORGOTTEN and document.get("user_id") not in (None, "")


def _properties(merged: Document, matters: tuple[str, ...]) -> Properties:
    read: dict[str, Any] = {}
    for name in matters:
        value = merged.get(name)
        if value is not None:
            try:
                read[name] = _READERS[name](name, value)
            except Invalid:
                if name != "price" or matters is _SALES:  # elsewhere a price says what the product costs, no more
                    raise
    return Properties(**read)


def _timestamp(value: object) -> int | float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise Invalid("invalid_timestamp: it must be milliseconds since 1970, or an ISO 8601 time after it")
    return value


def _replayed(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Invalid("invalid_replayed: it must be true or false")


def _forwarded(value: object) -> tuple[int, int] | None:
    try:
        place: tuple[int, int] | None = msgspec.convert(value, LogPosition | None)
    except msgspec.ValidationError:
        raise Invalid("invalid_forwarded: it must be the partition and position of a record") from None
    return place


def _context(document: Document) -> dict[str, object] | None:
    try:
        return object_in(document, "context")
    except Invalid:
        return None  # where and on what something happened is no reason to lose that it did
