"""Ids: the same record has the same ids whenever it is mapped; different lines have different ids."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.mapping.compiled import CompiledMapping
from realtime_pipeline.domain.mapping.definitions import EventRule, Field
from tests.domain.mapping.compiling import compiled


def ids(mapping: CompiledMapping, record: dict[str, Any], record_id: str = "file:1") -> list[object]:
    return [event.get("event_id") for event in mapping(record, record_id).events]


SPLIT = EventRule(split={"line": "lines"})
TWO_LINES = {"id": "m-1", "lines": [{"id": 7}, {"id": 8}]}


def test_an_event_has_the_id_of_its_record() -> None:
    assert ids(compiled({"event_id": "id"}), {"id": "m-1"}) == ["m-1"]
    assert ids(compiled({"event_id": "id"}), {"id": 7}) == [7]


def test_an_event_without_an_id_is_named_by_its_record() -> None:
    records: list[dict[str, Any]] = [{}, {"id": None}, {"id": ""}, {"id": []}]
    for record in records:
        assert ids(compiled({"event_id": "id"}), record) == ["file:1"]
    assert ids(compiled({}), {}, "") == [None]  # the log's position names it


def test_lines_have_their_own_ids_or_the_record_s_with_type_and_number() -> None:
    assert ids(compiled({}, SPLIT), TWO_LINES) == ["file:1:purchase:0", "file:1:purchase:1"]
    assert ids(compiled({"event_id": "id"}, SPLIT), TWO_LINES) == ["m-1:purchase:0", "m-1:purchase:1"]
    assert ids(compiled({"event_id": "line.id"}, SPLIT), TWO_LINES) == [7, 8]
    joined = Field(join=("id", "line.id"), by="/", prefix="o:")
    assert ids(compiled({"event_id": joined}, SPLIT), TWO_LINES) == ["o:m-1/7", "o:m-1/8"]


def test_a_line_without_an_id_of_its_own_has_the_record_s_and_its_number() -> None:
    record = {"id": "m-1", "lines": [{"id": 7}, {}, {}]}
    assert ids(compiled({"event_id": "line.id"}, SPLIT), record) == [
        7,
        "file:1:purchase:1",
        "file:1:purchase:2",
    ]
    either = Field(path=("line.id", "id"))
    assert ids(compiled({"event_id": either}, SPLIT), record) == [7, "m-1", "m-1:2"]


def test_lines_with_the_same_id_are_told_apart() -> None:
    record = {"lines": [{"id": "mug"}, {"id": "jug"}, {"id": "mug"}, {"id": "mug"}]}
    assert ids(compiled({"event_id": "line.id"}, SPLIT), record) == ["mug", "jug", "mug:2", "mug:3"]
    record = {"lines": [{"id": "mug"}, {"id": "mug:2"}, {"id": "mug"}, {"id": "mug:2"}]}
    assert ids(compiled({"event_id": "line.id"}, SPLIT), record) == ["mug", "mug:2", "mug:3", "mug:2:2"]


STATES = compiled(
    {"event_id": "id"},
    EventRule(when={"paid": True}, fields={"event_type": Field(constant="purchase")}),
    EventRule(when={"back": True}, fields={"event_type": Field(constant="refund")}),
)


def test_an_id_does_not_depend_on_what_else_its_record_became() -> None:
    # an order that is delivered when it is paid, when it is given back, and with both
    assert ids(STATES, {"id": "o-1", "paid": True}) == ["o-1"]
    assert ids(STATES, {"id": "o-1", "back": True}) == ["o-1:refund"]
    assert ids(STATES, {"id": "o-1", "paid": True, "back": True}) == ["o-1", "o-1:refund"]


def test_an_id_that_a_rule_names_is_the_event_s() -> None:
    second = EventRule(fields={"event_type": Field(constant="view"), "event_id": "other"})
    assert ids(compiled({"event_id": "id"}, EventRule(), second), {"id": "a", "other": "b"}) == ["a", "b"]


def test_a_whole_number_is_the_same_id_however_it_is_written() -> None:
    mapping = compiled({"event_id": "id"}, SPLIT)
    assert ids(mapping, {"id": 2.0, "lines": [{}]}) == ids(mapping, {"id": 2, "lines": [{}]}) == ["2:purchase:0"]
    joined = compiled({"event_id": Field(join=("a", "b"))})
    assert ids(joined, {"a": 2.0, "b": "x"}) == ids(joined, {"a": 2, "b": "x"}) == ["2-x"]


def test_a_long_id_is_shortened_and_stays_different() -> None:
    mapping = compiled({"event_id": "id"}, SPLIT)
    found = ids(mapping, {"id": "x" * 500, "lines": [{}, {}]}) + ids(
        mapping, {"id": "x" * 499 + "y", "lines": [{}, {}]}
    )
    assert len(set(found)) == 4
    assert all(len(str(id_)) <= 128 for id_ in found)
    assert found[:2] == ids(mapping, {"id": "x" * 500, "lines": [{}, {}]})


def test_an_id_that_is_no_id_is_left_to_the_decoder() -> None:
    mapping = compiled({"event_id": "id"}, SPLIT)
    assert ids(mapping, {"id": {"a": 1}, "lines": [{}]}) == [{"a": 1}]
    assert ids(mapping, {"id": True, "lines": [{}]}) == [True]


def test_lines_of_two_lists_are_told_apart() -> None:
    record = {"id": "o-1", "lines": [{"id": 1}, {"id": 2}], "gifts": [{"id": 1}]}
    rules = (EventRule(split={"line": "lines"}), EventRule(split={"line": "gifts"}))
    assert ids(compiled({}, *rules), record) == ["file:1:purchase:0", "file:1:purchase:1", "file:1:purchase:0:2"]
    assert ids(compiled({"event_id": "id"}, *rules), record) == ["o-1:purchase:0", "o-1:purchase:1", "o-1:purchase:0:2"]
    assert ids(compiled({"event_id": "line.id"}, *rules), record) == [1, 2, "1:purchase"]


def test_a_line_that_is_bought_and_given_back_has_two_ids() -> None:
    back = EventRule(split={"line": "lines"}, when={"back": True}, fields={"event_type": Field(constant="refund")})
    mapping = compiled({"event_id": "line.id"}, SPLIT, back)
    assert ids(mapping, {"lines": [{"id": 7}]}) == [7]
    assert ids(mapping, {"lines": [{"id": 7}], "back": True}) == [7, "7:refund"]


def test_lines_of_two_rules_that_name_ids_which_are_absent_are_told_apart() -> None:
    rules = [EventRule(split={"line": list_}, fields={"event_id": "line.id"}) for list_ in ("lines", "gifts")]
    assert ids(compiled({}, *rules), {"lines": [{}], "gifts": [{}]}) == ["file:1:purchase:0", "file:1:purchase:0:2"]


def test_two_rules_that_name_the_same_id_make_the_same_event() -> None:
    rule = EventRule(fields={"event_id": "id"})
    assert ids(compiled({}, rule, rule), {"id": "a"}) == ["a", "a"]


LINE = st.fixed_dictionaries({}, optional={"id": st.sampled_from([None, "", "a", "b", 1, 2.0, True])})


@given(
    st.lists(LINE, max_size=6),
    st.sampled_from([None, "m", 3]),
    st.sampled_from([(), ("view",), ("purchase",), ("purchase", "purchase")]),
    st.sampled_from(["id", "line.id", ("line.id", "id"), Field(join=("id", "line.id"))]),
)
def test_ids_are_stable_and_different_within_a_record(
    lines: list[dict[str, Any]], id_: object, others: tuple[str, ...], spec: Any
) -> None:
    rules = [EventRule(split={"line": "lines"}, fields={"event_type": Field(constant=type_)}) for type_ in others]
    mapping = compiled({"event_id": spec}, SPLIT, *rules)
    record = {"id": id_, "lines": lines}
    found = ids(mapping, record)
    assert found == ids(mapping, record)
    named = [str(event_id) for event_id in found if event_id is not True]
    assert len(set(named)) == len(named)
