"""The event decoder: every schema gives the same event, and an invalid event has a reason that says what to repair."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected, Tick, WatermarkTick
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS, TICK_KEY, encode_tick

AT_MS = 1_700_000_000_000
AT_ISO = "2023-11-14T22:13:20"
decode = EventDecoder(EventLimits(), {"video_play": EventKind.PRODUCT_VIEWED})


def decoded(document: object, key: bytes | None = None) -> object:
    value = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return decode(Record(2, 17, key, value, AT_MS))


def event_of(document: object) -> Event:
    result = decoded(document)
    assert isinstance(result, Event), result
    return result


def reason_of(document: object) -> str:
    result = decoded(document)
    assert isinstance(result, Rejected), result
    return result.reason


def canonical(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": "e1",
        "event_type": "purchase",
        "user_id": "ada",
        "session_id": "s1",
        "timestamp": AT_MS,
        "properties": {"product_id": "mug", "category": "kitchen", "price": 12.5, "quantity": 2, "order_id": "o1"},
        "context": {"device_type": "mobile"},
    } | changes


def with_properties(**properties: Any) -> dict[str, Any]:
    return canonical(properties=properties)


def test_the_canonical_schema_is_decoded() -> None:
    assert event_of(canonical()) == Event(
        event_id="e1",
        kind=EventKind.PRODUCT_PURCHASED,
        customer_id=CustomerId("ada"),
        occurred_at_ms=AT_MS,
        session_id="s1",
        product_id="mug",  # type: ignore[arg-type]
        category="kitchen",
        price=125_000,  # type: ignore[arg-type]
        amount=250_000,
        quantity=2,
        order_id="o1",
        context={"device_type": "mobile"},
    )


def test_the_flat_schema_is_decoded() -> None:
    flat = {
        "event_id": "e1",
        "user_id": "ada",
        "event_type": "view",
        "metadata": {"product_id": "mug", "category": "kitchen"},
        "timestamp": AT_ISO,
    }
    result = event_of(flat)
    assert (result.kind, result.product_id, result.category) == (EventKind.PRODUCT_VIEWED, "mug", "kitchen")
    assert (result.event_id, result.customer_id, result.occurred_at_ms) == ("e1", "ada", AT_MS)


def test_the_transaction_schema_is_decoded() -> None:
    result = event_of({"user_id": "ada", "action": "purchase", "amount": 19.99, "timestamp": AT_ISO + "Z"})
    assert (result.kind, result.amount, result.quantity) == (EventKind.PRODUCT_PURCHASED, 199_900, 1)
    assert result.event_id == "user_events-2-17"


@pytest.mark.parametrize(
    "timestamp", [AT_MS, float(AT_MS), AT_ISO, AT_ISO + "Z", "2023-11-15T00:13:20+02:00", "2023-11-14 22:13:20.000"]
)
def test_timestamps_are_milliseconds_or_iso_8601(timestamp: object) -> None:
    assert event_of(canonical(timestamp=timestamp)).occurred_at_ms == AT_MS


def test_numbers_are_valid_ids() -> None:
    result = event_of(canonical(user_id=17, session_id=4, properties={"product_id": 9}))
    assert (result.customer_id, result.session_id, result.product_id) == ("17", "4", "9")


def test_an_event_without_user_id_belongs_to_its_session() -> None:
    assert event_of(canonical(user_id=None)).customer_id == "anonymous:s1"
    assert event_of(canonical(user_id=None, session_id="")).customer_id is None


def test_events_are_routed_by_user_id_or_session_id() -> None:
    encode = msgspec.json.encode
    assert decode.routing_key(encode(canonical())) == "ada"
    assert decode.routing_key(encode(canonical(user_id=None))) == "s1"
    assert decode.routing_key(encode(canonical(user_id=None, session_id=None))) is None
    assert decode.routing_key(b"garbage") is None


def test_the_event_types_of_a_shop_are_mapped() -> None:
    assert event_of(canonical(event_type="video_play")).kind is EventKind.PRODUCT_VIEWED
    assert decoded(canonical(event_type="song_play")) == Ignored("song_play")


def test_unknown_properties_are_kept() -> None:
    result = event_of(with_properties(product_id="mug", brand="Acme", sizes=[1, {"a": 2}]))
    assert result.properties == {"brand": "Acme", "sizes": [1, {"a": 2}]}


def test_long_review_texts_are_truncated() -> None:
    result = event_of(canonical(event_type="review", properties={"product_id": "m", "rating": 5, "text": "x" * 9_000}))
    assert (result.text, result.rating) == ("x" * 2_000, 5)


@pytest.mark.parametrize("price", [0, 0.01, 0.1, 19.99, 1e9, 0.0001, 123456.7891])
def test_money_is_exact(price: float) -> None:
    assert event_of(with_properties(price=price)).amount == round(price * 10_000)


def test_ticks_are_recognised_by_their_key() -> None:
    assert decoded(b"5", KEY_OF_TICKS) == WatermarkTick(5)
    assert decoded(b"", KEY_OF_TICKS) == WatermarkTick(None)
    assert isinstance(decoded(b"five", KEY_OF_TICKS), Rejected)
    for tick in (Tick(5_000, AT_MS, AT_MS - 1), Tick(0, -1)):
        outgoing = encode_tick(tick, 3)
        assert (outgoing.key, outgoing.partition) == (TICK_KEY, 3)
        assert decoded(outgoing.value, TICK_KEY) == tick
    assert decoded(b'{"elapsed_ms":1,"seen_ms":2,"of_a_later_release":3}', TICK_KEY) == Tick(1, 2)
    assert isinstance(decoded(b'{"elapsed_ms":-1,"seen_ms":2}', TICK_KEY), Rejected)
    assert reason_of(canonical(user_id="\0tick")).startswith("invalid_id")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"{" * 60_000, "nested"),
        (b'{"event_type":"view","user_id":"\\ud800","timestamp":1}', "not_json"),
        (b" " * 70_000, "too_large"),
        (b"[]", "not_an_event"),
        (b"{}", "invalid_event_type"),
        ({"event_type": 5, "timestamp": 1}, "invalid_event_type"),
        (canonical(timestamp=None), "invalid_timestamp"),
        (canonical(timestamp="yesterday"), "invalid_timestamp"),
        (canonical(timestamp=-1), "invalid_timestamp"),
        (canonical(timestamp=1_760_000_000), "invalid_timestamp"),
        (canonical(timestamp=1_760_000_000.5), "invalid_timestamp"),
        (canonical(timestamp=True), "invalid_timestamp"),
        (canonical(timestamp=1e300), "invalid_timestamp"),
        (canonical(timestamp="9999-12-31T23:59:59.999Z"), "invalid_timestamp"),
        (canonical(timestamp="1969-12-31T00:00:00"), "invalid_timestamp"),
        (canonical(user_id="x" * 129), "invalid_user_id"),
        (canonical(user_id="a\nb"), "invalid_id"),
        (canonical(user_id=10**128), "invalid_id"),
        (with_properties(product_id=10**500), "invalid_id"),
        (b'{"event_type":"view","timestamp":1,"user_id":' + b"9" * 9_000 + b"}", "not_json"),
        (canonical(user_id=["ada"]), "invalid_user_id"),
        (canonical(user_id=True), "invalid_user_id"),
        (canonical(user_id="anonymous:s1"), "invalid_user_id"),
        (canonical(user_id=1.5), "invalid_user_id"),
        (canonical(user_id=1e200), "invalid_id"),
        (canonical(properties=[1]), "invalid_properties"),
        (canonical(properties="mug"), "invalid_properties"),
        (canonical(metadata="mug"), "invalid_metadata"),
        (canonical(replayed="yes"), "invalid_replayed"),
        (canonical(forwarded="here"), "invalid_forwarded"),
        (canonical(event_type=None, eventType="view"), "misspelt_field"),
        (with_properties(price=-0.01), "invalid_price"),
        (with_properties(price="12.50"), "invalid_price"),
        (with_properties(price=2e9), "invalid_amount"),
        (with_properties(price=1e8, quantity=100), "invalid_amount"),
        (with_properties(quantity=0), "invalid_quantity"),
        (with_properties(quantity=-3), "invalid_quantity"),
        (with_properties(quantity=1.5), "invalid_quantity"),
        (with_properties(quantity=2_000_000), "invalid_quantity"),
        (canonical(event_type="review", properties={"product_id": "mug", "rating": 9}), "invalid_rating"),
        (canonical(event_type="review", properties={"product_id": "mug", "rating": 4.6}), "invalid_rating"),
        (canonical(event_type="review", properties={"product_id": "mug", "rating": True}), "invalid_rating"),
        (with_properties(amount=-1), "invalid_amount"),
        (with_properties(amount="12"), "invalid_amount"),
        (with_properties(amount=2e9), "invalid_amount"),
        (with_properties(price=True), "invalid_price"),
        (with_properties(order_id=1.5), "invalid_order_id"),
        (with_properties(product_id={}), "invalid_product_id"),
        (with_properties(**{f"p{number}": 1 for number in range(65)}), "too_many_properties"),
        (with_properties(deep=[[[[[1]]]]]), "nested_properties"),
        (canonical(context={"a": [[[[[1]]]]]}), "nested_context"),
        (canonical(event_type="review"), "incomplete_review"),
        (
            canonical(
                event_type="review", user_id=None, session_id=None, properties={"product_id": "mug", "rating": 5}
            ),
            "incomplete_review",
        ),
        (canonical(event_type="forget", user_id=None, session_id=None), "incomplete_forgetting"),
        (canonical(event_type="login", user_id=None), "incomplete_sign_in"),
        (canonical(event_type="login", session_id=None), "incomplete_sign_in"),
        (canonical(event_type="history_merged", history="not base 64"), "invalid_history"),
        (canonical(event_type="exposure"), "incomplete_exposure"),
        (canonical(event_type="exposure", properties={"products": []}), "incomplete_exposure"),
        (canonical(event_type="exposure", properties={"products": ["a\tb"]}), "invalid_id"),
        (canonical(event_type="exposure", properties={"products": ["a"] * 101}), "invalid_products"),
    ],
    ids=str,
)
def test_an_invalid_event_is_rejected_with_a_reason(document: object, code: str) -> None:
    reason = reason_of(document)
    assert reason.startswith(f"{code}: ")
    assert "\n" not in reason


@pytest.mark.parametrize("seconds", [1_760_000_000, 1_760_000_000.5])
def test_a_timestamp_in_seconds_is_refused(seconds: float) -> None:
    assert reason_of(canonical(timestamp=seconds)) == (
        "invalid_timestamp: 1760000000 looks like seconds since 1970; send milliseconds"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*canonical(), "action", "amount", "metadata", "replayed"])


@given(st.dictionaries(names, json_values, max_size=8), st.sampled_from(["view", "purchase", "review", None]))
def test_no_document_makes_the_decoder_raise(document: dict[str, Any], kind: str | None) -> None:
    if kind is not None:
        document["event_type"] = kind
    assert isinstance(decoded(document), Event | Ignored | Rejected)


@given(st.dictionaries(st.sampled_from(["product_id", "price", "quantity", "rating", "text", "name"]), json_values))
def test_no_property_makes_the_decoder_raise(properties: dict[str, Any]) -> None:
    assert isinstance(decoded(canonical(properties=properties)), Event | Rejected)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise(value: bytes) -> None:
    assert isinstance(decoded(value), Ignored | Rejected)


FIELDS: dict[str, list[Any]] = {
    "event_id": ["e1", 7, "", None],
    "event_type": ["view", "purchase", "refund", "review", "exposure", "sign_in", "forget", "song_play"],
    "user_id": ["ada", 1, 2.0, "", "undefined", None],
    "session_id": ["s1", 5.0, "", "null", None],
    "timestamp": [AT_MS, float(AT_MS), AT_ISO, None],
    "replayed": [True, False, None],
    "context": [{"country": "DE"}, {}, [], None, {str(number): 1 for number in range(70)}],
    "forwarded": [[1, 2], None],
}
STATED: dict[str, list[Any]] = {
    "product_id": ["mug", 3, 4.0, "", None],
    "category": ["kitchen", 9, 2.5, "", None],
    "name": ["A mug", "", None],
    "price": [0, 12.5, 19.99, 1e9, None],
    "quantity": [1, 2.0, 3, 0, None],
    "amount": [0, 30, 0.1, 2e9, None],
    "order_id": ["o1", "", None],
    "rating": [1, 4.0, 5, 9, None],
    "text": ["good", "", None],
    "products": [["mug", 2, None], [], None],
    "brand": ["Acme", None],
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Event documents of any kind, mostly with the right types."""

    def some(of: dict[str, list[Any]]) -> dict[str, Any]:
        names = draw(st.sets(st.sampled_from([*of])))
        return {name: draw(st.sampled_from(of[name]) | json_values) for name in sorted(names)}

    stated = {"properties": some(STATED)} if draw(st.booleans()) else {}
    return {"event_type": "view", "user_id": "ada", "timestamp": AT_MS} | some(FIELDS) | stated


@given(documents())
def test_all_ways_of_decoding_return_the_same_event(document: dict[str, Any]) -> None:
    """Canonical events are parsed in one step; other events with unknown fields, or field by field."""
    flat = {name: value for name, value in document.items() if name != "properties"}
    flat |= {"metadata": document["properties"]} if "properties" in document else {}
    result = decoded(document)
    others = [decoded(other) for other in (document | {"page": 3}, document | {"metadata": {}}, flat)]
    for other in others:
        assert isinstance(other, type(result))
        assert isinstance(result, Rejected) or other == result
