"""Rules: which records become events, of which types, and into how many a record is split."""

from typing import Any

import pytest

from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.compiled import CompiledMapping, Mapped, Unmappable
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, Field
from realtime_pipeline.domain.mapping.rules import EVENTS_MAX
from tests.domain.mapping.compiling import compiled


def products(mapping: CompiledMapping, record: dict[str, Any]) -> list[Any]:
    return [event.get("properties", {}).get("product_id") for event in mapping(record).events]  # type: ignore[attr-defined]


def types(mapped: Mapped) -> list[object]:
    return [event["event_type"] for event in mapped.events]


LINES = compiled({"product_id": "line.sku"}, EventRule(split={"line": "lines"}))
NESTED = compiled(
    {"event_type": "event.name", "product_id": "item.sku"},
    EventRule(split={"event": "events", "item": "event.items"}, when={"event.name": ("view", "cart")}),
    EventRule(split={"event": "events"}, when={"event.name": "login"}, fields={"product_id": "event.name"}),
)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"lines": [{"sku": "a"}, {"sku": "b"}]}, ["a", "b"]),
        ({"lines": [{"sku": "a"}, {}, None, "text"]}, ["a", None, None, None]),
        ({"lines": {"sku": "a"}}, ["a"]),  # a single element without its list
    ],
)
def test_a_record_is_split_into_the_elements_of_a_list(record: dict[str, Any], found: list[object]) -> None:
    assert products(LINES, record) == found


@pytest.mark.parametrize("record", [{}, {"lines": None}, {"lines": []}])
def test_a_record_without_elements_is_counted_and_not_lost(record: dict[str, Any]) -> None:
    assert types(LINES(record)) == ["unmapped:purchase"]


def test_a_list_may_lie_in_the_elements_of_another_and_conditions_are_of_elements() -> None:
    items = [{"sku": "a"}, {"sku": "b"}]
    events = [
        {"name": "view", "items": items},
        {"name": "cart", "items": [{"sku": "c"}]},
        {"name": "scroll", "items": items},
        {"name": "view"},
        {"name": "login"},
    ]
    mapped = NESTED({"events": events})
    assert types(mapped) == ["view", "view", "cart", "login"]
    assert products(NESTED, {"events": events}) == ["a", "b", "c", "login"]
    assert types(NESTED({"events": [{"name": "scroll"}]})) == ["unmapped:(no type)"]


def test_a_list_that_is_too_long_is_refused() -> None:
    assert len(LINES({"lines": [{}] * EVENTS_MAX}).events) == EVENTS_MAX
    with pytest.raises(Unmappable, match="too_many_events: the record would become more than 10000 events"):
        LINES({"lines": [{}] * (EVENTS_MAX + 1)})
    twice = compiled({}, EventRule(split={"a": "lines"}), EventRule(split={"a": "lines"}))
    with pytest.raises(Unmappable, match="too_many_events"):
        twice({"lines": [{}] * (EVENTS_MAX // 2 + 1)})


def test_lists_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    squared = compiled({}, EventRule(split={"a": "lines", "b": "lines", "c": "lines"}))
    with pytest.raises(Unmappable, match="too_many_events"):
        squared({"lines": [{}] * 9_000})
    none = compiled({}, EventRule(split={"a": "lines", "b": "lines"}, when={"b.sku": "never"}))
    with pytest.raises(Unmappable, match="too_many_events"):
        none({"lines": [{}] * 9_000})


def test_all_conditions_of_when_must_hold_and_none_of_unless() -> None:
    mapping = compiled(
        {"event_type": "type"},
        EventRule(
            when={"type": "order", "total": FieldTest(at_least=1)},
            unless={"test": True, "gone": FieldTest(present=True)},
        ),
    )
    order = {"type": "order", "total": "2"}
    assert types(mapping(order)) == ["order"]
    for other in ({"type": "cart"}, {"total": "0"}, {"test": True}, {"gone": "today"}):
        assert types(mapping(order | other)) == [f"unmapped:{(order | other)['type']}"]
    assert types(mapping(order | {"test": False, "gone": None})) == ["order"]


def test_every_rule_whose_conditions_hold_makes_events() -> None:
    mapping = compiled(
        {},
        EventRule(when={"a": 1}, fields={"event_type": Field(constant="view")}),
        EventRule(when={"b": 1}, fields={"event_type": Field(constant="cart")}),
    )
    assert types(mapping({"a": 1, "b": 1})) == ["view", "cart"]
    assert types(mapping({"b": 1})) == ["cart"]


def test_types_are_mapped_passed_on_or_ignored() -> None:
    fields: dict[str, Any] = {"event_type": "type"}
    mapping = compiled(fields, types={"Order": "purchase"}, ignore=("page",))
    assert types(mapping({"type": "Order"})) == ["purchase"]
    assert types(mapping({"type": "view"})) == ["view"]
    assert types(mapping({"type": 7})) == ["7"]
    assert mapping({"type": "page"}) == Mapped((), "page")
    strict = compiled(fields, types={"Order": "purchase"}, only_types=True)
    assert types(strict({"type": "Order"})) == ["purchase"]
    assert types(strict({"type": "view"})) == ["unmapped:view"]


@pytest.mark.parametrize("type_", [None, "", True, [], {}, ["view"]])
def test_a_record_without_a_type_is_refused(type_: object) -> None:
    with pytest.raises(Unmappable, match="no_event_type"):
        compiled({"event_type": "type"})({"type": type_})


@pytest.mark.parametrize("type_", ["forget", "customer_forgotten", "history_merged"])
def test_no_record_erases_a_customer_by_chance(type_: str) -> None:
    fields: dict[str, Any] = {"event_type": "type", "user_id": "user"}
    record = {"type": type_, "user": "ada"}
    assert types(compiled(fields)(record)) == [f"unmapped:{type_}"]
    never = compiled(fields, EventRule(when={"never": 1}))
    assert types(never(record)) == [f"unmapped:{type_}"]


def test_a_mapping_erases_a_customer_where_it_says_so() -> None:
    fields: dict[str, Any] = {"event_type": "type", "user_id": "user"}
    record = {"type": "gdpr", "user": "ada"}
    assert types(compiled(fields, types={"gdpr": "forget"})(record)) == ["forget"]
    constant = EventRule(when={"type": "gdpr"}, fields={"event_type": Field(constant="forget")})
    assert types(compiled(fields, constant)(record)) == ["forget"]


def test_messages_of_workers_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="history_merged is reserved for workers"):
        EventMapping(fields={"event_type": "type"}, types={"a": "history_merged"})
    with pytest.raises(ValueError, match="history_merged is reserved for workers"):
        EventMapping(fields={"event_type": Field(constant="history_merged")})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "rule 1 of events needs the field event_type"),
        ({"event_type": "type", "userId": "user"}, "fields: userId is written user_id"),
        ({"event_type": "type", "Product-ID": "sku"}, "fields: Product-ID is written product_id"),
        ({"event_type": "a..b"}, '"a..b" is no path'),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventMapping(fields=fields)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({}, "exactly one of path, constant, join"),
        ({"path": "a", "constant": "b"}, "exactly one of path, constant, join"),
        ({"path": "a", "times": "["}, "is no path"),
        ({"path": "a", "minus": ("b", "c[x]")}, "selects nothing"),
        ({"join": ("a", ".")}, "is no path"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(field: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Field(**field)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"events": ()}, "a mapping needs at least one rule"),
        ({"time": "seconds"}, "time is one of"),
        ({"timezone": "Berlin"}, "is no time zone"),
        ({"decimal": ";"}, "decimal is"),
        ({"format": "xml"}, "format is one of jsonl, csv, parquet, text, not xml"),
        ({"delimiter": ";;"}, "delimiter is a single character"),
    ],
)
def test_a_mapping_with_a_wrong_choice_is_refused(others: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventMapping(fields={"event_type": "type"}, **others)
