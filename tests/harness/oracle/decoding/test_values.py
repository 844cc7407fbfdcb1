"""Ids, money and labels, as docs/events.md defines them; worked out by hand."""

import pytest

from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from tests.harness.support.decoding import AT_MS, LIMITS, decode, event_of, is_rejected, purchase, review, view


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
def test_invalid_ids(written: object) -> None:
    for name in ("event_id", "user_id", "session_id"):
        assert is_rejected(view(**{name: written}))
    for name in ("product_id", "order_id"):
        assert is_rejected(purchase({name: written}))
    assert is_rejected(view({"products": ["a", written]}, event_type="exposure"))


def test_empty_ids_are_absent() -> None:
    made = event_of(purchase({"product_id": "", "order_id": ""}, event_id="", session_id=""))
    assert made[:1] == ("user_events-2-17",)
    assert (made.product_id, made.order_id, made.session_id) == (None, None, None)


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
        ({"price": 0.00005, "quantity": 1}, 0, 0, 1),  # half a ten-thousandth is rounded to the even number
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
def test_invalid_money(properties: dict[str, object]) -> None:
    for kind in ("purchase", "refund"):
        assert is_rejected(view(properties, event_type=kind), OracleDecoder(EventSchema(LIMITS)))
    assert is_rejected({**purchase(), "amount": -1})


@pytest.mark.parametrize("price", [-1, "12.50", True, [], 1_000_000_000.01])
def test_an_invalid_price_is_dropped_from_a_view(price: object) -> None:
    assert event_of(view({"product_id": "mug", "price": price})).price is None


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
