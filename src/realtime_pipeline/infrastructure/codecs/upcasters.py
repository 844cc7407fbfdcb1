"""Upcasting the three schemas of events to one: of two fields with the same meaning, the first not null counts.

canonical:   event_id, event_type, user_id, session_id, timestamp, properties {…}, context {…}
flat:        event_id, user_id, event_type, metadata {…}, timestamp
transaction: user_id, action, amount, timestamp
"""

from typing import Final

from realtime_pipeline.infrastructure.codecs.invalid import Invalid

Document = dict[str, object]

FIELDS: Final = frozenset(
    (
        "event_id",
        "event_type",
        "action",
        "user_id",
        "session_id",
        "timestamp",
        "replayed",
        "properties",
        "metadata",
        "amount",
        "context",
        "forwarded",
    )
)
"""The top-level fields of an event."""

TOP_LEVEL_PROPERTIES: Final = ("product_id", "price", "quantity", "amount", "order_id")
"""Properties that may also be top-level fields, if the properties do not have them."""

CONTENT_ID: Final = "content_id"
"""Another name of `product_id`, in events of views and videos; `product_id` comes first."""

_EMPTY_IS_ABSENT: Final = frozenset(("product_id", CONTENT_ID, "order_id", "category", "name", "text"))


def event_type_of(document: Document) -> object:
    """Return the type of an event: `event_type`, else `action`."""
    found = document.get("event_type")
    return document.get("action") if found is None else found


def merge_properties(document: Document) -> Document:
    """Return the properties of an event that are present.

    Each comes from `properties`, else from `metadata`, else (`TOP_LEVEL_PROPERTIES`) from the top level.

    Raises:
        Invalid: `properties` or `metadata` is neither an object nor empty.
    """
    merged = {
        name: value
        for container in ("metadata", "properties")
        for name, value in read_object(document, container).items()
        if value is not None and not (value == "" and name in _EMPTY_IS_ABSENT)
    }
    for name in TOP_LEVEL_PROPERTIES:
        if (value := document.get(name)) is not None and value != "":
            merged.setdefault(name, value)
    if "product_id" not in merged:
        content_id = merged.get(CONTENT_ID, document.get(CONTENT_ID))
        if content_id is not None and content_id != "":
            merged["product_id"] = content_id
    return merged


def read_object(document: Document, name: str) -> Document:
    """Return an object of an event; null and `[]` (an empty array of PHP) are an empty object.

    Raises:
        Invalid: the field is something else.
    """
    value = document.get(name)
    if isinstance(value, dict):
        return value
    if value is None or value == []:
        return {}
    raise Invalid(f"invalid_{name}: it must be an object")
