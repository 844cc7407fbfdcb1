"""Prices, amounts and quantities are exact."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.records import Rejected
from realtime_pipeline.infrastructure.codecs.events import encode_event
from tests.support.decoding import an_event, decoded, event_of, reason_of


@pytest.mark.parametrize("place", ["properties", "metadata", "beside"])
@pytest.mark.parametrize("kind", ["purchase", "refund"])
def test_an_amount_overrides_price_times_quantity(place: str, kind: str) -> None:
    stated = {"product_id": "milk", "price": 0.0023, "quantity": 13_004}
    if place == "beside":
        document = an_event(kind, {"amount": 30.0}, **stated)
    else:
        document = an_event(kind, {place: stated | {"amount": 30.0}})
    result = event_of(document)
    assert (result.amount, result.price, result.quantity) == (300_000, 23, 13_004)


def test_a_line_of_13004_units_for_30_costs_30() -> None:
    by_total = event_of(an_event("purchase", product_id="screws", quantity=13_004, amount=30.0))
    assert (by_total.amount, by_total.price) == (300_000, 23)  # 0.00230698... each
    by_price = event_of(an_event("purchase", product_id="screws", quantity=13_004, price=0.002306982466933251))
    assert by_price.amount == 300_000


def test_an_amount_is_used_if_the_price_is_null() -> None:
    result = event_of(
        {"user_id": "fay", "action": "purchase", "amount": 40, "timestamp": 1, "properties": {"price": None}}
    )
    assert result.amount == 400_000


def test_a_purchase_without_price_and_amount_is_worth_0() -> None:
    result = event_of(an_event("purchase", product_id="mug", quantity=3))
    assert (result.amount, result.price, result.quantity) == (0, None, 3)


def test_half_a_ten_thousandth_rounds_to_even() -> None:
    amounts = [event_of(an_event("purchase", amount=amount)).amount for amount in (0.00005, 0.00015, 0.00025, 1.00005)]
    assert amounts == [0, 2, 2, 10_000]
    assert event_of(an_event("purchase", amount=0.0003, quantity=2)).price == 2  # 1.5
    assert event_of(an_event("purchase", amount=0.0005, quantity=2)).price == 2  # 2.5


prices = st.floats(0, 1e9) | st.decimals(0, 10**6, places=5).map(float) | st.integers(0, 10**9).map(float)


@given(price=prices, quantity=st.integers(1, 10**6))
def test_money_equals_decimal_arithmetic(price: float, quantity: int) -> None:
    exact = Decimal(repr(price)) * quantity
    result = decoded(an_event("purchase", product_id="mug", price=price, quantity=quantity))
    if exact > 10**9:
        assert isinstance(result, Rejected)
        assert result.reason.startswith("invalid_amount")
    else:
        assert isinstance(result, Event)
        assert result.amount == int(exact.quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))
        assert result.price == int(Decimal(repr(price)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))


@given(amount=prices, quantity=st.integers(1, 10**6))
def test_the_unit_price_equals_decimal_arithmetic(amount: float, quantity: int) -> None:
    result = event_of(an_event("purchase", product_id="mug", amount=amount, quantity=quantity))
    assert result.amount == int(Decimal(repr(amount)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN).scaleb(4))
    assert result.price is not None
    assert abs(Decimal(repr(amount)) * 10_000 - result.price * quantity) * 2 <= quantity


def test_a_decimal_is_encoded_as_a_number() -> None:
    written = encode_event({"price": Decimal("19.990"), "weight": Decimal("1E+2"), "more": [Decimal("-0.1")]})
    assert written == b'{"price":19.990,"weight":1E+2,"more":[-0.1]}'


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_a_decimal_that_is_not_finite_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"properties\.price is"):
        encode_event({"properties": {"price": Decimal(value)}})


@pytest.mark.parametrize("name", ["price", "amount"])
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("12.50", "a mapping reads numbers in text"),
        ("12,50", 'a mapping with decimal = "," reads it'),
        ("1.234,5 €", 'a mapping with decimal = "," reads it'),
        ("1,250", "a mapping reads numbers in text"),
        ("1,250.00", "a mapping reads numbers in text"),
        ("free, as always", "a mapping reads numbers in text"),
    ],
)
def test_the_reason_for_money_as_text_says_what_reads_it(name: str, text: str, hint: str) -> None:
    reason = reason_of(an_event("purchase", {"properties": {"product_id": "mug", name: text}}))
    assert reason == f"invalid_{name}: it must be a number from 0, not text: {hint} (docs/how-to/map-your-events.md)"
