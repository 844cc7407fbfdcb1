"""Money in other currencies is converted by the rate of its day, or refused."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from realtime_pipeline.domain.mapping.compiled import Unmappable
from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import ExchangeRate, Field, FieldSpec
from tests.domain.mapping.compiling import compiled, properties

RATES = (
    ExchangeRate("USD", date(2026, 2, 1), 0.9),
    ExchangeRate("USD", date(2026, 1, 1), 0.8),
    ExchangeRate("JPY", date(2026, 1, 1), 0.006),
    ExchangeRate("BHD", date(2026, 1, 1), 2.5),
)
FIELDS: dict[str, FieldSpec] = {
    "timestamp": "at", "price": "price", "quantity": "n", "amount": "total", "currency": "currency"
}  # fmt: skip
MINOR: dict[str, FieldSpec] = FIELDS | {
    "price": Field(path="price", minor_units=True),
    "amount": Field(path="total", minor_units=True),
}


def money(record: dict[str, Any], fields: dict[str, FieldSpec] = FIELDS) -> tuple[object, object]:
    found = properties(compiled(fields, currency="EUR", rates=RATES), {"at": "2026-01-15T00:00:00Z"} | record)
    return found.get("price"), found.get("amount")


@pytest.mark.parametrize(
    ("record", "price", "amount"),
    [
        ({"price": 10, "currency": "EUR"}, "10", None),
        ({"price": 10, "currency": " eur "}, "10", None),
        ({"price": 10}, "10", None),  # without a currency it is the shop's
        ({"price": 10, "currency": ""}, "10", None),
        # 10 x 0.8; the amount is computed before the price is rounded
        ({"price": 10, "currency": "USD"}, "8.0000", "8.0000"),
        ({"price": "0.0001", "n": 3, "currency": "USD"}, "0.0001", "0.0002"),  # 0.00008; 3 x 0.0001 x 0.8 = 0.00024
        ({"price": 10, "total": 25, "n": 3, "currency": "USD"}, "8.0000", "20.0000"),
        ({"total": 25, "currency": "USD"}, None, "20.0000"),
        ({"price": 10, "currency": "USD", "at": "2026-01-31T23:59:59.999Z"}, "8.0000", "8.0000"),
        ({"price": 10, "currency": "USD", "at": "2026-02-01T00:00:00Z"}, "9.0000", "9.0000"),
        ({"price": 1000, "currency": "JPY"}, "6.0000", "6.0000"),
        ({"price": 0, "total": "0.00", "currency": "CHF"}, "0", "0.00"),  # nothing needs no rate
        ({"currency": "CHF"}, None, None),
        ({"currency": "none"}, None, None),
        ({"price": "free", "currency": "USD"}, "free", None),  # the decoder says what is wrong with it
    ],
)
def test_money_is_converted(record: dict[str, Any], price: str | None, amount: str | None) -> None:
    found = money(record)
    assert tuple(None if value is None else str(value) for value in found) == (price, amount)


@pytest.mark.parametrize(
    ("record", "price"),
    [
        ({"price": 1250, "currency": "EUR"}, "12.50"),
        ({"price": 1250}, "12.50"),
        ({"price": 1250, "currency": "USD"}, "10.0000"),  # 12.50 x 0.8
        ({"price": 1250, "currency": "JPY"}, "7.5000"),  # a yen has no parts: 1250 x 0.006
        ({"price": 1250, "currency": "BHD"}, "3.1250"),  # a dinar has 1000: 1.250 x 2.5
    ],
)
def test_minor_units_are_those_of_the_currency(record: dict[str, Any], price: str) -> None:
    assert str(money(record, MINOR)[0]) == price


def test_minor_units_without_a_currency_are_of_the_shop_s() -> None:
    for currency, price in (("EUR", "12.50"), ("", "12.50"), ("JPY", "1250"), ("BHD", "1.250")):
        mapping = compiled({"price": Field(path="price", minor_units=True)}, currency=currency)
        assert str(properties(mapping, {"price": 1250})["price"]) == price


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"price": 10, "currency": "CHF"}, r'unknown_rate: no exchange rate of "CHF" to "EUR": add it'),
        ({"price": 10, "currency": "USD", "at": "2025-12-31T23:59:59Z"}, r'unknown_rate: .*"USD" .* on 2025-12-31'),
        ({"price": 10, "currency": "euros"}, r'unknown_currency: "EUROS" is no currency code'),
        ({"price": 10, "currency": "USD", "at": None}, "invalid_timestamp: money cannot be converted"),
        ({"price": 10, "currency": "USD", "at": "soon"}, "invalid_timestamp: money cannot be converted"),
        ({"price": 10, "currency": ["USD"]}, "unknown_currency"),
        ({"total": Decimal("1E+250"), "currency": "USD"}, "invalid_amount: it is too large"),
    ],
)  # fmt: skip
def test_money_that_cannot_be_converted_makes_no_event(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unmappable, match=reason):
        money(record)


def test_rates_need_the_shop_s_currency_and_known_codes() -> None:
    with pytest.raises(ValueError, match="exchange_rates need the shop's currency"):
        Rates("", RATES)
    with pytest.raises(ValueError, match='exchange_rates: "XXY" is no currency code'):
        Rates("EUR", [ExchangeRate("XXY", date(2026, 1, 1), 1.0)])
    for rate in (0, -1, 1e9, float("nan")):
        with pytest.raises(ValueError, match="rate must be more than 0"):
            ExchangeRate("USD", date(2026, 1, 1), rate)
