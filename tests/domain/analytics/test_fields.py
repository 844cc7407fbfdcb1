"""What windows read of an event: fields by name, as text and as numbers, and fields computed of them."""

import math
from typing import Any

import pytest

from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.fields import NUMBER_MAX, PERSONAL, as_text, field_named, millionths
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import Amount
from tests.support.decoding import an_event, event_of

ALL = Event(
    "e1",
    EventKind.PRODUCT_PURCHASED,
    CustomerId("ada"),
    1_000,
    session_id="s1",
    product_id=ProductId("mug"),
    category="kitchen",
    name="A mug",
    price=Amount(125_000),
    amount=250_000,
    quantity=2,
    order_id="o1",
    rating=4,
    text="fine",
    context={"country": "de", "device": "phone"},
    properties={"experiment": {"name": "blue"}, "sizes": [1.5, 2], "weight": "0.25"},
)
NOTHING_KNOWN = Event("e2", EventKind.custom("sensor_reading"), None, 1_000)
TEXT_NAMES = (
    "event_id",
    "customer_id",
    "user_id",
    "session_id",
    "product_id",
    "category",
    "name",
    "order_id",
    "text",
    "country",
)
NUMBER_NAMES = ("price", "amount", "net_amount", "quantity", "rating")
KINDS = tuple(EventKind)


def text_of(name: str, event: Event) -> str | None:
    return field_named(name).text()(event)


def number_of(name: str, event: Event) -> int | None:
    return field_named(name).number()(event)


def with_property(value: object) -> Event:
    return ALL._replace(properties={"x": value})


def test_each_field_as_text() -> None:
    assert {name: text_of(name, ALL) for name in ("event_type", *TEXT_NAMES, *NUMBER_NAMES)} == {
        "event_type": "product_purchased",
        "event_id": "e1",
        "customer_id": "ada",
        "user_id": "ada",
        "session_id": "s1",
        "product_id": "mug",
        "category": "kitchen",
        "name": "A mug",
        "order_id": "o1",
        "text": "fine",
        "country": "DE",
        "price": "12.5",
        "amount": "25",
        "net_amount": "25",
        "quantity": "2",
        "rating": "4",
    }


def test_each_number_with_its_scale() -> None:
    """Money in ten-thousandths, counts as they are."""
    assert {name: (number_of(name, ALL), field_named(name).scale) for name in NUMBER_NAMES} == {
        "price": (125_000, 10_000),
        "amount": (250_000, 10_000),
        "net_amount": (250_000, 10_000),
        "quantity": (2, 1),
        "rating": (4, 1),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_type_and_only_sales_have_amounts(kind: EventKind) -> None:
    event = ALL._replace(kind=kind)
    assert text_of("event_type", event) == str(kind)
    sales = {EventKind.PRODUCT_PURCHASED: 250_000, EventKind.PURCHASE_CANCELLED: -250_000}
    assert number_of("net_amount", event) == sales.get(kind)
    assert number_of("amount", event) == (250_000 if kind in sales else None)
    assert number_of("quantity", event) == (2 if kind in sales else None)
    assert number_of("price", event) == 125_000


def test_a_custom_type_has_its_own_name() -> None:
    assert text_of("event_type", NOTHING_KNOWN) == "sensor_reading"


def test_what_an_event_does_not_have_is_absent() -> None:
    names = (*TEXT_NAMES[1:], *NUMBER_NAMES, "properties.x", "properties.a.b", "context.device")
    assert {text_of(name, NOTHING_KNOWN) for name in names} == {None}
    assert {number_of(name, NOTHING_KNOWN) for name in (*NUMBER_NAMES, "properties.x", "context.device")} == {None}


def test_a_visitor_is_a_customer_and_no_user() -> None:
    visitor = ALL._replace(customer_id=CustomerId("anonymous:s1"))
    assert (text_of("customer_id", visitor), text_of("user_id", visitor)) == ("anonymous:s1", None)


@pytest.mark.parametrize("name", ["category", "order_id", "price", "name"])
@pytest.mark.parametrize("shape", ["absent", "null", "empty", "misspelt"])
def test_a_field_in_none_of_its_shapes_has_a_value(name: str, shape: str) -> None:
    """As decoded: what producers leave out, send as null or "", or write in another way."""
    stated: dict[str, Any] = {"category": "kitchen", "order_id": "o1", "price": 2.5, "name": "A mug"}
    value = stated.pop(name)
    if shape == "misspelt":
        stated[name.swapcase()] = value
    elif shape != "absent":
        stated[name] = None if shape == "null" else ""
    try:
        event = event_of(an_event("purchase", product_id="mug", **stated))
    except AssertionError:
        return  # refused by the decoder: windows never see it
    assert text_of(name, event) is None
    assert text_of("product_id", event) == "mug"


@pytest.mark.parametrize(
    "stated", [{}, {"x": None}, {"x": ""}, {"X": "7"}], ids=["absent", "null", "empty", "misspelt"]
)
def test_a_property_in_none_of_its_shapes_has_a_value(stated: dict[str, Any]) -> None:
    event = event_of(an_event("view", product_id="mug", **stated))
    assert (text_of("properties.x", event), number_of("properties.x", event)) == (None, None)


def test_paths_lead_into_properties_and_context() -> None:
    paths = {
        "properties.experiment.name": "blue",
        'properties."experiment".name': "blue",
        "properties.sizes[0]": "1.5",
        "properties.sizes[-1]": "2",
        "properties.sizes[2]": None,
        "properties.experiment": None,
        "properties.sizes": None,
        "properties.sizes[*]": None,
        "properties.weight.unit": None,
        "context.device": "phone",
        "context.country": "de",
        "context.properties": None,
    }
    assert {path: text_of(path, ALL) for path in paths} == paths
    assert number_of("properties.weight", ALL) == 250_000
    assert number_of("properties.sizes[0]", ALL) == 1_500_000
    assert number_of("context.device", ALL) is None


@pytest.mark.parametrize("name", ["", "prices", "Price", "customer", "properties", "properties.", "metadata.x", "a.b"])
def test_a_name_of_no_field_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no field|is no path"):
        field_named(name)


def test_the_refusal_names_the_fields_that_there_are() -> None:
    with pytest.raises(ValueError, match=r'there is no field "prise": write amount, category, .* or a path such as'):
        field_named("prise")
    with pytest.raises(ValueError, match=r'"a\.\.b" is no path'):
        field_named("properties.a..b")


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_personal_fields_are_fields(name: str) -> None:
    assert text_of(name, ALL)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3_000_000),
        (-3, -3_000_000),
        (0, 0),
        (0.1, 100_000),
        (2.5, 2_500_000),
        (1e-7, 0),
        (0.0000005, 0),  # a tie: to the even
        (0.0000015, 2),
        ("2.5", 2_500_000),
        (" 2.5 ", 2_500_000),
        ("1e3", 1_000_000_000),
        ("-0", 0),
        (NUMBER_MAX, NUMBER_MAX * 1_000_000),
        (-NUMBER_MAX, -NUMBER_MAX * 1_000_000),
        (str(NUMBER_MAX), NUMBER_MAX * 1_000_000),
        (float(NUMBER_MAX), NUMBER_MAX * 1_000_000),
        (NUMBER_MAX + 1, None),
        (-NUMBER_MAX - 1, None),
        (str(NUMBER_MAX + 1), None),
        (1e300, None),
        (10**5_000, None),
        ("9" * 201, None),
        ("1" + " " * 200, None),
        (True, None),
        (False, None),
        ("true", None),
        (None, None),
        ("", None),
        (" ", None),
        ("12 kg", None),
        ("2,5", None),
        ("0x10", None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        ("nan", None),
        ("sNaN", None),
        ("Infinity", None),
        ([1], None),
        ({"a": 1}, None),
        ("1e-1000000", 0),
        ("1e1000000", None),
        ("-1e1000000", None),
    ],
    ids=lambda value: repr(value)[:24] if not isinstance(value, int) or abs(value) < 10**20 else "huge",
)
def test_a_property_as_a_number_of_millionths(value: object, number: int | None) -> None:
    assert millionths(value) == number
    assert number_of("properties.x", with_property(value)) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("blue", "blue"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200),
        ("", None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (2.5, "2.5"),
        (1e16, "10000000000000000"),
        (10**30, str(10**30)),
        (10**30 + 1, None),
        (10**5_000, None),
        (1e300, None),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
    ],
    ids=lambda value: repr(value)[:24] if not isinstance(value, int) or abs(value) < 10**20 else "huge",
)
def test_a_property_as_text(value: object, text: str | None) -> None:
    assert as_text(value) == text
    assert text_of("properties.x", with_property(value)) == text


def derived(event: Event, **parts: object) -> tuple[int | None, str | None]:
    field = Derived(**parts).field("mine")  # type: ignore[arg-type]
    return field.number()(event), field.text()(event)


def test_products_differences_and_ratios_have_six_decimals() -> None:
    event = ALL._replace(properties={"third": 3, "zero": 0, "cost": "10.000001", "text": "blue"})
    assert derived(event, product=("price", "quantity")) == (25_000_000, "25")
    assert derived(event, difference=("price", "properties.cost")) == (2_499_999, "2.499999")
    assert derived(event, difference=("quantity", "price")) == (-10_500_000, "-10.5")
    assert derived(event, ratio=("quantity", "properties.third")) == (666_667, "0.666667")
    assert derived(event, ratio=("amount", "quantity")) == (12_500_000, "12.5")
    assert derived(event, ratio=("properties.zero", "quantity")) == (0, "0")
    for second in ("properties.zero", "properties.text", "properties.none"):
        assert derived(event, ratio=("price", second)) == (None, None)
    for first in ("properties.text", "properties.none"):
        assert derived(event, product=(first, "price")) == (None, None)
    assert derived(event, product=("properties.zero", "price")) == (0, "0")


def test_a_tie_in_the_last_decimal_is_rounded_to_the_even() -> None:
    event = ALL._replace(properties={"a": 0.000001, "b": 0.5, "c": 0.000003})
    assert derived(event, product=("properties.a", "properties.b")) == (0, "0")
    assert derived(event, product=("properties.c", "properties.b")) == (2, "2e-06")


@pytest.mark.parametrize(
    ("zone", "at_ms", "hour"),
    [
        ("UTC", 0, "00"),
        ("UTC", 86_399_999, "23"),
        ("Asia/Kathmandu", 0, "05"),  # 5:30 then
        ("Europe/Berlin", 1_774_745_999_000, "01"),  # 2026-03-29 0:59:59 UTC: the hour from 2 to 3 is skipped
        ("Europe/Berlin", 1_774_746_000_000, "03"),
        ("Europe/Berlin", 1_792_886_400_000, "02"),  # 2026-10-25 0:00 and 1:00 UTC
        ("Europe/Berlin", 1_792_890_000_000, "02"),
    ],
)
def test_the_hour_of_day_is_that_of_the_zone(zone: str, at_ms: int, hour: str) -> None:
    assert derived(ALL._replace(occurred_at_ms=at_ms), hour_of_day=zone)[1] == hour


def test_a_constant_is_the_same_for_every_event() -> None:
    for event in (ALL, NOTHING_KNOWN):
        assert derived(event, constant=1) == (1_000_000, "1")
        assert derived(event, constant=2.5) == (2_500_000, "2.5")
        assert derived(event, constant="all") == (None, "all")
        assert derived(event, constant=False) == (None, "false")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "a field needs exactly one of product, difference, ratio, hour_of_day, constant"),
        ({"product": ("price", "quantity"), "constant": 1}, "a field needs exactly one of"),
        ({"ratio": ("price", "quantity"), "product": ("price", "quantity")}, "a field needs exactly one of"),
        ({"product": ("price",)}, "product needs two fields"),
        ({"ratio": ("price", "quantity", "rating")}, "ratio needs two fields"),
        ({"difference": ("price", "cost")}, 'there is no field "cost"'),
        ({"hour_of_day": "Berlin"}, '"Berlin" is no time zone'),
    ],
)
def test_what_is_no_computed_field_is_refused(parts: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Derived(**parts)  # type: ignore[arg-type]
