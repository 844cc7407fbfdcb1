"""Decodes catalogue events: what a shop states of its products."""

import re
from collections.abc import Mapping
from typing import Final

from harness.oracle.decoding.documents import depth_of
from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.fields import Fields, check_spelling, is_replayed, properties_of
from harness.oracle.decoding.schema import RECORD_FIELDS, REMOVED, STOCKED, UPDATED, Limits
from harness.oracle.decoding.times import time_ms
from harness.oracle.decoding.values import identifier, label, money, ten_thousandths, whole_number
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import Amount

USED: Final[Mapping[EventKind, tuple[str, ...]]] = {
    UPDATED: ("name", "category", "price", "stock", "in_stock", "image_url", "text"),
    STOCKED: ("stock", "in_stock"),
    REMOVED: (),
}
LENGTH_MAX: Final = 2_000
UNITS_MAX: Final = 10**12
_BUYABLE: Final = (
    *("in stock", "available", "true", "yes", "1", "limited availability", "online only", "in store only"),
    *("preorder", "pre sale", "backorder", "made to order"),
)
_NOT_BUYABLE: Final = ("out of stock", "unavailable", "sold out", "false", "no", "0", "discontinued")
_SIGNS: Final = re.compile(r"[\W_]+")


def catalogue_event(kind: EventKind, document: Fields, limits: Limits, default_id: str) -> Event:
    """Decode a catalogue event. Its user and session have no meaning.

    Raises:
        RejectedRecord: it names no product or states nothing, or a field is invalid or misspelt.
    """
    nested = properties_of(document)
    own = {name: value for name, value in document.items() if name not in RECORD_FIELDS}
    fields: dict[str, object] = {}
    for source in (own, nested.second, nested.first):
        fields |= {name: value for name, value in source.items() if value is not None and value != ""}
    event_id = identifier(document.get("event_id"), "event_id")
    product_id = identifier(fields.get("product_id", fields.get("content_id")), "product_id")
    used = USED[kind]
    others = {name: value for name, value in fields.items() if name not in (*used, "product_id", "content_id")}
    given = {"event_id": event_id, "timestamp": document.get("timestamp") or None, "product_id": product_id}
    given |= {name: fields.get(name) for name in used} | {"replayed": document.get("replayed")}
    check_spelling((name for name in others if len(name) <= 40), [name for name in given if given[name] is None])
    if product_id is None:
        raise RejectedRecord("incomplete_product", "a product_id is needed")
    facts = {name: _fact(name, fields[name], limits) for name in used if name in fields}
    if kind is STOCKED and not facts:
        raise RejectedRecord("incomplete_stock", "stock or in_stock is needed")
    if kind is not STOCKED:
        facts["removed"] = "1" if kind is REMOVED else "0"
    at_ms, replayed = time_ms(document.get("timestamp")), is_replayed(document)
    if len(others) > limits.properties_max or any(depth_of(value) > limits.nesting_max for value in others.values()):
        raise RejectedRecord("too_many_properties", "too many, or nested too deeply")
    price = facts.get("price")
    return Event(
        event_id or default_id,
        kind,
        None,
        at_ms,
        product_id=ProductId(product_id),
        category=facts.get("category"),
        name=facts.get("name"),
        price=None if price is None else Amount(int(price)),
        replayed=replayed,
        properties=others,
        facts=facts,
    )


def _fact(name: str, value: object, limits: Limits) -> str:
    if name == "price":
        price = money(value, 1, limits.amount_max)
        if price is None:
            raise RejectedRecord("invalid_price", "price is a number from 0")
        return str(ten_thousandths(price))
    if name == "stock":
        units = whole_number(value)
        if units is None or not -UNITS_MAX <= units <= UNITS_MAX:
            raise RejectedRecord("invalid_stock", "stock is a whole number")
        return str(units)
    if name == "in_stock":
        return _in_stock(value)
    text = label(value, 10**9)
    if text is None or (name == "image_url" and len(text) > LENGTH_MAX):
        raise RejectedRecord(f"invalid_{name}", f"{name} is text")
    return text[: limits.label_length_max if name in ("name", "category") else LENGTH_MAX]


def _in_stock(value: object) -> str:
    if type(value) not in (bool, int, str):
        raise RejectedRecord("invalid_in_stock", "in_stock is true or false")
    text = re.sub("^https?://schema.org/", "", str(value), count=1)
    letters = _SIGNS.sub("", text.casefold())
    for words, meant in ((_BUYABLE, "1"), (_NOT_BUYABLE, "0")):
        if letters in [_SIGNS.sub("", word) for word in words]:
            return meant
    raise RejectedRecord("invalid_in_stock", "in_stock is true or false, or a word for it")
