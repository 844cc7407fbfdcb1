"""Older shapes of events, brought to the canonical one, so that an older producer keeps working."""

from collections.abc import Mapping

Document = dict[str, object]


def upcast(document: Document) -> Document:
    """Bring an event document of any accepted schema to the canonical one.

    canonical:   event_id, event_type, user_id, session_id, timestamp, properties {…}, context {…}
    flat:        event_id, user_id, event_type, metadata {…}, timestamp
    transaction: user_id, action, amount, timestamp
    """
    if "metadata" in document and "properties" not in document:
        document = _from_flat(document)
    if "action" in document and "event_type" not in document:
        document = _from_transaction(document)
    return document


def _from_flat(document: Document) -> Document:
    """The flat schema calls the properties metadata."""
    upcasted = {name: value for name, value in document.items() if name != "metadata"}
    upcasted["properties"] = document["metadata"]
    return upcasted


def _from_transaction(document: Document) -> Document:
    """A transaction is one piece of no known product at the price of its amount."""
    upcasted = {name: value for name, value in document.items() if name not in ("action", "amount")}
    properties = document.get("properties")
    upcasted["event_type"] = document["action"]
    upcasted["properties"] = {
        "price": document.get("amount"),
        **(properties if isinstance(properties, Mapping) else {}),
    }
    return upcasted
