"""Fields: where their values come from, and what is done to text and numbers."""

from decimal import Decimal
from typing import Any

import pytest

from realtime_pipeline.domain.mapping.compiled import Unmappable
from realtime_pipeline.domain.mapping.definitions import EventRule, Field, FieldSpec
from tests.domain.mapping.compiling import compiled, properties

OURS: dict[str, tuple[str, object]] = {
    "event_id": ("id", "e-1"),
    "user_id": ("customer", "ada"),
    "session_id": ("visit", "s-1"),
    "timestamp": ("at", 1_760_000_000_000),
    "product_id": ("sku", "mug"),
    "name": ("title", "A mug"),
    "category": ("group", "kitchen"),
    "price": ("cost", 12.5),
    "quantity": ("count", 2),
    "amount": ("total", 25.0),
    "order_id": ("order", "o-1"),
    "rating": ("stars", 5),
    "text": ("words", "good"),
    "products": ("list", ["mug", "jug"]),
    "country": ("land", "DE"),
    "context.user_agent": ("browser", "Browser/1.0"),
    "colour": ("colour_code", "blue"),
}
MAPPING = compiled({name: source for name, (source, _) in OURS.items()})
RECORD = dict(OURS.values())
TOP = ("event_id", "user_id", "session_id", "timestamp")


def value_of(record: dict[str, Any], name: str) -> object:
    (event,) = MAPPING(record).events
    if name in TOP:
        return event.get(name)
    container: Any = event.get("context" if name in ("country", "context.user_agent") else "properties", {})
    return container.get(name.removeprefix("context."))


@pytest.mark.parametrize("name", OURS)
def test_a_field_comes_from_its_path(name: str) -> None:
    assert value_of(RECORD, name) == OURS[name][1]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("shape", ["absent", "null", "empty", "empty list", "empty object", "misspelt"])
def test_a_field_that_is_absent_null_empty_or_misspelt_is_left_out_alone(name: str, shape: str) -> None:
    source, value = OURS[name]
    record = {other: found for other, found in RECORD.items() if other != source}
    match shape:
        case "null":
            record[source] = None
        case "empty":
            record[source] = ""
        case "empty list":
            record[source] = []
        case "empty object":
            record[source] = {}
        case "misspelt":
            record[source.upper()] = value
    assert value_of(record, name) is None
    others = [other for other in OURS if other != name]
    assert [value_of(record, other) for other in others] == [OURS[other][1] for other in others]


def read(spec: FieldSpec, record: dict[str, Any], name: str = "amount", **others: Any) -> object:
    return properties(compiled({name: spec}, **others), record).get(name)


@pytest.mark.parametrize(
    ("spec", "record", "value"),
    [
        (("a", "b"), {"a": 1, "b": 2}, 1),
        (("a", "b"), {"a": None, "b": 2}, 2),
        (("a", "b"), {"a": "", "b": 2}, 2),
        (("a", "b"), {"a": [], "b": 2}, 2),
        (("a", "b"), {"a": 0, "b": 2}, 0),
        (("a", "b"), {"a": False, "b": 2}, False),
        (("a", "b"), {}, None),
        (5, {}, 5),
        (True, {}, True),
        (Field(constant="fixed"), {}, "fixed"),
        (Field(join=("a", "b")), {"a": "x", "b": 2}, "x-2"),
        (Field(join=("a", "b"), by=" "), {"a": "x", "b": ""}, None),
        (Field(join=("a", "b"), by=" "), {"a": True, "b": 2.5}, "true 2.5"),
        (Field(join=("a", ("b", "c"))), {"a": 1, "b": "", "c": 3}, "1-3"),
        (Field(join=("a", ("b", "c"))), {"a": 1}, None),
        (Field(path="a", remove_prefix="id-", remove_suffix=".0"), {"a": "id-7.0"}, "7"),
        (Field(path="a", remove_suffix=".0"), {"a": 7.0}, 7.0),
        (Field(path="a", remove_prefix="x"), {"a": "x"}, None),
        (Field(path="a", until="|"), {"a": "kitchen|mugs"}, "kitchen"),
        (Field(path="a", until="|"), {"a": "|mugs"}, None),
        (Field(path="a", prefix="n-"), {"a": 7}, "n-7"),
        (Field(path="a", prefix="n-"), {"a": 7.0}, "n-7"),
        (Field(path="a", prefix="n-"), {}, None),
        (Field(path="a", prefix="n-"), {"a": [7]}, [7]),
    ],
)
def test_where_a_value_comes_from(spec: FieldSpec, record: dict[str, Any], value: object) -> None:
    found = read(spec, record, "colour")
    assert found == value
    assert type(found) is type(value)


def test_texts_that_mean_no_value_are_absent() -> None:
    record = {"a": "(not set)", "b": "x"}
    assert read(("a", "b"), record, "colour", absent=("(not set)", "-")) == "x"
    assert read("a", record, "colour", absent=("(not set)",)) is None
    assert read(Field(join=("a", "b")), record, "colour", absent=("(not set)",)) is None
    assert read("a", record, "colour") == "(not set)"
    amount = Field(path="price", times="a", minus=("a", "b"))
    assert read(amount, record | {"price": 5, "b": 1}, absent=("(not set)",)) == 4
    assert read(amount, record | {"price": 5, "b": 1}) == "(not set)"


LINE = Field(path="price", times="n", minus="discounts[*].amount")


@pytest.mark.parametrize(
    ("record", "amount"),
    [
        ({"price": "12.50", "n": 3, "discounts": [{"amount": "2.50"}, {"amount": 1}]}, "34.00"),  # 37.50 - 3.50
        ({"price": "12.50", "n": 3}, "37.50"),
        ({"price": "12.50"}, "12.50"),
        ({"price": "12.50", "n": "", "discounts": []}, "12.50"),
        ({"price": 0.1, "n": 3, "discounts": [{"amount": 0.1}]}, "0.2"),  # exact: no double is computed with
        ({"price": "1", "n": 1, "discounts": [{"amount": "2"}]}, "-1"),  # the decoder refuses it
        ({"n": 3}, None),
        ({"price": "12.50", "n": "three"}, "three"),  # refused by the decoder, not taken for 1
        ({"price": "12.50", "n": True}, "True"),
        ({"price": "12.50", "discounts": [{"amount": "much"}]}, "much"),
        ({"price": "free", "n": 3}, "free"),
        ({"price": "9" * 60, "n": "9" * 60}, str(int("9" * 60) ** 2)),
    ],
)
def test_an_amount_is_multiplied_and_discounts_are_subtracted(record: dict[str, Any], amount: str | None) -> None:
    found = read(LINE, record)
    assert (None if found is None else str(found)) == amount


def test_a_product_that_is_too_large_is_refused() -> None:
    with pytest.raises(Unmappable, match="invalid_amount: it is too large"):
        read(LINE, {"price": Decimal("1E+999999"), "n": Decimal("1E+999999")})


def test_parts_of_an_amount_may_lie_in_the_elements_of_a_list() -> None:
    mapping = compiled(
        {"amount": Field(path="line.price", times="line.n", minus="share")}, EventRule(split={"line": "lines"})
    )
    events = mapping({"lines": [{"price": 2, "n": 3}, {"price": 5}], "share": 1}).events
    assert [event["properties"] for event in events] == [{"amount": Decimal(5)}, {"amount": Decimal(4)}]


@pytest.mark.parametrize(
    ("name", "spec", "value", "found"),
    [
        ("quantity", "n", "2", 2),
        ("quantity", "n", "2.0", 2),
        ("quantity", "n", 2.0, 2),
        ("quantity", "n", "2.5", Decimal("2.5")),
        ("quantity", "n", "many", "many"),
        ("quantity", "n", True, True),
        ("quantity", "n", [2], [2]),
        ("quantity", Field(path="n", absolute=True), -4, 4),
        ("quantity", Field(path="n", absolute=True), "(4)", 4),
        ("rating", "n", "5", 5),
        ("price", "n", "1.234,50 €", Decimal("1234.50")),
        ("price", "n", 1234.5, Decimal("1234.5")),
        ("price", Field(path="n", absolute=True), "-1,5", Decimal("1.5")),
        ("colour", "n", "1.234,50", "1.234,50"),
    ],
)
def test_numbers_are_read_with_the_mapping_s_decimals(name: str, spec: FieldSpec, value: object, found: object) -> None:
    decimal = "," if isinstance(value, str) and "," in value else "."
    read_value = read(spec, {"n": value}, name, decimal=decimal)
    assert read_value == found
    assert type(read_value) is type(found)
