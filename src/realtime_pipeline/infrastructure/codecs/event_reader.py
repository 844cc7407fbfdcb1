"""Reading an event of any schema: the fields that have a meaning for its kind are validated, others are skipped."""

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
    read_id,
    read_ids,
    read_money,
    read_replayed,
    read_whole,
    to_label,
)
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import QUANTITY_LIMIT
from realtime_pipeline.infrastructure.codecs.spelling import PROPERTIES, check_spelling, incomplete_event, suggest_field
from realtime_pipeline.infrastructure.codecs.upcasters import (
    CONTENT_ID,
    FIELDS,
    Document,
    merge_properties,
    read_object,
)
from realtime_pipeline.infrastructure.codecs.wire import LogPosition, Money, Properties, Wire

_convert: Final = msgspec.convert
_LABELS: Final = ("category", "name")
_PRODUCT_FIELDS: Final = ("product_id", *_LABELS, "price")
_SALE_FIELDS: Final = (*_PRODUCT_FIELDS, "quantity", "amount", "order_id")
_FIELDS_OF_KIND: Final[Mapping[EventKind, tuple[str, ...]]] = {
    PURCHASED: _SALE_FIELDS,
    CANCELLED: _SALE_FIELDS,
    REVIEWED: ("product_id", "rating", "text", *_LABELS),
    SHOWN: ("products",),
    SIGNED_IN: (),
    FORGOTTEN: (),
}
"""The properties that have a meaning for a kind; `_PRODUCT_FIELDS` for a kind that is not listed."""

_WITHOUT_PROPERTIES: Final = (SIGNED_IN, FORGOTTEN)
"""Kinds of events without properties and context."""

_IDS: Final = ("event_id", "user_id", "session_id", "timestamp")
_NOT_PROPERTIES: Final = FIELDS - {"amount"}
"""The top-level fields that a custom event does not keep as properties."""

_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "product_id": read_id,
    "order_id": read_id,
    "products": read_ids,
    "category": lambda _, value: to_label(value),
    "name": lambda _, value: to_label(value),
    "text": lambda _, value: to_label(value),
    "price": read_money,
    "amount": read_money,
    "quantity": lambda name, value: read_whole(name, value, range(1, QUANTITY_LIMIT + 1)),
    "rating": lambda name, value: read_whole(name, value, RATINGS),
}


def read_event(document: Document, kind: EventKind) -> tuple[Wire, Mapping[str, object]]:
    """Read the fields of an event, and its unknown properties, which may have a meaning to windows and patterns.

    Raises:
        Invalid: a field that has a meaning for the kind is invalid, or misspelt.
    """
    has_properties = kind not in _WITHOUT_PROPERTIES
    if has_properties and (typed := _read_typed(document)) is not None:
        return typed
    names = _FIELDS_OF_KIND.get(kind, _PRODUCT_FIELDS)
    merged = merge_properties(document) if has_properties else {}
    _check_fields(document, merged, kind)
    wire = Wire(
        event_id=read_id("event_id", document.get("event_id")),
        user_id=read_id("user_id", document.get("user_id")),
        session_id=None if _needs_no_session(document, kind) else read_id("session_id", document.get("session_id")),
        timestamp=_timestamp(document.get("timestamp")),
        replayed=read_replayed(document.get("replayed")),
    )
    if not has_properties:
        return wire, NOTHING
    wire.properties = _properties(merged, names)
    wire.forwarded = _forwarded(document.get("forwarded"))
    wire.context = _context(document)
    return wire, _other_properties(merged)


def _read_typed(document: Document) -> tuple[Wire, Mapping[str, object]] | None:
    """Read an event whose fields all have the right JSON types, in a third of the time; return None for others."""
    properties, metadata = document.get("properties"), document.get("metadata")
    if properties is None:
        properties = {} if metadata is None else metadata
    elif metadata is not None:
        return None
    if not isinstance(properties, dict):
        return None
    others = [name for name in properties if name not in PROPERTIES]
    unknown = others if document.keys() <= FIELDS else (*others, *(document.keys() - FIELDS))
    if any(map(suggest_field, unknown)):
        return None
    try:
        wire = _convert(document, Wire)
        read = wire.properties
        if read is None:
            read = wire.properties = _convert(properties, Properties)
        if read.amount is None and document.get("amount") is not None:
            read.amount = _convert(document["amount"], Money)
    except msgspec.ValidationError:
        return None
    if read.product_id is None and (
        CONTENT_ID in properties or CONTENT_ID in document or not (wire.user_id or wire.session_id)
    ):
        return None
    return wire, {name: properties[name] for name in others if properties[name] is not None} if others else NOTHING


def read_custom(document: Document) -> tuple[Wire, Mapping[str, object]]:
    """Read a custom event: ids, time and context as of any other; all else is a property, whatever its value.

    Raises:
        Invalid: an id or the properties are invalid, or an id is misspelt.
    """
    top_level = {name: value for name, value in document.items() if name not in _NOT_PROPERTIES}
    properties = {
        name: value
        for fields in (top_level, read_object(document, "metadata"), read_object(document, "properties"))
        for name, value in fields.items()
        if value is not None and name != "product_id"
    }
    absent = [name for name in _IDS if document.get(name) in (None, "")]
    check_spelling(document, absent, with_properties=False)
    try:
        product_id = read_id("product_id", merge_properties(document).get("product_id"))
    except Invalid:
        product_id = None
    wire = Wire(
        event_id=read_id("event_id", document.get("event_id")),
        user_id=read_id("user_id", document.get("user_id")),
        session_id=read_id("session_id", document.get("session_id")),
        timestamp=_timestamp(document.get("timestamp")),
        properties=Properties(product_id=product_id),
        context=_context(document),
        replayed=read_replayed(document.get("replayed")),
        forwarded=_forwarded(document.get("forwarded")),
    )
    return wire, properties


def _other_properties(properties: Document) -> Mapping[str, object]:
    return {name: value for name, value in properties.items() if name not in PROPERTIES}


def _check_fields(document: Document, merged: Document, kind: EventKind) -> None:
    """Check that no field of the kind is misspelt, and that there is a customer or a product."""
    names, has_properties = _FIELDS_OF_KIND.get(kind, _PRODUCT_FIELDS), kind not in _WITHOUT_PROPERTIES
    absent = {name for name in ("event_id", "user_id", "session_id", "timestamp") if document.get(name) in (None, "")}
    absent |= {name for name in names if merged.get(name) in (None, "")}
    if "product_id" in names and {"user_id", "session_id", "product_id"} <= absent and document.get("user_id") != "":
        raise incomplete_event(document)
    if document.get("replayed") is None:
        absent.add("replayed")
    if has_properties and document.get("properties") is None and document.get("metadata") is None:
        absent |= {"properties", "metadata"}
    if _needs_no_session(document, kind):
        absent.discard("session_id")
    check_spelling(document, absent, with_properties=has_properties)


def _needs_no_session(document: Document, kind: EventKind) -> bool:
    """Return whether the session id has no meaning: in a forgetting that has a user id."""
    return kind is FORGOTTEN and document.get("user_id") not in (None, "")


def _properties(merged: Document, names: tuple[str, ...]) -> Properties:
    read: dict[str, Any] = {}
    for name in names:
        value = merged.get(name)
        if value is not None:
            try:
                read[name] = _READERS[name](name, value)
            except Invalid:
                if name != "price" or names is _SALE_FIELDS:  # elsewhere the price only describes the product
                    raise
    return Properties(**read)


def _timestamp(value: object) -> int | float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise Invalid("invalid_timestamp: it must be milliseconds since 1970, or an ISO 8601 time after it")
    return value


def _forwarded(value: object) -> tuple[int, int] | None:
    try:
        position: tuple[int, int] | None = msgspec.convert(value, LogPosition | None)
    except msgspec.ValidationError:
        raise Invalid("invalid_forwarded: it must be the partition and position of a record") from None
    return position


def _context(document: Document) -> dict[str, object] | None:
    try:
        return read_object(document, "context")
    except Invalid:
        return None  # an invalid context is no reason to lose the event
