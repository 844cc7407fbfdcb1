"""The three schemas of events, read as one: where two places may hold a field, the first that is not null counts.

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
"""What stands beside the properties."""

BESIDE: Final = ("product_id", "price", "quantity", "amount", "order_id")
"""Properties that may stand beside them, in the record itself, where the properties do not have them."""

_EMPTY_IS_ABSENT: Final = frozenset(("product_id", "order_id", "category", "name", "text"))


def type_in(document: Document) -> object:
    """The type of an event: `event_type`, else `action`."""
    found = document.get("event_type")
    return document.get("action") if found is None else found


def properties_in(document: Document) -> Document:
    """The properties of an event, without what is absent: each from `properties`, else from `metadata`, else (some)
    from the record itself.

    Raises:
        Invalid: one of the two is neither an object nor empty.
    """
    merged = {
        name: value
        for place in ("metadata", "properties")
        for name, value in object_in(document, place).items()
        if value is not None and not (value == "" and name in _EMPTY_IS_ABSENT)
    }
    for name in BESIDE:
        if (value := document.get(name)) is not None and value != "":
            merged.setdefault(name, value)
    return merged


def object_in(document: Document, name: str) -> Document:
    """An object of an event; null and `[]` (an empty array of PHP) are an empty one.

    Raises:
        Invalid: it is something else.
    """
    value = document.get(name)
    if isinstance(value, dict):
        return value
    if value is None or value == []:
        return {}
    raise Invalid(f"invalid_{name}: it must be an object")
