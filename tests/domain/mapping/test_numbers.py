"""Numbers are read exactly as a shop means them, or not at all."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.mapping.numbers import read_number

POINT = {
    "12.5": "12.5",
    " 12.50 ": "12.50",
    "1,234.50": "1234.50",
    "1,234,567": "1234567",
    "12,34,567.5": "1234567.5",
    "1 234.5": "1234.5",
    "1\u00a0234": "1234",
    "1'234.50": "1234.50",
    "1\u2019234": "1234",
    ".5": "0.5",
    "5.": "5",
    "-5": "-5",
    "\u22125": "-5",
    "5-": "-5",
    "(5.00)": "-5.00",
    "+5": "5",
    "1e3": "1000",
    "€5.00": "5.00",
    "5.00 €": "5.00",
    "-€5": "-5",
    "€-5": "-5",
    "(€5)": "-5",
    "$1,000": "1000",
    "US$ 5": "5",
    "R$5": "5",
    "5 EUR": "5",
    "EUR 5": "5",
    "eur5": "5",
    "kr 5": "5",
    "Rs.500": "500",
    "100 Kč": "100",
    "CHF 1'000.-": "1000",
    "007": "7",
    "0": "0",
}
COMMA = {
    "12,5": "12.5",
    "1.234,50": "1234.50",
    "1.234": "1234",
    "1.234.567": "1234567",
    "1 234,5": "1234.5",
    "-1.234,5": "-1234.5",
    "12,50 €": "12.50",
    "100,-": "100",
    "kr 1.000,-": "1000",
    ",5": "0.5",
    "1'234,5": "1234.5",
}
NONE = [
    "",
    " ",
    "-",
    "+",
    ".",
    ",",
    "()",
    "€",
    "EUR",
    "free",
    "n/a",
    "12,5",
    "1,23",
    "1,2345",
    "1.2.3",
    "1..2",
    "--5",
    "+-5",
    "-(5)",
    "5k",
    "1.5M",
    "50p",
    "50ct",
    "5€00",
    "5 5 €",
    "0x10",
    "1_000",
    "nan",
    "inf",
    "Infinity",
    "5%",
    "5/6",
    "½",
    "²",
    "１２",
    "٣",
    "5.00 €/kg",
    "EUR.50",
    "1e400",
    "9" * 65,
    "$5$5",
    "kr.",
]


@pytest.mark.parametrize(("text", "number"), POINT.items())
def test_numbers_with_a_decimal_point(text: str, number: str) -> None:
    assert read_number(text, ".") == Decimal(number)


@pytest.mark.parametrize(("text", "number"), COMMA.items())
def test_numbers_with_a_decimal_comma(text: str, number: str) -> None:
    assert read_number(text, ",") == Decimal(number)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_number_is_none(text: str) -> None:
    assert read_number(text, ".") is None


@pytest.mark.parametrize("text", ["12.5", "1,234.50", "1.23", "1,2,3"])
def test_a_point_does_not_pass_for_a_comma(text: str) -> None:
    assert read_number(text, ",") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, "5"), (-5, "-5"), (0.1, "0.1"), (1e16, "1E16"), (Decimal("2.50"), "2.50"), (10**30, "1" + "0" * 30)],
)
def test_numbers_that_are_numbers_are_exact(value: object, number: str) -> None:
    assert read_number(value) == Decimal(number)


@pytest.mark.parametrize("value", [True, False, None, [], {}, [1], math.nan, math.inf, Decimal("nan"), Decimal("inf")])
def test_other_values_are_none(value: object) -> None:
    assert read_number(value) is None


@given(st.text(st.sampled_from("0123456789.,-+() '€$kr%eE\u00a0\u2212½٣"), max_size=12) | st.text(max_size=70))
def test_no_text_raises(text: str) -> None:
    for decimal in ".,":
        found = read_number(text, decimal)
        assert found is None or found.is_finite()


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    st.sampled_from(".,"),
)
def test_a_number_is_read_back_however_it_is_grouped(number: Decimal, decimal: str) -> None:
    group = "," if decimal == "." else "."
    text = f"{number:,.2f}".replace(",", "_").replace(".", decimal).replace("_", group)
    for written in (text, f"{text} €", f"EUR {text}", text.replace(group, " "), text.replace(group, "")):
        assert read_number(written, decimal) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_read_in_its_shortest_form(number: float) -> None:
    found: Any = read_number(number)
    assert float(found) == number
    assert found == Decimal(repr(number))
