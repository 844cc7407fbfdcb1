"""The oracle's decoder, line by line of docs/events.md; the values were worked out by hand."""

import base64
import json
from typing import Any

import attrs
import msgspec
import pytest

from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.visitor_profile import MergeMessage, OracleDecoded, VisitorProfile
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected, Tick
from realtime_pipeline.infrastructure.codecs.events import EventLimits

AT_MS = 1_700_000_000_000
DAY_MS = 86_400_000
LIMITS = EventLimits(record_bytes_max=4_000, label_length_max=10, text_length_max=20, amount_max=1_000)
decode = OracleDecoder(EventSchema(LIMITS, {"video_play": "view", "view": "purchase"}))
plain = OracleDecoder(EventSchema(EventLimits()))


def decoded(document: object, key: bytes | None = None, decoder: OracleDecoder = plain) -> OracleDecoded:
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decoder(Record(2, 17, key, value, AT_MS))


def event_of(document: object, decoder: OracleDecoder = plain) -> Event:
    found = decoded(document, decoder=decoder)
    assert isinstance(found, Event), found
    return found


def is_rejected(document: object, decoder: OracleDecoder = plain) -> bool:
    found = decoded(document, decoder=decoder)
    assert isinstance(found, Event | Rejected), found
    if isinstance(found, Rejected):
        code, _, explanation = found.reason.partition(": ")
        assert code
        assert explanation
    return isinstance(found, Rejected)


def view(properties: object = None, **changes: object) -> dict[str, object]:
    return {"event_id": "e1", "event_type": "view", "user_id": "ada", "timestamp": AT_MS, "properties": properties} | (
        changes
    )


def purchase(properties: object = None, **changes: object) -> dict[str, object]:
    return view(properties, event_type="purchase", **changes)


def review(**properties: object) -> dict[str, object]:
    return view({"product_id": "mug", "rating": 4, **properties}, event_type="review")


# the three schemas


def test_the_canonical_schema() -> None:
    properties = {"product_id": "mug", "category": "ware", "name": "Mug", "price": 2.5, "quantity": 3, "order_id": "o1"}
    document = purchase({**properties, "brand": "Acme"}, session_id="s1", context={"country": "DE", "device": "tv"})
    assert event_of(document) == Event(
        "e1",
        EventKind.PRODUCT_PURCHASED,
        CustomerId("ada"),
        AT_MS,
        session_id="s1",
        product_id=ProductId("mug"),
        category="ware",
        name="Mug",
        price=25_000,  # type: ignore[arg-type]
        amount=75_000,
        quantity=3,
        order_id="o1",
        properties={"brand": "Acme"},
        context={"country": "DE", "device": "tv"},
    )


def test_the_flat_and_the_transaction_schema() -> None:
    flat = {"event_type": "view", "user_id": "ada", "timestamp": AT_MS, "metadata": {"product_id": "mug", "a": 1}}
    made = event_of(flat)
    assert (made.product_id, made.properties, made.event_id) == ("mug", {"a": 1}, "user_events-2-17")
    made = event_of({"user_id": "ada", "action": "transaction", "amount": 19.99, "timestamp": AT_MS})
    assert (made.kind, made.amount, made.product_id) == (EventKind.PRODUCT_PURCHASED, 199_900, None)


def test_schemas_may_be_mixed_and_null_is_absent() -> None:
    document = view(
        {"product_id": None, "price": None, "amount": None, "size": None, "brand": "Acme"},
        event_type=None,
        action="purchase",
        amount=4,
        metadata={"product_id": "mug", "price": 1.5, "size": "L", "brand": "Other"},
        replayed=None,
        context=None,
        session_id=None,
    )
    made = event_of(document)
    assert (made.product_id, made.price, made.amount) == ("mug", 15_000, 40_000)
    assert made.properties == {"size": "L", "brand": "Acme"}
    assert event_of(purchase({"amount": 3}, amount=4)).amount == 30_000
    assert event_of(view(event_type="view", action="purchase")).kind is EventKind.PRODUCT_VIEWED


# which fields matter


@pytest.mark.parametrize("kind", ["view", "cart", "remove_from_cart"])
def test_what_does_not_matter_for_a_touch_is_dropped(kind: str) -> None:
    beside = {"quantity": 0, "amount": "x", "order_id": [], "rating": 4.6, "text": {}, "products": 7}
    made = event_of(view({"product_id": "mug", "price": 2, **beside}, event_type=kind, amount=[]))
    assert (made.price, made.quantity, made.amount, made.order_id, made.rating) == (20_000, 1, 0, None, None)
    assert made.properties == {}


def test_what_does_not_matter_for_other_kinds_is_dropped() -> None:
    made = event_of(purchase({"product_id": "mug", "rating": 9, "text": [], "products": 7}))
    assert (made.rating, made.text, made.shown) == (None, "", ())
    made = event_of(review(price="x", quantity=0, amount=-1, order_id="", products={}))
    assert (made.rating, made.price, made.amount, made.quantity) == (4, None, 0, 1)
    made = event_of(view({"products": ["a"], "product_id": [], "rating": 9, "list": "x"}, event_type="exposure"))
    assert (made.shown, made.product_id, made.properties) == (("a",), None, {"list": "x"})


@pytest.mark.parametrize("beside", [[], [1], "x", {"product_id": []}, {f"p{number}": 1 for number in range(65)}])
def test_properties_and_context_do_not_matter_for_sign_ins_and_forgettings(beside: object) -> None:
    login = event_of(view(beside, event_type="login", session_id="s1", context=beside))
    assert (login.customer_id, login.identified_as, login.session_id) == ("anonymous:s1", "ada", "s1")
    assert (login.product_id, login.properties, login.context) == (None, {}, {})
    forget = event_of(view(beside, event_type="forget", metadata=beside, context=beside))
    assert (forget.kind, forget.customer_id, forget.properties) == (EventKind.CUSTOMER_FORGOTTEN, "ada", {})
    written: list[object] = ["s1", [], "undefined"]
    for session_id in written:
        assert event_of(view(event_type="forget", session_id=session_id)).session_id is None


@pytest.mark.parametrize(
    "document",
    [
        view(user_id=None),
        view({"category": "ware"}, user_id=None),
        purchase({"price": 1}, user_id=None),
        view({"product_id": "mug"}, event_type="review"),
        view({"rating": 4}, event_type="review"),
        review() | {"user_id": None},
        view({}, event_type="exposure"),
        view({"products": ["a"]}, event_type="exposure", user_id=None),
        view(event_type="login"),
        view(event_type="login", user_id=None, session_id="s1"),
        view(event_type="forget", user_id=None),
        view(timestamp=None),
        view(event_type=None),
        view(event_type=7),
    ],
    ids=str,
)
def test_what_a_kind_cannot_do_without(document: object) -> None:
    assert is_rejected(document)


def test_what_counts_for_its_product_alone() -> None:
    made = event_of(view({"product_id": "mug"}, user_id=None))
    assert (made.customer_id, made.product_id) == (None, "mug")
    assert event_of(view(user_id=None, session_id="s1")).customer_id == "anonymous:s1"
    assert event_of(view(event_type="forget", user_id=None, session_id="s1")).customer_id == "anonymous:s1"


# what values may be


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("x" * 128, "x" * 128),
        (17, "17"),
        (2.0, "2"),
        (1e3, "1000"),
        (-5, "-5"),
        (2**70, "1180591620717411303424"),
        ("a b", "a b"),
        ("\N{WOMAN}\u200d\N{PERSONAL COMPUTER}", "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"),
        ("\N{HEAVY BLACK HEART}\ufe0f\u200d\N{FIRE}", "\N{HEAVY BLACK HEART}\ufe0f\u200d\N{FIRE}"),
    ],
)
def test_ids(written: object, read: str) -> None:
    document = purchase({"product_id": written, "order_id": written}, event_id=written, user_id=written)
    made = event_of(document | {"session_id": written})
    assert [made.event_id, made.customer_id, made.session_id, made.product_id, made.order_id] == [read] * 5
    assert event_of(view({"products": [written]}, event_type="exposure")).shown == (read,)


@pytest.mark.parametrize("written", ["x" * 129, "a\nb", "\u200d", "a\u200bb", 1.5, True, [], {}, 10**128, ["ada"]])
def test_what_is_no_id(written: object) -> None:
    for name in ("event_id", "user_id", "session_id"):
        assert is_rejected(view(**{name: written}))
    for name in ("product_id", "order_id"):
        assert is_rejected(purchase({name: written}))
    assert is_rejected(view({"products": ["a", written]}, event_type="exposure"))


def test_the_products_of_a_list() -> None:
    def shown(*products: object) -> object:
        return view({"products": products}, event_type="exposure")

    assert event_of(shown("b", "a", 7, "b", 7.0, "", None)).shown == ("b", "a", "7")
    assert len(event_of(shown(*range(100))).shown) == 100
    assert all(is_rejected(document) for document in (shown(*range(101)), shown(), shown(""), shown(None)))


def test_empty_ids_are_absent() -> None:
    made = event_of(purchase({"product_id": "", "order_id": ""}, event_id="", session_id=""))
    assert made[:1] == ("user_events-2-17",)
    assert (made.product_id, made.order_id, made.session_id) == (None, None, None)


@pytest.mark.parametrize("written", ["", "undefined", "null", "None", "NaN", "[object Object]"])
def test_refused_user_ids(written: str) -> None:
    assert is_rejected(view(user_id=written))
    assert event_of(view(session_id=written)).session_id is None
    assert is_rejected(view({"product_id": "mug"}, user_id=None, session_id=written)) == (written != "")


def test_a_shop_says_which_user_ids_are_refused() -> None:
    guests = OracleDecoder(EventSchema(EventLimits(refused_user_ids=("guest", "7"))))
    assert is_rejected(view(user_id="guest"), guests)
    assert is_rejected(view(user_id=7.0), guests)
    assert event_of(view(user_id="null"), guests).customer_id == "null"
    assert event_of(view(user_id="", session_id="s1"), guests).customer_id == "anonymous:s1"
    assert event_of(view(session_id="guest"), guests).session_id is None


def test_users_are_not_named_as_visitors_are() -> None:
    assert is_rejected(view(user_id="anonymous:s1"))
    assert event_of(view(user_id=None, session_id="anonymous:s1")).customer_id == "anonymous:anonymous:s1"


@pytest.mark.parametrize(
    ("written", "at_ms"),
    [
        (0, 0),
        (999_999_999, 999_999_999),
        (10_000_000_000, 10_000_000_000),
        (AT_MS, AT_MS),
        (AT_MS + 0.9, AT_MS),
        (253_402_300_799_998, 253_402_300_799_998),
        ("2023-11-14T22:13:20", AT_MS),
        ("2023-11-14T22:13:20Z", AT_MS),
        ("2023-11-15T00:13:20+02:00", AT_MS),
        ("2023-11-14T17:43:20-0430", AT_MS),
        ("2023-11-14 22:13:20.1239", AT_MS + 123),
        ("1970-01-02", DAY_MS),
        ("1970-01-01T24:00:00", DAY_MS),
        ("1972-06-30T23:59:60Z", 78_796_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("9999-12-31T23:59:59.998Z", 253_402_300_799_998),
    ],
)
def test_times(written: object, at_ms: int) -> None:
    assert event_of(view(timestamp=written)).occurred_at_ms == at_ms


@pytest.mark.parametrize(
    "written",
    [
        1_760_000_000,
        1_760_000_000.5,
        -1,
        253_402_300_800_000,
        1e300,
        True,
        [],
        "",
        "yesterday",
        "1700000000000",
        "2024-02-30T00:00:00",
        "2024-03-31T24:00:01",
        "2024-03-31T25:00:00",
        "2024-03-31T10:00:00+02:00[Europe/Berlin]",
        "2024-03-31 10:00:00 UTC",
        "9999-12-31T24:00:00",
        "9999-12-31T23:59:59-00:01",
        "1969-12-31T23:59:59",
    ],
)
def test_what_is_no_time(written: object) -> None:
    assert is_rejected(view(timestamp=written))


@pytest.mark.parametrize(
    ("properties", "price", "amount", "quantity"),
    [
        ({}, None, 0, 1),
        ({"price": 2.5}, 25_000, 25_000, 1),
        ({"price": 2.5, "quantity": 4}, 25_000, 100_000, 4),
        ({"price": 2.5, "quantity": 4.0}, 25_000, 100_000, 4),
        ({"amount": 40, "quantity": 2}, 200_000, 400_000, 2),
        ({"price": 25, "amount": 40, "quantity": 2}, 250_000, 400_000, 2),
        ({"amount": 10, "quantity": 3}, 33_333, 100_000, 3),
        ({"amount": 20, "quantity": 3}, 66_667, 200_000, 3),
        ({"price": 0.002307, "quantity": 13_004}, 23, 300_002, 13_004),  # 30.000228, not 0.0023 for each
        ({"price": 0.00005, "quantity": 1}, 0, 0, 1),  # half of a ten-thousandth goes to the even one
        ({"price": 0.00015, "quantity": 1}, 2, 2, 1),
        ({"price": 0.00005, "quantity": 3}, 0, 2, 3),  # 1.5 ten-thousandths
        ({"amount": 0.00025}, 2, 2, 1),
        ({"price": 1e-7, "quantity": 1_000_000}, 0, 1_000, 1_000_000),
        ({"price": 0, "amount": 0}, 0, 0, 1),
        ({"price": 1_000_000_000}, 10**13, 10**13, 1),
    ],
)
def test_money(properties: dict[str, object], price: int | None, amount: int, quantity: int) -> None:
    for kind in ("purchase", "refund"):
        made = event_of(view(properties, event_type=kind))
        assert (made.price, made.amount, made.quantity) == (price, amount, quantity)


@pytest.mark.parametrize(
    "properties",
    [
        {"price": -0.01},
        {"price": "12.50"},
        {"price": True},
        {"price": []},
        {"price": 1_000.01},
        {"price": 500.01, "quantity": 2},
        {"price": 10**400},
        {"amount": 1_000.01},
        {"amount": "x", "price": 1},
        {"amount": -1},
        {"quantity": 0},
        {"quantity": -3},
        {"quantity": 1.5},
        {"quantity": "2"},
        {"quantity": 1_000_001},
        {"quantity": True},
    ],
    ids=str,
)
def test_what_is_no_money(properties: dict[str, object]) -> None:
    for kind in ("purchase", "refund"):
        assert is_rejected(view(properties, event_type=kind), OracleDecoder(EventSchema(LIMITS)))
    assert is_rejected({**purchase(), "amount": -1})


@pytest.mark.parametrize("price", [-1, "12.50", True, [], 1_000_000_000.01])
def test_a_price_that_is_none_is_dropped_from_a_view(price: object) -> None:
    assert event_of(view({"product_id": "mug", "price": price})).price is None


def test_ratings() -> None:
    assert [event_of(review(rating=rating)).rating for rating in (1, 4.0, 5)] == [1, 4, 5]
    wrong: list[object] = [0, 6, 4.5, "4", True, None, []]
    assert all(is_rejected(review(rating=rating)) for rating in wrong)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ware", "ware"),
        (1984, "1984"),
        (2.0, "2"),
        (2.5, "2.5"),
        ("", None),
        (None, None),
        (True, None),
        ([], None),
        ({"a": 1}, None),
        ("0123456789x", "0123456789"),
        (12345678901, "1234567890"),
    ],
)
def test_labels(written: object, read: str | None) -> None:
    document = {"event_type": "cart", "user_id": "ada", "timestamp": AT_MS}
    made = event_of({**document, "properties": {"category": written, "name": written}}, decode)
    assert (made.category, made.name) == (read, read)


@pytest.mark.parametrize(
    ("written", "read"), [("fine", "fine"), (7, "7"), (2.0, "2"), ("", ""), (None, ""), (True, ""), ([], "")]
)
def test_texts_of_reviews(written: object, read: str) -> None:
    assert event_of(review(text=written)).text == read
    assert event_of(review(text="x" * 30), decode).text == "x" * 20


@pytest.mark.parametrize("name", ["properties", "metadata"])
def test_properties_are_an_object(name: str) -> None:
    assert event_of(view() | {name: []}).properties == {}
    assert all(is_rejected(view() | {name: written}) for written in ([1], "x", 7, True))


def test_a_context_that_is_none_is_dropped() -> None:
    for written in ([], [1], "mobile", 7, None):
        assert event_of(view(context=written)).context == {}


def test_countries() -> None:
    assert [event_of(view(context={"country": code})).country for code in ("DE", "de")] == ["DE", "DE"]
    for written in ("nowhere", "D", 7, "D1", "ÄÖ", ["DE"], ""):
        assert event_of(view(context={"country": written, "device": "tv"})).context == {"device": "tv"}


def test_replayed() -> None:
    assert [event_of(view(replayed=written)).replayed for written in (True, False, None)] == [True, False, False]
    wrong: list[object] = [1, "true", "", []]
    assert all(is_rejected(view(replayed=written)) for written in wrong)


@pytest.mark.parametrize(
    ("document", "absent"),
    [
        (view(user_id=None, session_id="s1", userId="ada"), "user_id"),
        (view(user_id=None, session_id="s1", UserID="ada"), "user_id"),
        (view({"product-id": "mug"}), "product_id"),
        (view({"productId": 7}), "product_id"),
        (view({}, productId="mug"), "product_id"),
        (view({"userId": "ada"}, user_id=None, session_id="s1"), "user_id"),
        (view(metadata={"Product_ID": "mug"}), "product_id"),
        (purchase({"PRICE": 0}), "price"),
        (view(sessionId="s1"), "session_id"),
        (view(event_id=None, eventId="e1"), "event_id"),
        (view(REPLAYED=True), "replayed"),
        (view(Properties={"product_id": "mug"}), "properties"),
        (view(Metadata={"product_id": "mug"}), "metadata"),
        (review(Text="fine"), "text"),
        (view({"Products": ["a"]}, event_type="exposure"), "products"),
        (view(event_type="forget", user_id=None, session_id="s1", userId="ada"), "user_id"),
        (view(event_type="forget", user_id=None, SessionID="s1"), "session_id"),
    ],
    ids=str,
)
def test_misspelt_fields(document: object, absent: str) -> None:
    found = decoded(document)
    assert isinstance(found, Rejected)
    assert found.reason.startswith("misspelt_field: ")
    assert found.reason.endswith(absent)


@pytest.mark.parametrize(
    "document",
    [
        view(userId="bob"),
        view({"productId": ""}),
        view({"productId": None}),
        view({"productId": []}),
        view({"Quantity": 3}),
        view({"Products": ["a"]}),
        view({"item": "mug"}),
        view({}, Metadata={"product_id": "mug"}),
        view({}, product_id="mug"),
        view({"user_id": "bob"}, user_id=None, session_id="s1"),
        view(event_type="forget", productId="mug"),
        view(event_type="forget", sessionId="s1"),
    ],
    ids=str,
)
def test_what_is_not_misspelt(document: object) -> None:
    assert not is_rejected(document)


def test_how_much_an_event_may_carry() -> None:
    def many(number: int) -> dict[str, int]:
        return {f"p{one}": one for one in range(number)}

    assert len(event_of(view({"product_id": "mug", **many(64)}, context=many(64))).properties) == 64
    assert is_rejected(view(many(65)))
    assert is_rejected(view(many(40), metadata={f"q{one}": 1 for one in range(25)}))
    assert is_rejected(view(context=many(65)))
    assert event_of(view({"deep": [[[{"a": 1}]]]})).properties == {"deep": [[[{"a": 1}]]]}
    assert is_rejected(view({"deep": [[[{"a": []}]]]}))
    assert is_rejected(view(context={"deep": [[[[[1]]]]]}))


# types


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (EventKind.PRODUCT_VIEWED, "product_viewed product_view view viewed"),
        (EventKind.PRODUCT_CARTED, "product_carted add_to_cart cart"),
        (EventKind.PRODUCT_UNCARTED, "product_uncarted remove_from_cart"),
        (EventKind.PRODUCT_PURCHASED, "product_purchased purchase purchased transaction"),
        (EventKind.PURCHASE_CANCELLED, "purchase_cancelled cancellation cancel refund"),
        (EventKind.PRODUCT_REVIEWED, "product_reviewed review"),
        (EventKind.CUSTOMER_SIGNED_IN, "customer_signed_in sign_in login"),
        (EventKind.RECOMMENDATIONS_SHOWN, "recommendations_shown exposure impression"),
        (EventKind.CUSTOMER_FORGOTTEN, "customer_forgotten forget"),
    ],
)
def test_types(kind: EventKind, names: str) -> None:
    properties = {"product_id": "mug", "rating": 4, "products": ["a"]}
    for name in names.split():
        assert event_of(view(properties, event_type=name, session_id="s1")).kind is kind
        assert decoded(view(event_type=name.upper())) == Ignored(name.upper())


def test_a_shops_own_types_come_first() -> None:
    assert event_of(view(event_type="video_play"), decode).kind is EventKind.PRODUCT_VIEWED
    assert event_of(view(event_type="view"), decode).kind is EventKind.PRODUCT_PURCHASED
    assert decoded({"event_type": "song_play", "properties": 7}) == Ignored("song_play")
    assert decoded({"event_type": "", "action": "view"}) == Ignored("")


# bytes


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{",
        b'\xef\xbb\xbf{"event_type":"view","user_id":"a","timestamp":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1} x',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":NaN}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":-Infinity}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":1e400}',
        b'{"event_type":"view","user_id":"\\ud800","timestamp":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"\\uDC00":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":"\\ud83d","x":1}',
        b'{"event_type":"view","user_id":"a\x01","timestamp":1}',
        b'{"event_type":"view","user_id":"\xc3","timestamp":1}',
        '{"event_type":"view","user_id":"a","timestamp":1}'.encode("utf-16"),
        b'{"event_type":"view","user_id":"a","timestamp":' + b"9" * 5_000 + b"}",
        b'{"event_type":"song","x":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 60_000,
        b'{"event_type":"view","x":"' + b"[" * 60_000,
    ],
    ids=lambda value: repr(value[:60]),
)
def test_bytes_that_are_no_event(value: bytes) -> None:
    assert is_rejected(value)


def test_what_json_allows() -> None:
    made = event_of(b' {"event_type":"cart","event_type":"view","user_id":"\\ud83d\\ude00","timestamp":1} \n')
    assert (made.kind, made.customer_id) == (EventKind.PRODUCT_VIEWED, "\N{GRINNING FACE}")
    made = event_of(rb'{"event_type":"view","user_id":"\\ud800","timestamp":1}')
    assert made.customer_id == "\\ud800"  # a backslash and letters
    assert decoded(b'{"event_type":"song","x":' + b"[" * 63 + b"]" * 63 + b"}") == Ignored("song")
    assert event_of(view({"product_id": "mug", "note": "[" * 900})).properties == {"note": "[" * 900}


def test_how_large_a_record_may_be() -> None:
    def of_size(size: int, **changes: object) -> bytes:
        value = json.dumps(view({"product_id": "mug"}, **changes)).encode()
        return value + b" " * (size - len(value))

    assert not is_rejected(of_size(6_048), decode)
    assert is_rejected(of_size(6_049), decode)
    assert not is_rejected(of_size(4_000, user_id=None), decode)
    assert is_rejected(of_size(4_001, user_id=None), decode)


# the worker's own records


def test_ticks() -> None:
    assert decoded(b"", b"\0tick") == Tick(None)
    assert decoded(b"1700000000000", b"\0tick") == Tick(AT_MS)
    assert isinstance(decoded(b"five", b"\0tick"), Rejected)
    assert isinstance(decoded(b"9" * 5_000, b"\0tick"), Rejected)


def test_the_copy_of_a_visitors_event_names_the_original() -> None:
    assert event_of(view(forwarded=[3, 17])).forwarded == (3, 17)
    assert event_of(view()).forwarded is None
    assert all(is_rejected(view(forwarded=written)) for written in (7, [1], [1, 2, 3], [-1, 0], [True, 0], ["a", 1]))


def merged(**changes: object) -> dict[str, Any]:
    visitor = VisitorProfile(CustomerId("anonymous:s1"), spend=5, recent={ProductId("mug"): AT_MS})
    return {
        "event_type": "history_merged",
        "event_id": "e9",
        "user_id": "ada",
        "session_id": "s1",
        "timestamp": AT_MS,
        "history": base64.b64encode(msgspec.msgpack.encode(visitor)).decode(),
    } | changes


def test_histories() -> None:
    visitor = VisitorProfile(CustomerId("anonymous:s1"), spend=5, recent={ProductId("mug"): AT_MS})
    right = MergeMessage("e9", CustomerId("ada"), visitor.customer_id, AT_MS, visitor)
    assert decoded(merged()) == right
    assert decoded(merged(signed_in=None)) == right
    assert decoded(merged(signed_in=[1, 7])) == attrs.evolve(right, signed_in=(1, 7))
    for changes in ({"history": "?"}, {"history": "AAAA"}, {"history": None}, {"session_id": None}, {"signed_in": 7}):
        assert isinstance(decoded(merged(**changes)), Rejected)


def test_whose_a_rejected_record_is() -> None:
    def owner(document: object) -> CustomerId | None:
        found = decoded(document)
        assert isinstance(found, Rejected)
        return found.customer_id

    assert owner(view(timestamp=None)) == "ada"
    assert owner(view(timestamp=None, user_id=None, session_id="s1")) == "anonymous:s1"
    assert owner(view(session_id=[])) == "ada"
    assert owner(view(user_id=[], session_id="s1")) == "anonymous:s1"
    assert owner(view(timestamp=None, event_type="login", session_id="s1")) == "anonymous:s1"
    assert owner(b"garbage") is None
