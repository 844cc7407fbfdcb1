"""Events and the worker's own records, as docs/events.md defines them; worked out by hand."""

import json

import pytest

from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.records import Ignored, Rejected, WatermarkTick
from realtime_pipeline.infrastructure.codecs.events import EventLimits
from tests.harness.support.decoding import AT_MS, decode, decoded, event_of, is_rejected, purchase, review, view


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


@pytest.mark.parametrize("kind", ["view", "cart", "remove_from_cart"])
def test_unused_fields_of_an_interaction_are_dropped(kind: str) -> None:
    beside = {"quantity": 0, "amount": "x", "order_id": [], "rating": 4.6, "text": {}, "products": 7}
    made = event_of(view({"product_id": "mug", "price": 2, **beside}, event_type=kind, amount=[]))
    assert (made.price, made.quantity, made.amount, made.order_id, made.rating) == (20_000, 1, 0, None, None)
    assert made.properties == {}


def test_unused_fields_of_other_kinds_are_dropped() -> None:
    made = event_of(purchase({"product_id": "mug", "rating": 9, "text": [], "products": 7}))
    assert (made.rating, made.text, made.shown) == (None, "", ())
    made = event_of(review(price="x", quantity=0, amount=-1, order_id="", products={}))
    assert (made.rating, made.price, made.amount, made.quantity) == (4, None, 0, 1)
    made = event_of(view({"products": ["a"], "product_id": [], "rating": 9, "list": "x"}, event_type="exposure"))
    assert (made.shown, made.product_id, made.properties) == (("a",), None, {"list": "x"})


@pytest.mark.parametrize("beside", [[], [1], "x", {"product_id": []}, {f"p{number}": 1 for number in range(65)}])
def test_properties_and_context_of_sign_ins_and_forgettings_are_ignored(beside: object) -> None:
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
def test_required_fields(document: object) -> None:
    assert is_rejected(document)


def test_events_without_a_user_id() -> None:
    made = event_of(view({"product_id": "mug"}, user_id=None))
    assert (made.customer_id, made.product_id) == (None, "mug")
    assert event_of(view(user_id=None, session_id="s1")).customer_id == "anonymous:s1"
    assert event_of(view(event_type="forget", user_id=None, session_id="s1")).customer_id == "anonymous:s1"


def test_the_products_of_a_list() -> None:
    def shown(*products: object) -> object:
        return view({"products": products}, event_type="exposure")

    assert event_of(shown("b", "a", 7, "b", 7.0, "", None)).shown == ("b", "a", "7")
    assert len(event_of(shown(*range(100))).shown) == 100
    assert all(is_rejected(document) for document in (shown(*range(101)), shown(), shown(""), shown(None)))


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


def test_a_user_id_may_not_begin_as_visitors_ids_do() -> None:
    assert is_rejected(view(user_id="anonymous:s1"))
    assert event_of(view(user_id=None, session_id="anonymous:s1")).customer_id == "anonymous:anonymous:s1"


def test_ratings() -> None:
    assert [event_of(review(rating=rating)).rating for rating in (1, 4.0, 5)] == [1, 4, 5]
    wrong: list[object] = [0, 6, 4.5, "4", True, None, []]
    assert all(is_rejected(review(rating=rating)) for rating in wrong)


def test_replayed() -> None:
    assert [event_of(view(replayed=written)).replayed for written in (True, False, None)] == [True, False, False]
    wrong: list[object] = [1, "true", "", []]
    assert all(is_rejected(view(replayed=written)) for written in wrong)


def test_limits_of_properties_and_context() -> None:
    def many(number: int) -> dict[str, int]:
        return {f"p{index}": index for index in range(number)}

    assert len(event_of(view({"product_id": "mug", **many(64)}, context=many(64))).properties) == 64
    assert is_rejected(view(many(65)))
    assert is_rejected(view(many(40), metadata={f"q{index}": 1 for index in range(25)}))
    assert is_rejected(view(context=many(65)))
    assert event_of(view({"deep": [[[{"a": 1}]]]})).properties == {"deep": [[[{"a": 1}]]]}
    assert is_rejected(view({"deep": [[[{"a": []}]]]}))
    assert is_rejected(view(context={"deep": [[[[[1]]]]]}))


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


def test_how_large_a_record_may_be() -> None:
    def of_size(size: int, **changes: object) -> bytes:
        value = json.dumps(view({"product_id": "mug"}, **changes)).encode()
        return value + b" " * (size - len(value))

    assert not is_rejected(of_size(6_048), decode)
    assert is_rejected(of_size(6_049), decode)
    assert not is_rejected(of_size(4_000, user_id=None), decode)
    assert is_rejected(of_size(4_001, user_id=None), decode)


def test_ticks() -> None:
    assert decoded(b"", b"\0tick") == WatermarkTick(None)
    assert decoded(b"1700000000000", b"\0tick") == WatermarkTick(AT_MS)
    assert isinstance(decoded(b"five", b"\0tick"), Rejected)
    assert isinstance(decoded(b"9" * 5_000, b"\0tick"), Rejected)


def test_the_copy_of_a_visitors_event_names_the_original() -> None:
    assert event_of(view(forwarded=[3, 17])).forwarded == (3, 17)
    assert event_of(view()).forwarded is None
    assert all(is_rejected(view(forwarded=written)) for written in (7, [1], [1, 2, 3], [-1, 0], [True, 0], ["a", 1]))


def test_the_customer_of_a_rejected_record() -> None:
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
