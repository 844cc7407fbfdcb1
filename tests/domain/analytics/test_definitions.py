"""Definitions of windowed aggregates: what is refused, and that a fingerprint tells one from another."""

from typing import Any

import attrs
import pytest

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate, check_aggregates
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.fields import PERSONAL
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.table import ACCUMULATORS
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import FieldTest

COUNT = {"n": Measure("count")}
BASE = WindowedAggregate(
    "sales",
    Window(60_000),
    {"n": Measure("count", where={"price": FieldTest(at_least=1), "country": "DE"}), "sum": Measure("sum", "amount")},
    key=("category", "hour"),
    where={"event_type": ("product_purchased", "purchase_cancelled"), "quantity": 1},
    derive={"hour": Derived(hour_of_day="UTC"), "spent": Derived(product=("price", "quantity"))},
)


def an_aggregate(**changed: Any) -> WindowedAggregate:
    settings: dict[str, Any] = {"name": "mine", "window": Window(60_000), "measures": COUNT}
    return WindowedAggregate(**settings | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": ""}, '"" is no name'),
        ({"name": "Sales"}, '"Sales" is no name'),
        ({"name": "1st"}, '"1st" is no name'),
        ({"name": "per-minute"}, '"per-minute" is no name'),
        ({"name": "a" * 65}, "is no name: write up to 64 small letters, digits and _"),
        ({"name": "a\n"}, "is no name"),
        ({"measures": {"Number": Measure("count")}}, '"Number" is no name'),
        ({"derive": {"a.b": Derived(constant=1)}}, '"a.b" is no name'),
        ({"measures": {}}, "number of measures must be at least 1, not 0"),
        (
            {"measures": {f"n{number}": Measure("count") for number in range(33)}},
            "number of measures must be at most 32",
        ),
        ({"key": ("category", "name", "country", "event_type", "rating")}, "number of key fields must be at most 4"),
        ({"key": ("colour",)}, 'there is no field "colour"'),
        ({"where": {"colour": "blue"}}, 'there is no field "colour"'),
        ({"measures": {"n": Measure("counts")}}, 'measures.n: there is no measure "counts": write count, distinct,'),
        ({"measures": {"n": Measure("sum", "colour")}}, 'there is no field "colour"'),
        ({"measures": {"n": Measure("count", where={"colour": "blue"})}}, 'there is no field "colour"'),
        ({"measures": {"n": Measure("ratio", of_which={"colour": "blue"})}}, 'there is no field "colour"'),
        ({"measures": {"n": Measure("count", "price")}}, "measures.n: count reads no field"),
        (
            {"measures": {"n": Measure("ratio", "price", of_which={"price": 1})}},
            "measures.n: ratio reads no field",
        ),
        ({"measures": {"n": Measure("ratio")}}, "measures.n: of_which is for a ratio, which needs it"),
        ({"measures": {"n": Measure("count", of_which={"price": 1})}}, "measures.n: of_which is for a ratio"),
        ({"measures": {"n": Measure("sum", "price", of_which={"price": 1})}}, "measures.n: of_which is for a ratio"),
        ({"bound_ms": -1}, "bound_ms must be at least 0, not -1"),
        ({"lateness_ms": -1}, "lateness_ms must be at least 0, not -1"),
        ({"keys_max": 0}, "keys_max must be at least 1, not 0"),
        ({"keys_max": 100_001}, "keys_max must be at most 100000, not 100001"),
    ],
)
def test_what_is_no_aggregate_is_refused_with_its_name(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is checked below, whole
        an_aggregate(**changed)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{changed.get('name', 'mine')}: ")


@pytest.mark.parametrize("changed", [{"bound_ms": 1.5}, {"lateness_ms": "1"}, {"bound_ms": True}])
def test_a_time_that_is_no_whole_number_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"mine: {next(iter(changed))} must be a whole number"):
        an_aggregate(**changed)


@pytest.mark.parametrize("measure", sorted(set(ACCUMULATORS) - {"count", "ratio"}))
def test_a_measure_of_values_needs_a_field(measure: str) -> None:
    with pytest.raises(ValueError, match=f"mine: measures.n: {measure} needs a field"):
        an_aggregate(measures={"n": Measure(measure)})


@pytest.mark.parametrize("field", sorted(PERSONAL))
def test_what_names_a_customer_is_no_key_and_no_value(field: str) -> None:
    with pytest.raises(ValueError, match=f"mine: key: {field} is personal, and may only be counted as distinct"):
        an_aggregate(key=("category", field))
    for measure in ("first", "last", "top"):
        with pytest.raises(ValueError, match=f"mine: measures.n: {field} is personal"):
            an_aggregate(measures={"n": Measure(measure, field)})
    an_aggregate(measures={"n": Measure("distinct", field)}, where={field: FieldTest(present=True)})


def test_nor_is_what_is_computed_of_it() -> None:
    derive = {"mine": Derived(product=("customer_id", "price"))}
    with pytest.raises(ValueError, match="mine: key: customer_id is personal"):
        an_aggregate(key=("mine",), derive=derive)
    with pytest.raises(ValueError, match=r"measures\.n: customer_id is personal"):
        an_aggregate(measures={"n": Measure("top", "mine")}, derive=derive)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": ("properties.email",)},
        {"measures": {"n": Measure("first", "properties.email")}},
        {"measures": {"n": Measure("last", "properties.email")}},
        {"measures": {"n": Measure("top", "properties.email")}},
        {"key": ("x",), "derive": {"x": Derived(ratio=("price", "properties.email"))}},
        {
            "measures": {"n": Measure("top", "x")},
            "derive": {"x": Derived(difference=("properties.email", "price"))},
        },
    ],
)
def test_a_shops_own_personal_fields_are_no_keys_and_no_values(changed: dict[str, Any]) -> None:
    aggregate = an_aggregate(**changed)
    check_aggregates([aggregate])
    check_aggregates([aggregate], ["properties.phone"])
    with pytest.raises(ValueError, match=r"mine: properties\.email is personal: it may only be counted as distinct"):
        check_aggregates([aggregate], ["properties.phone", "properties.email"])


def test_personal_fields_may_be_counted_and_asked_for() -> None:
    distinct = an_aggregate(
        measures={"n": Measure("distinct", "properties.email")}, where={"properties.email": FieldTest(present=True)}
    )
    check_aggregates([distinct], ["properties.email"])


def test_aggregates_have_names_of_their_own_and_are_not_too_many() -> None:
    many = [an_aggregate(name=f"w{number}") for number in range(48)]
    check_aggregates([])
    check_aggregates(many)
    with pytest.raises(ValueError, match="number of windows must be at most 48, not 49"):
        check_aggregates([*many, an_aggregate()])
    with pytest.raises(ValueError, match="windows: w7 is there twice"):
        check_aggregates([*many[:9], an_aggregate(name="w7", window=Window(5_000))])


def test_equal_definitions_have_one_fingerprint_whatever_the_order_of_their_dictionaries() -> None:
    count = BASE.measures["n"]
    reordered = attrs.evolve(
        BASE,
        measures=dict(reversed((BASE.measures | {"n": attrs.evolve(count, where=_reversed(count.where))}).items())),
        where=_reversed(BASE.where),
        derive=_reversed(BASE.derive),
    )
    assert reordered == BASE
    assert list(reordered.measures) != list(BASE.measures)
    assert reordered.fingerprint == BASE.fingerprint
    assert len(BASE.fingerprint) == 16
    assert int(BASE.fingerprint, 16) < 2**64


def _reversed(found: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(found.items()))


def test_definitions_of_one_fingerprint_number_their_measures_alike() -> None:
    """Chunks are stored under the number of their measure: whoever has the fingerprint must read the same of them."""

    # the settings. So after measures change places, each is read from the chunks of another.
    reordered = attrs.evolve(BASE, measures=_reversed(BASE.measures))
    kinds = [
        [type(accumulator) for accumulator in CompiledAggregate(aggregate).new()] for aggregate in (BASE, reordered)
    ]
    assert reordered.fingerprint != BASE.fingerprint or kinds[0] == kinds[1]


def _measures(**changed: Any) -> dict[str, Any]:
    return {"measures": BASE.measures | {"n": attrs.evolve(BASE.measures["n"], **changed)}}


CHANGES: tuple[dict[str, Any], ...] = (
    {"name": "sale"},
    {"window": Window(120_000)},
    {"window": Window(60_000, 30_000)},
    {"window": Window(60_000, timezone="Europe/Berlin")},
    {"window": Window(calendar="day")},
    {"window": Window(calendar="week")},
    {"window": Window(calendar="day", timezone="Europe/Berlin")},
    {"measures": BASE.measures | {"m": Measure("count")}},
    {"measures": {"n": BASE.measures["n"]}},
    {"measures": {"n": BASE.measures["n"], "total": BASE.measures["sum"]}},
    {"measures": BASE.measures | {"sum": Measure("max", "amount")}},
    {"measures": BASE.measures | {"sum": Measure("sum", "price")}},
    _measures(where={}),
    _measures(where={"price": FieldTest(at_least=1), "country": "FR"}),
    _measures(where={"price": FieldTest(at_least=2), "country": "DE"}),
    _measures(where={"price": FieldTest(at_most=1), "country": "DE"}),
    _measures(limit=11),
    _measures(entries_max=99),
    _measures(quantiles=(0.5,)),
    {"key": ("hour", "category")},
    {"key": ("category",)},
    {"key": ()},
    {"where": {}},
    {"where": BASE.where | {"quantity": 2}},
    {"where": BASE.where | {"quantity": "1"}},
    {"where": BASE.where | {"quantity": True}},
    {"where": BASE.where | {"quantity": (1,)}},
    {"where": BASE.where | {"event_type": ("purchase_cancelled", "product_purchased")}},
    {"derive": BASE.derive | {"hour": Derived(hour_of_day="Europe/Berlin")}},
    {"derive": BASE.derive | {"spent": Derived(product=("quantity", "price"))}},
    {"derive": BASE.derive | {"spent": Derived(ratio=("price", "quantity"))}},
    {"derive": BASE.derive | {"more": Derived(constant=1)}},
    {"derive": BASE.derive | {"more": Derived(constant="1")}},
    {"bound_ms": 5_001},
    {"lateness_ms": 0},
    {"keys_max": 999},
)


def test_each_changed_part_makes_another_fingerprint() -> None:
    fingerprints = [BASE.fingerprint, *(attrs.evolve(BASE, **changed).fingerprint for changed in CHANGES)]
    assert len(set(fingerprints)) == len(fingerprints)
