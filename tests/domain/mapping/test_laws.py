"""Laws of mappings: pure functions that keep an event as it is, and that no record breaks."""

import copy
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.compiled import CompiledMapping, Unmappable
from realtime_pipeline.domain.mapping.definitions import EventRule, Field
from realtime_pipeline.infrastructure.codecs.events import encode_event
from realtime_pipeline.infrastructure.codecs.unmapped import encode_unmapped
from tests.domain.mapping.compiling import compiled

TOP = ("event_id", "event_type", "user_id", "session_id", "timestamp")
PROPERTIES = (
    "product_id",
    "name",
    "category",
    "price",
    "quantity",
    "amount",
    "order_id",
    "rating",
    "text",
    "products",
    "colour",
)
AS_IT_IS = compiled(
    {name: name for name in TOP}
    | {name: f"properties.{name}" for name in PROPERTIES}
    | {"country": "context.country", "context.user_agent": "context.user_agent"}
)
WORDS = st.text(min_size=1, max_size=8)
EVENTS = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["view", "purchase", "refund", "review", "sign_in", "my_own"]),
        "timestamp": st.integers(10**10, 4 * 10**12),
    },
    optional={
        "event_id": WORDS,
        "user_id": WORDS,
        "session_id": WORDS | st.integers(0, 10**9),
        "properties": st.fixed_dictionaries(
            {"product_id": WORDS},
            optional={
                "name": WORDS,
                "category": WORDS,
                "price": st.floats(0, 1e9),
                "amount": st.integers(0, 10**9),
                "quantity": st.integers(1, 1_000),
                "rating": st.integers(1, 5),
                "order_id": WORDS,
                "text": WORDS,
                "products": st.lists(WORDS, min_size=1, max_size=3),
                "colour": WORDS | st.booleans(),
            },
        ),
        "context": st.fixed_dictionaries({"country": st.just("DE")}, optional={"user_agent": WORDS}),
    },
)


@given(EVENTS)
def test_an_event_through_a_mapping_of_each_field_as_it_is_equals_the_event(event: dict[str, Any]) -> None:
    (mapped,) = AS_IT_IS(event).events
    assert msgspec.json.decode(encode_event(mapped)) == event


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.decimals()
    | st.datetimes()
    | st.sampled_from(["forget", "track", "USD", "EUR", "12,50 €", "2025-10-10", "C1", "purchase", "x" * 200]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "sku", "price", "n", "lines", "currency"]), inner, max_size=4)
    ),
    max_leaves=15,
)
RECORDS = st.dictionaries(
    st.sampled_from(["id", "type", "at", "user", "visit", "sku", "price", "n", "total", "lines", "currency"]),
    VALUES,
    max_size=11,
)
SHOP = compiled(
    {
        "event_type": "type",
        "event_id": "id",
        "user_id": Field(path="user", remove_suffix=".0"),
        "session_id": ("visit", "id"),
        "timestamp": "at",
        "product_id": "line.sku",
        "price": Field(path="line.price", minor_units=True),
        "quantity": Field(path="line.n", absolute=True),
        "amount": Field(path="line.price", times=("line.n", "n"), minus=("line.lines[*].price", "total")),
        "name": Field(join=("sku", "id"), until="-", prefix="n "),
        "currency": "currency",
    },
    EventRule(split={"line": "lines"}, when={"line.n": FieldTest(at_least=1)}, unless={"type": FieldTest(prefix="x")}),
    EventRule(when={"id": FieldTest(present=True)}, unless={"lines[*].id": FieldTest(present=True)}),
    currency="EUR",
    timezone="Europe/Berlin",
    decimal=",",
    absent=("x",),
)


@given(RECORDS, st.sampled_from(["", "file:1"]))
def test_no_record_raises_anything_but_unmappable(record: dict[str, Any], record_id: str) -> None:
    try:
        SHOP(record, record_id)
    except Unmappable as error:
        encode_unmapped(str(error), "file", record, SHOP.customer(record))


@given(RECORDS, st.sampled_from(["", "file:1"]))
def test_a_mapping_is_a_pure_function(record: dict[str, Any], record_id: str) -> None:
    before = copy.deepcopy(record)

    def outcome() -> str:
        try:
            return repr(SHOP(record, record_id))
        except Unmappable as error:
            return f"{error}"

    assert outcome() == outcome()
    assert repr(record) == repr(before)


@given(RECORDS)
def test_no_record_makes_an_event_that_erases(record: dict[str, Any]) -> None:
    try:
        events = SHOP(record).events
    except Unmappable:
        return
    assert not {str(event["event_type"]) for event in events} & {"forget", "customer_forgotten", "history_merged"}


def test_there_are_no_doubles_in_money() -> None:
    mapping: CompiledMapping = compiled({"price": "price", "amount": "total"})
    (event,) = mapping({"price": 0.1, "total": "0.30"}).events
    assert encode_event(event) == b'{"event_type":"purchase","properties":{"price":0.1,"amount":0.30}}'
    assert event["properties"] == {"price": Decimal("0.1"), "amount": Decimal("0.30")}
