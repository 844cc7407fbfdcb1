"""Which fields of an event are read, upcast from the three schemas, or ignored for its kind."""

from typing import Any

import msgspec
import pytest

from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.records import Ignored, Rejected
from tests.support.decoding import AT_MS, an_event, decode, decoded, event_of


def test_a_field_is_read_from_the_first_object_where_it_is_not_null() -> None:
    result = event_of(
        {
            "event_type": None,
            "action": "purchase",
            "user_id": None,
            "session_id": "s1",
            "timestamp": AT_MS,
            "amount": 40,
            "properties": {"product_id": None, "category": "kitchen", "price": None, "brand": None},
            "metadata": {"product_id": "mug", "category": "garden", "quantity": 2, "brand": "Acme"},
            "context": None,
            "replayed": None,
            "forwarded": None,
        }
    )
    assert (result.kind, result.customer_id, result.product_id) == (EventKind.PRODUCT_PURCHASED, "anonymous:s1", "mug")
    assert (result.category, result.quantity, result.amount, result.price) == ("kitchen", 2, 400_000, 200_000)
    assert (result.properties, result.replayed, result.forwarded) == ({"brand": "Acme"}, False, None)


def test_null_properties_do_not_hide_the_metadata() -> None:
    stated = {"product_id": "mug", "price": 12.5}
    result = event_of(an_event("purchase", {"properties": None, "metadata": stated}))
    assert (result.product_id, result.amount) == ("mug", 125_000)


def test_an_empty_array_is_read_as_an_empty_object() -> None:
    result = event_of(an_event("view", {"properties": [], "metadata": {"product_id": "mug"}, "context": []}))
    assert (result.product_id, result.context) == ("mug", {})


def test_a_context_that_is_not_an_object_is_dropped() -> None:
    assert event_of(an_event("view", {"context": "mobile"}, product_id="mug")).context == {}


NONSENSE: tuple[Any, ...] = ("text", -3, 4.6, True, [], [{"a": 1}], {"a": [[[[[[1]]]]]]}, "", "x" * 5_000)


IGNORED = {
    "view": ("quantity", "amount", "order_id", "rating", "text", "products"),
    "add_to_cart": ("quantity", "amount", "order_id", "rating", "text", "products"),
    "remove_from_cart": ("quantity", "amount", "order_id", "rating", "text", "products"),
    "purchase": ("rating", "text", "products"),
    "refund": ("rating", "text", "products"),
    "review": ("price", "quantity", "amount", "order_id", "products"),
    "exposure": ("product_id", "category", "name", "price", "quantity", "amount", "order_id", "rating", "text"),
}


NEEDED: dict[str, dict[str, Any]] = {"review": {"product_id": "mug", "rating": 4}, "exposure": {"products": ["mug"]}}


@pytest.mark.parametrize("kind", IGNORED)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: str(value)[:20])
def test_fields_without_meaning_for_a_kind_are_ignored(kind: str, nonsense: object) -> None:
    needed = NEEDED.get(kind, {"product_id": "mug"})
    for name in IGNORED[kind]:
        assert event_of(an_event(kind, **needed | {name: nonsense})) == event_of(an_event(kind, **needed))
    if "amount" in IGNORED[kind]:
        assert event_of(an_event(kind, {"amount": nonsense}, **needed)) == event_of(an_event(kind, **needed))


@pytest.mark.parametrize("value", [7, 4.0, "9", {"a": 1}])
def test_fields_without_meaning_are_ignored_by_both_ways_of_decoding(value: object) -> None:
    """A view has no rating, quantity or order; the fast path and the field-by-field path both ignore them."""
    view = an_event("view", product_id="mug", rating=value, quantity=value, order_id=value, text=value)
    assert event_of(view) == event_of(an_event("view", product_id="mug"))
    assert event_of(view | {"page": 3}) == event_of(an_event("view", product_id="mug"))


@pytest.mark.parametrize("nonsense", [*NONSENSE, {str(number): 1 for number in range(90)}], ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("kind", ["sign_in", "forget"])
def test_sign_ins_and_forgettings_ignore_properties_and_context(kind: str, nonsense: object) -> None:
    plain = event_of(an_event(kind, {"session_id": "s1"}))
    more = {"session_id": "s1", "properties": nonsense, "metadata": nonsense, "context": nonsense, "amount": nonsense}
    assert event_of(an_event(kind, more)) == plain
    assert event_of(an_event(kind, more | {"properties": {"userId": "eve", "sessionId": "s2"}})) == plain


def test_a_forgetting_by_user_id_ignores_the_session_id() -> None:
    assert event_of(an_event("forget", {"session_id": {"a": 1}})).customer_id == "ada"
    assert event_of(an_event("forget", {"session_id": "undefined"})).customer_id == "ada"
    assert event_of(an_event("forget", {"sessionId": "s1", "page": 2})).customer_id == "ada"


@pytest.mark.parametrize("price", ["12.50", -1, True, {}, 2e9, 1e300])
def test_an_invalid_price_is_dropped_if_nothing_is_sold(price: object) -> None:
    result = event_of(an_event("view", product_id="mug", price=price))
    assert (result.product_id, result.price) == ("mug", None)
    assert isinstance(decoded(an_event("purchase", product_id="mug", price=price)), Rejected)


def test_numbers_are_valid_labels() -> None:
    result = event_of(an_event("view", product_id="book", category=1673, name=1984.0))
    assert (result.category, result.name) == ("1673", "1984")
    assert event_of(an_event("review", product_id="m", rating=5, text=2.5)).text == "2.5"
    dropped = event_of(an_event("view", product_id="book", category=True, name={"en": "Book"}))
    assert (dropped.category, dropped.name) == (None, None)


def test_whole_numbers_may_be_written_as_floats() -> None:
    bought = event_of(an_event("purchase", {"user_id": 1.0}, product_id=2.0, order_id=-0.0, price=10, quantity=2.0))
    assert (bought.customer_id, bought.product_id, bought.order_id) == ("1", "2", "0")
    assert (bought.quantity, bought.amount) == (2, 200_000)
    assert event_of(an_event("review", product_id="mug", rating=4.0)).rating == 4
    assert event_of(an_event("exposure", products=[1, 2.0, "2", None, ""])).shown == ("1", "2")
    assert decode.routing_key(msgspec.json.encode(an_event("view", {"user_id": 1.0}))) == "1"


def test_an_unknown_event_type_is_ignored() -> None:
    assert decoded(an_event("song_play", {"properties": "x", "userId": 3})) == Ignored("song_play")
