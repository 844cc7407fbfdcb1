"""Every value of a decoded event comes from a valid field, whatever the other fields hold."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.streams.records import Rejected
from realtime_pipeline.infrastructure.codecs.catalogue import STATED
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES
from tests.support.decoding import AT_MS, decoded

TOP_LEVEL = {
    "event_id": "e1",
    "user_id": "ada",
    "session_id": "s1",
    "timestamp": AT_MS,
    "replayed": True,
    "context": {"country": "DE"},
}


PROPERTIES = {
    "product_id": "mug",
    "category": "kitchen",
    "name": "A mug",
    "price": 12.5,
    "quantity": 2,
    "amount": 30.0,
    "order_id": "o1",
    "rating": 5,
    "text": "good",
    "products": ["mug", "jug"],
}


SHAPES = st.sampled_from(["right", "absent", "null", "empty", "misspelt"])


def add_field(document: dict[str, Any], name: str, value: object, shape: str) -> None:
    if shape == "misspelt":
        document[name.title().replace("_", "")] = value
    elif shape != "absent":
        document[name] = {"right": value, "null": None, "empty": "" if name != "context" else {}}[shape]


PRODUCT_FIELDS = {"product_id", "category", "name", "price"}


FIELDS_OF_KIND = {
    EventKind.PRODUCT_PURCHASED: PRODUCT_FIELDS | {"quantity", "amount", "order_id"},
    EventKind.PURCHASE_CANCELLED: PRODUCT_FIELDS | {"quantity", "amount", "order_id"},
    EventKind.PRODUCT_REVIEWED: {"product_id", "category", "name", "rating", "text"},
    EventKind.RECOMMENDATIONS_SHOWN: {"products"},
    EventKind.CUSTOMER_SIGNED_IN: set[str](),
    EventKind.CUSTOMER_FORGOTTEN: set[str](),
}


EMPTY_IS_INVALID = {"quantity", "amount", "rating", "products"}
"""Properties for which empty text makes a dead letter."""


def is_valid(kind: EventKind, shapes: dict[str, str]) -> bool:
    """Return whether an event is valid, by the tables of docs/events.md."""
    has = {name for name, shape in shapes.items() if shape == "right"}
    fields = FIELDS_OF_KIND.get(kind, PRODUCT_FIELDS)
    has_customer = bool(has & {"user_id", "session_id"})
    if kind is EventKind.CUSTOMER_SIGNED_IN:
        is_complete = {"user_id", "session_id"} <= has
    elif kind is EventKind.CUSTOMER_FORGOTTEN:
        is_complete = has_customer
    elif kind is EventKind.RECOMMENDATIONS_SHOWN:
        is_complete = has_customer and "products" in has
    elif kind is EventKind.PRODUCT_REVIEWED:
        is_complete = has_customer and {"product_id", "rating"} <= has
    else:
        is_complete = has_customer or "product_id" in has
    checked = fields | {"event_id", "user_id", "session_id", "timestamp", "replayed"}
    if kind is EventKind.CUSTOMER_FORGOTTEN and "user_id" in has:
        checked -= {"session_id"}
    empty = {name for name, shape in shapes.items() if shape == "empty"}
    refused = {"user_id", "replayed"} | (EMPTY_IS_INVALID & fields) | ({"price"} if "quantity" in fields else set())
    misspelt = any(shapes[name] == "misspelt" for name in checked)
    return is_complete and "timestamp" in has and not misspelt and not empty & refused


MOSTLY_RIGHT = st.sampled_from(["right"] * 8 + ["absent", "null", "empty", "misspelt"])


@given(
    data=st.data(),
    kind=st.sampled_from([kind for kind in EventKind if kind not in STATED]),
    shape_strategy=st.sampled_from([SHAPES, MOSTLY_RIGHT]),
)
def test_every_decoded_value_comes_from_a_valid_field(
    data: st.DataObject, kind: EventKind, shape_strategy: st.SearchStrategy[str]
) -> None:
    document: dict[str, Any] = {"event_type": TYPE_NAMES[kind][-1]}
    properties: dict[str, Any] = {}
    shapes = {name: data.draw(shape_strategy, name) for name in (*TOP_LEVEL, *PROPERTIES)}
    for name, value in TOP_LEVEL.items():
        add_field(document, name, value, shapes[name])
    for name, value in PROPERTIES.items():
        add_field(properties, name, value, shapes[name])
    document[data.draw(st.sampled_from(["properties", "metadata"]))] = properties
    result = decoded(document)
    if isinstance(result, Rejected):
        assert not is_valid(kind, shapes), result.reason
        return
    assert isinstance(result, Event)
    assert is_valid(kind, shapes)
    has = {name for name, shape in shapes.items() if shape == "right"}
    assert result.event_id == ("e1" if "event_id" in has else "user_events-2-17")
    assert result.occurred_at_ms == AT_MS
    assert result.replayed == ("replayed" in has)
    if kind is EventKind.CUSTOMER_SIGNED_IN:
        assert (result.customer_id, result.identified_as) == ("anonymous:s1", "ada")
    else:
        expected = "ada" if "user_id" in has else "anonymous:s1" if "session_id" in has else None
        assert result.customer_id == expected
    fields = "product_id" in has and kind not in {EventKind.CUSTOMER_FORGOTTEN, EventKind.CUSTOMER_SIGNED_IN}
    assert result.product_id == ("mug" if fields and kind is not EventKind.RECOMMENDATIONS_SHOWN else None)
    assert (result.category is None) or ("category" in has and result.category == "kitchen")
    assert (result.name is None) or ("name" in has and result.name == "A mug")
    if kind in {EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED}:
        quantity = 2 if "quantity" in has else 1
        unit_price = 125_000 if "price" in has else 0
        assert result.quantity == quantity
        assert result.amount == (300_000 if "amount" in has else unit_price * quantity)
        assert result.order_id == ("o1" if "order_id" in has else None)
        given_price = 125_000 if "price" in has else 300_000 // quantity if "amount" in has else None
        assert result.price == given_price
    else:
        assert (result.quantity, result.amount, result.order_id) == (1, 0, None)
    assert result.rating == (5 if kind is EventKind.PRODUCT_REVIEWED else None)
    assert result.shown == (("mug", "jug") if kind is EventKind.RECOMMENDATIONS_SHOWN else ())
