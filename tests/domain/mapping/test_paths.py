"""Paths read one value of a nested document, or None."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.paths import compile_path, first_name, names_of

RECORD: dict[str, Any] = {
    "id": 7,
    "nothing": None,
    "order": {"lines": [{"sku": "mug", "tags": ["a", "b"]}, {"sku": "jug"}], "empty": []},
    "a.b": {"c d": 1},
    "params": [
        {"key": "currency", "value": {"text": "EUR"}},
        {"key": "currency", "value": {"text": "USD"}},
        {"key": 3, "value": "three"},
        {"key": True, "value": "yes"},
        {"key": None, "value": "null"},
        "no object",
    ],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", 7),
        ("nothing", None),
        ("missing", None),
        ("order.lines[0].sku", "mug"),
        ("order.lines[-1].sku", "jug"),
        ("order.lines[2].sku", None),
        ("order.lines[-3].sku", None),
        ("order.lines.sku", None),
        ("order.empty[0]", None),
        ("id.deeper", None),
        ("id[0]", None),
        ('"a.b".c d', 1),
        ("order.lines[*].sku", ["mug", "jug"]),
        ("order.lines[*].tags[*]", [["a", "b"]]),
        ("order.lines[*].missing", []),
        ("order[*].sku", []),
        ("params[key=currency].value.text", "EUR"),
        ("params[key=3].value", "three"),
        ("params[key=true].value", "yes"),
        ("params[key=True].value", None),
        ("params[key=None].value", None),
        ("params[key=tax].value", None),
        ("order.lines[sku=jug].sku", "jug"),
    ],
)
def test_a_path_reads_a_value(path: str, value: object) -> None:
    assert compile_path(path)((RECORD,)) == value


def test_a_path_that_begins_with_a_variable_is_read_in_its_element() -> None:
    scope = ({"line": "of the record"}, {"sku": "mug"}, "text")
    assert compile_path("line.sku", ["line", "inner"])(scope) == "mug"
    assert compile_path("inner", ["line", "inner"])(scope) == "text"
    assert compile_path("line")(scope) == "of the record"
    assert compile_path("line.sku", ["line"])(({}, None)) is None


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a[", "a]", "a[]", "a[x]", "a[1.5]", "[0]", 'a"b', '""'])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is no path|selects nothing"):
        compile_path(path)


def test_the_names_of_a_path() -> None:
    assert names_of('order.lines[0]."unit price"') == ("order", "lines", "unit price")
    assert first_name("order.lines") == "order"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["a", "a.b", "a[0].b", "a[-1]", "a[*].b[*].c", "a[b=1].c", "a.b.c", "a[*][0]"]))
def test_a_path_reads_something_or_none_in_any_document(document: object, path: str) -> None:
    compile_path(path)((document,))
