"""Conditions on single fields."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.conditions import Condition, FieldTest, check_of, is_present


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("track", ["track"], ["Track", "", None, ["track"], {"track": 1}]),
        (("a", "b"), ["a", "b"], ["ab", None]),
        (1, [1, "1"], [True, "01", 1.5, None]),
        (True, [True], [1, "true", "True", False, None]),
        (False, [False], [0, "", None, True]),
        (FieldTest(prefix="C"), ["C1", "C"], ["c1", "", None, 1, ["C"]]),
        (FieldTest(at_least=1), [1, 1.5, "1", " 2 ", Decimal(1)], [0, "0.9", True, None, "", "one", "nan", [1]]),
        (FieldTest(at_most=-1), [-1, "-2"], [0, "-0.5", None, False]),
        (FieldTest(at_least=1, at_most=2), [1, "2"], [0, 3]),
        (FieldTest(present=True), [0, False, "0", [None], {"a": None}], [None, "", [], {}]),
        (FieldTest(present=False), [None, "", [], {}], [0, False, " "]),
        (FieldTest(one_of=("aa", "ab"), prefix="a"), ["aa"], ["b", None]),
    ],
)
def test_a_condition_holds_or_not(condition: Condition, yes: list[object], no: list[object]) -> None:
    check = check_of(condition)
    assert [value for value in yes if not check(value)] == []
    assert [value for value in no if check(value)] == []


def test_a_condition_that_asks_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a condition needs one_of, prefix, at_least, at_most or present"):
        FieldTest()


@given(
    st.text()
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.integers(), max_size=2)
    | st.decimals()
)
def test_no_value_raises(value: object) -> None:
    for test in (FieldTest(at_least=1, at_most=5), FieldTest(one_of=(1, "a", True)), FieldTest(prefix="a")):
        test.check()(value)
    assert is_present(value) is (value is not None and value not in ("", []))
