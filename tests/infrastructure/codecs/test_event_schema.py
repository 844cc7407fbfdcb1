"""The schema of docs/events.md: what of an event matters, what is dropped, and what makes a dead letter."""

import time
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.processing.process_events import gc_paused
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventDecoder, EventLimits, encode_event

AT_MS = 1_700_000_000_000
decode = EventDecoder(EventLimits(), {})
ACTIONS = ("view", "add_to_cart", "remove_from_cart", "purchase", "refund")


def decoded(document: object, decoder: EventDecoder = decode) -> object:
    value = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return decoder(Record(2, 17, None, value, AT_MS))


def event_of(document: object) -> Event:
    made = decoded(document)
    assert isinstance(made, Event), made
    return made


def reason_of(document: object, decoder: EventDecoder = decode) -> str:
    made = decoded(document, decoder)
    assert isinstance(made, Rejected), made
    return made.reason


def an_event(kind: str, more: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """An event of ada; `more` stands beside the properties."""
    document = {"event_id": "e1", "event_type": kind, "user_id": "ada", "timestamp": AT_MS}
    return document | ({"properties": properties} if properties else {}) | (more or {})


# Null is absent, in every place.


def test_a_field_is_read_from_the_first_object_where_it_is_not_null() -> None:
    made = event_of(
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
    assert (made.kind, made.customer_id, made.product_id) == (EventKind.PRODUCT_PURCHASED, "anonymous:s1", "mug")
    assert (made.category, made.quantity, made.amount, made.price) == ("kitchen", 2, 400_000, 200_000)
    assert (made.properties, made.replayed, made.forwarded) == ({"brand": "Acme"}, False, None)


def test_null_properties_do_not_hide_the_metadata() -> None:
    stated = {"product_id": "mug", "price": 12.5}
    made = event_of(an_event("purchase", {"properties": None, "metadata": stated}))
    assert (made.product_id, made.amount) == ("mug", 125_000)


def test_an_empty_array_is_read_as_an_empty_object() -> None:
    made = event_of(an_event("view", {"properties": [], "metadata": {"product_id": "mug"}, "context": []}))
    assert (made.product_id, made.context) == ("mug", {})


def test_a_context_that_is_not_an_object_is_dropped() -> None:
    assert event_of(an_event("view", {"context": "mobile"}, product_id="mug")).context == {}


# Money.


@pytest.mark.parametrize("place", ["properties", "metadata", "beside"])
@pytest.mark.parametrize("kind", ["purchase", "refund"])
def test_an_amount_overrides_price_times_quantity(place: str, kind: str) -> None:
    stated = {"product_id": "milk", "price": 0.0023, "quantity": 13_004}
    if place == "beside":
        document = an_event(kind, {"amount": 30.0}, **stated)
    else:
        document = an_event(kind, {place: stated | {"amount": 30.0}})
    made = event_of(document)
    assert (made.amount, made.price, made.quantity) == (300_000, 23, 13_004)


def test_a_line_of_13004_units_for_30_costs_30() -> None:
    by_total = event_of(an_event("purchase", product_id="screws", quantity=13_004, amount=30.0))
    assert (by_total.amount, by_total.price) == (300_000, 23)  # 0.00230698... each
    by_price = event_of(an_event("purchase", product_id="screws", quantity=13_004, price=0.002306982466933251))
    assert by_price.amount == 300_000


def test_an_amount_is_used_if_the_price_is_null() -> None:
    made = event_of(
        {"user_id": "fay", "action": "purchase", "amount": 40, "timestamp": 1, "properties": {"price": None}}
    )
    assert made.amount == 400_000


def test_a_purchase_without_price_and_amount_is_worth_0() -> None:
    made = event_of(an_event("purchase", product_id="mug", quantity=3))
    assert (made.amount, made.price, made.quantity) == (0, None, 3)


def test_half_a_ten_thousandth_rounds_to_even() -> None:
    amounts = [event_of(an_event("purchase", amount=amount)).amount for amount in (0.00005, 0.00015, 0.00025, 1.00005)]
    assert amounts == [0, 2, 2, 10_000]
    assert event_of(an_event("purchase", amount=0.0003, quantity=2)).price == 2  # 1.5
    assert event_of(an_event("purchase", amount=0.0005, quantity=2)).price == 2  # 2.5


prices = st.floats(0, 1e9) | st.decimals(0, 10**6, places=5).map(float) | st.integers(0, 10**9).map(float)


@given(price=prices, quantity=st.integers(1, 10**6))
def test_money_equals_decimal_arithmetic(price: float, quantity: int) -> None:
    exact = Decimal(repr(price)) * quantity
    made = decoded(an_event("purchase", product_id="mug", price=price, quantity=quantity))
    if exact > 10**9:
        assert isinstance(made, Rejected)
        assert made.reason.startswith("invalid_amount")
    else:
        assert isinstance(made, Event)
        assert made.amount == int(exact.quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))
        assert made.price == int(Decimal(repr(price)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))


@given(amount=prices, quantity=st.integers(1, 10**6))
def test_the_unit_price_equals_decimal_arithmetic(amount: float, quantity: int) -> None:
    made = event_of(an_event("purchase", product_id="mug", amount=amount, quantity=quantity))
    assert made.amount == int(Decimal(repr(amount)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))
    assert made.price is not None
    assert abs(Decimal(repr(amount)) * 10_000 - made.price * quantity) * 2 <= quantity


def test_a_decimal_is_encoded_as_a_number() -> None:
    written = encode_event({"price": Decimal("19.990"), "weight": Decimal("1E+2"), "more": [Decimal("-0.1")]})
    assert written == b'{"price":19.990,"weight":1E+2,"more":[-0.1]}'


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_a_decimal_that_is_not_finite_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"properties\.price is"):
        encode_event({"properties": {"price": Decimal(value)}})


# What does not matter for a kind.

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
    """A view's rating, quantity or order says nothing, right or wrong, in one go or field by field."""
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
    made = event_of(an_event("view", product_id="mug", price=price))
    assert (made.product_id, made.price) == ("mug", None)
    assert isinstance(decoded(an_event("purchase", product_id="mug", price=price)), Rejected)


def test_numbers_are_valid_labels() -> None:
    made = event_of(an_event("view", product_id="book", category=1673, name=1984.0))
    assert (made.category, made.name) == ("1673", "1984")
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


# Ids.


@pytest.mark.parametrize("id_", ["👩\u200d💻", "❤️\u200d🔥", "👩🏽\u200d🚀", "🙂\u200d↔️", "☎︎", "Zoë", "天"])
def test_emoji_are_valid_in_ids(id_: str) -> None:
    made = event_of(an_event("purchase", {"user_id": id_, "session_id": id_}, product_id=id_, order_id=id_))
    assert (made.customer_id, made.session_id, made.product_id, made.order_id) == (id_,) * 4
    assert decode.routing_key(msgspec.json.encode(an_event("view", {"user_id": id_}))) == id_


@pytest.mark.parametrize("id_", ["a\u200db", "\u200d", "👩\u200d", "\u200d💻", "a\nb", "a\u200bb", "\u202e", "\x7f"])
def test_invisible_characters_in_ids_are_refused(id_: str) -> None:
    assert reason_of(an_event("view", {"user_id": id_}, product_id="mug")).startswith("invalid_id")
    assert reason_of(an_event("view", product_id=id_)).startswith("invalid_id")
    assert reason_of(an_event("exposure", products=["mug", id_])).startswith("invalid_id")


@pytest.mark.parametrize("id_", ["", "undefined", "null", "None", "NaN", "[object Object]"])
@pytest.mark.parametrize("more", [{}, {"context": {"a": 1}, "page": 2}])
def test_placeholder_user_ids_are_refused(id_: str, more: dict[str, Any]) -> None:
    for kind in ("view", "sign_in", "forget"):
        said = reason_of(an_event(kind, {"user_id": id_, "session_id": "s1"} | more, product_id="mug"))
        assert said.startswith("invalid_user_id: ")


def test_placeholder_session_ids_identify_no_visitor() -> None:
    beside = event_of(an_event("view", {"session_id": "undefined"}, product_id="mug"))
    assert (beside.customer_id, beside.session_id) == ("ada", None)
    alone = an_event("view", {"user_id": None, "session_id": "undefined"}, product_id="mug")
    assert reason_of(alone).startswith("invalid_session_id: ")
    assert reason_of(an_event("sign_in", {"session_id": "null"})).startswith("incomplete_sign_in: ")
    assert event_of(an_event("view", {"user_id": None, "session_id": ""}, product_id="mug")).customer_id is None


def test_a_shop_configures_its_refused_user_ids() -> None:
    own = EventDecoder(EventLimits(refused_user_ids=("guest",)), {})
    assert reason_of(an_event("view", {"user_id": "guest"}), own).startswith("invalid_user_id: ")
    made = decoded(an_event("view", {"user_id": "undefined"}), own)
    assert isinstance(made, Event)
    empty = decoded(an_event("view", {"user_id": "", "session_id": "s1"}), own)
    assert isinstance(empty, Event)
    assert empty.customer_id == "anonymous:s1"


# Foreign names.


@pytest.mark.parametrize("kind", [*ACTIONS, "review"])
def test_an_event_without_customer_and_product_names_its_unknown_fields(kind: str) -> None:
    document = {"event_type": kind, "userId": "ada", "sku": 7, "timestamp": AT_MS, "properties": {"productId": "mug"}}
    assert reason_of(document) == (
        "incomplete_event: it has no user_id, session_id or product_id; "
        "unknown here: userId (user_id?), sku, productId (product_id?)"
    )
    assert reason_of({"event_type": kind, "timestamp": AT_MS}) == (
        "incomplete_event: it has no user_id, session_id or product_id"
    )


def test_at_most_8_unknown_fields_are_named() -> None:
    document = {"event_type": "view", "timestamp": 1} | {f"field\n{number}" * 20: 1 for number in range(30)}
    said = reason_of(document)
    assert said.endswith(" and 22 more")
    assert len(said) < 600
    assert "\n" not in said


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (an_event("view", {"user_id": None, "userId": "ada"}, product_id="mug"), ("userId", "user_id")),
        (an_event("view", productId="mug"), ("productId", "product_id")),
        (an_event("view", {"product-id": "mug"}), ("product-id", "product_id")),
        (an_event("purchase", {"metadata": {"PRICE": 3}}), ("PRICE", "price")),
        (an_event("purchase", {"Amount": 3}), ("Amount", "amount")),
        (an_event("review", productID="mug", rating=5), ("productID", "product_id")),
        (an_event("forget", {"user_id": None, "User-Id": "ada"}), ("User-Id", "user_id")),
        (an_event("sign_in", {"sessionId": "s1"}), ("sessionId", "session_id")),
        (an_event("view", {"timestamp": None, "timeStamp": AT_MS}), ("timeStamp", "timestamp")),
        (an_event("view", {"event_id": "", "eventId": "e2"}), ("eventId", "event_id")),
        (an_event("view", {"event_type": None, "eventType": "view"}), ("eventType", "event_type")),
        (an_event("view", {"Properties": {"product_id": "mug"}}), ("Properties", "properties")),
    ],
    ids=str,
)
def test_a_misspelt_field_is_named_with_its_right_spelling(document: object, names: tuple[str, str]) -> None:
    assert reason_of(document) == f"misspelt_field: {names[0]} is unknown here; it is written {names[1]}"


@pytest.mark.parametrize(
    "document",
    [
        an_event("view", {"userId": "eve"}, product_id="mug"),  # the field itself is there
        an_event("view", {"productId": None}, product_id=None),
        an_event("view", productId=""),
        an_event("view", {"Rating": 5}, product_id="mug"),  # means nothing for a view
        an_event("view", {"product": "mug"}),
        an_event("view", {"name": "Page viewed"}, product_id="mug"),  # rightly spelt, and in another place
    ],
    ids=str,
)
def test_fields_that_are_not_misspelt_are_ignored(document: object) -> None:
    assert event_of(document).customer_id == "ada"


# Times.


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2016-12-31T23:59:60.250+00:00", 1_483_228_800_250),
        ("2017-01-01T05:29:60+05:30", 1_483_228_800_000),
        ("20161231T235960Z", 1_483_228_800_000),
        ("2024-03-31T24:00:00Z", 1_711_929_600_000),
        ("2024-03-31T24:00", 1_711_929_600_000),
        ("2024-03-31 24:00:00.000+02:00", 1_711_922_400_000),
        ("20240331T240000Z", 1_711_929_600_000),
    ],
)
def test_leap_seconds_and_24_00_are_valid_times(text: str, at_ms: int) -> None:
    assert event_of(an_event("view", {"timestamp": text})).occurred_at_ms == at_ms


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-31T24:00:01",
        "2024-03-31T24:01",
        "2024-03-31T24:00:00.5",
        "2024-03-31T25:00",
        "2024-03-31T23:59:61",
        "2024-03-31T10:60:00",
        "9999-12-31T24:00:00Z",
        "24:00:00",
        "2024-03-31T10:00:00." + "0" * 60_000,
        "2024-03-31T10:00:00+02:00[Europe/Berlin]",
        "2024-03-31 10:00:00 UTC",
        "1700000000000",
    ],
    ids=lambda text: text[:40],
)
def test_times_that_do_not_exist_are_refused(text: str) -> None:
    assert reason_of(an_event("view", {"timestamp": text})).startswith("invalid_timestamp: ")


# Size, and time.


def test_a_record_that_is_too_large_still_names_its_customer() -> None:
    value = msgspec.json.encode(an_event("view", {"page": "x" * 70_000}))
    assert decoded(value) == Rejected(f"too_large: {len(value)} bytes are more than 65536", CustomerId("ada"))
    assert reason_of(b"[" * 70_000) == "too_large: 70000 bytes are more than 65536"
    assert reason_of(an_event("view", {"page": "history_merged", "more": "x" * 70_000})).startswith("too_large: ")


def test_the_event_of_a_visitor_has_a_lower_size_limit() -> None:
    assert isinstance(decoded(an_event("view", {"page": "x" * 66_000})), Event)
    assert reason_of(an_event("view", {"user_id": None, "session_id": "s1", "page": "x" * 66_000})).startswith("too_la")


HEAD = b'{"event_type":"view","user_id":"ada","timestamp":1,"properties":{"product_id":"mug","v":[' + b"[]," * 70
ADVERSARIAL: dict[str, Callable[[int], bytes]] = {
    "cut off amid quotes": lambda size: HEAD + b'"' + b'<p class=\\"d\\">' * (size // 16),
    "cut off after a backslash": lambda size: HEAD + b'"' + b'\\"' * (size // 2) + b"\\",
    "backslashes": lambda size: HEAD + b'"' + b"\\" * size,
    "brackets": lambda size: HEAD + b"[]," * (size // 3),
    "quotes": lambda size: HEAD + b'"",' * (size // 3),
    "opening": lambda size: b"[" * size,
    "digits": lambda size: b'{"event_type":"view","timestamp":' + b"9" * size + b"}",
    "a fraction": lambda size: b'{"event_type":"view","timestamp":1.' + b"9" * size + b"}",
    "a long time": lambda size: b'{"event_type":"view","timestamp":"' + b"2024-" * (size // 5) + b'"}',
    "joiners": lambda size: b'{"event_type":"view","user_id":"' + "💻\u200d".encode() * (size // 7) + b'"}',
    "names": lambda size: (
        b'{"event_type":"view","timestamp":1' + b"".join(b',"n-%d":1' % n for n in range(size // 10)) + b"}"
    ),
    "a long name": lambda size: b'{"event_type":"view","timestamp":1,"' + b"userId" * (size // 6) + b'":1}',
    "spaces": lambda size: b" " * size,
}


def seconds(call: Callable[[], object]) -> float:
    """CPU time of some calls, the least of some; the worker holds the garbage collector off too."""
    times = []
    with gc_paused():
        for _ in range(3):
            began_s = time.process_time()
            for _ in range(5):
                call()
            times.append(time.process_time() - began_s)
    return max(min(times), 1e-4)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_time_per_byte_does_not_grow(name: str) -> None:
    """Were it quadratic, eight times the bytes would take 64 times the time."""
    wide = EventDecoder(EventLimits(record_bytes_max=10**7), {})
    small, large = (ADVERSARIAL[name](size) for size in (40_000, 320_000))
    for call in (lambda value: decoded(value, wide), wide.routing_key, decoded):
        assert seconds(lambda: call(large)) <= 3 * 8 * seconds(lambda: call(small))  # noqa: B023


# Four inputs for each field: absent, null, empty, misspelt; and a right one.

PLACES = {
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
INPUTS = st.sampled_from(["right", "absent", "null", "empty", "misspelt"])


def put(document: dict[str, Any], name: str, value: object, how: str) -> None:
    if how == "misspelt":
        document[name.title().replace("_", "")] = value
    elif how != "absent":
        document[name] = {"right": value, "null": None, "empty": "" if name != "context" else {}}[how]


LOOKS = {"product_id", "category", "name", "price"}
MATTERS = {
    EventKind.PRODUCT_PURCHASED: LOOKS | {"quantity", "amount", "order_id"},
    EventKind.PURCHASE_CANCELLED: LOOKS | {"quantity", "amount", "order_id"},
    EventKind.PRODUCT_REVIEWED: {"product_id", "category", "name", "rating", "text"},
    EventKind.RECOMMENDATIONS_SHOWN: {"products"},
    EventKind.CUSTOMER_SIGNED_IN: set[str](),
    EventKind.CUSTOMER_FORGOTTEN: set[str](),
}
NUMBERS = {"quantity", "amount", "rating", "products"}
"""Where empty text is none, and so a dead letter; and a price of what is sold."""


def makes_an_event(kind: EventKind, how: dict[str, str]) -> bool:
    """Whether something comes of an event, by the tables of docs/events.md."""
    has = {name for name, said in how.items() if said == "right"}
    matters = MATTERS.get(kind, LOOKS)
    whose = bool(has & {"user_id", "session_id"})
    if kind is EventKind.CUSTOMER_SIGNED_IN:
        is_complete = {"user_id", "session_id"} <= has
    elif kind is EventKind.CUSTOMER_FORGOTTEN:
        is_complete = whose
    elif kind is EventKind.RECOMMENDATIONS_SHOWN:
        is_complete = whose and "products" in has
    elif kind is EventKind.PRODUCT_REVIEWED:
        is_complete = whose and {"product_id", "rating"} <= has
    else:
        is_complete = whose or "product_id" in has
    checked = matters | {"event_id", "user_id", "session_id", "timestamp", "replayed"}
    if kind is EventKind.CUSTOMER_FORGOTTEN and "user_id" in has:
        checked -= {"session_id"}
    empty = {name for name, said in how.items() if said == "empty"}
    refused = {"user_id", "replayed"} | (NUMBERS & matters) | ({"price"} if "quantity" in matters else set())
    misspelt = any(how[name] == "misspelt" for name in checked)
    return is_complete and "timestamp" in has and not misspelt and not empty & refused


MOSTLY_RIGHT = st.sampled_from(["right"] * 8 + ["absent", "null", "empty", "misspelt"])


@given(data=st.data(), kind=st.sampled_from([*EventKind]), inputs=st.sampled_from([INPUTS, MOSTLY_RIGHT]))
def test_every_decoded_value_comes_from_a_valid_field(
    data: st.DataObject, kind: EventKind, inputs: st.SearchStrategy[str]
) -> None:
    document: dict[str, Any] = {"event_type": TYPE_NAMES[kind][-1]}
    stated: dict[str, Any] = {}
    how = {name: data.draw(inputs, name) for name in (*PLACES, *PROPERTIES)}
    for name, value in PLACES.items():
        put(document, name, value, how[name])
    for name, value in PROPERTIES.items():
        put(stated, name, value, how[name])
    document[data.draw(st.sampled_from(["properties", "metadata"]))] = stated
    made = decoded(document)
    if isinstance(made, Rejected):
        assert not makes_an_event(kind, how), made.reason
        return
    assert isinstance(made, Event)
    assert makes_an_event(kind, how)
    has = {name for name, said in how.items() if said == "right"}
    assert made.event_id == ("e1" if "event_id" in has else "user_events-2-17")
    assert made.occurred_at_ms == AT_MS
    assert made.replayed == ("replayed" in has)
    if kind is EventKind.CUSTOMER_SIGNED_IN:
        assert (made.customer_id, made.identified_as) == ("anonymous:s1", "ada")
    else:
        expected = "ada" if "user_id" in has else "anonymous:s1" if "session_id" in has else None
        assert made.customer_id == expected
    matters = "product_id" in has and kind not in {EventKind.CUSTOMER_FORGOTTEN, EventKind.CUSTOMER_SIGNED_IN}
    assert made.product_id == ("mug" if matters and kind is not EventKind.RECOMMENDATIONS_SHOWN else None)
    assert (made.category is None) or ("category" in has and made.category == "kitchen")
    assert (made.name is None) or ("name" in has and made.name == "A mug")
    if kind in {EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED}:
        quantity = 2 if "quantity" in has else 1
        each = 125_000 if "price" in has else 0
        assert made.quantity == quantity
        assert made.amount == (300_000 if "amount" in has else each * quantity)
        assert made.order_id == ("o1" if "order_id" in has else None)
        given_price = 125_000 if "price" in has else 300_000 // quantity if "amount" in has else None
        assert made.price == given_price
    else:
        assert (made.quantity, made.amount, made.order_id) == (1, 0, None)
    assert made.rating == (5 if kind is EventKind.PRODUCT_REVIEWED else None)
    assert made.shown == (("mug", "jug") if kind is EventKind.RECOMMENDATIONS_SHOWN else ())


def test_an_unknown_event_type_is_ignored() -> None:
    assert decoded(an_event("song_play", {"properties": "x", "userId": 3})) == Ignored("song_play")
