"""Sums, means and variances, computed by hand."""

from fractions import Fraction
from statistics import pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.sums import Mean, Sum, Variance


def of(kind: type[Accumulator], *numbers: int) -> Accumulator:
    accumulator = kind(Measure("", field="amount"))
    for number in numbers:
        accumulator.add(number, 0, "e")
    return accumulator


def test_the_values() -> None:
    # 2 + 4 + 4 + 4 + 5 + 5 + 7 + 9 = 40, 40 / 8 = 5; squared deviations 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, 32 / 8 = 4
    numbers = (2, 4, 4, 4, 5, 5, 7, 9)
    assert [of(kind, *numbers).result() for kind in (Sum, Mean, Variance)] == [40, 5.0, 4.0]
    assert [type(of(kind, *numbers).result()) for kind in (Sum, Mean, Variance)] == [int, float, float]
    assert [kind.dimension for kind in (Sum, Mean, Variance)] == [1, 1, 2]


def test_without_events() -> None:
    assert [of(kind).result() for kind in (Sum, Mean, Variance)] == [0, None, None]


def test_the_chunks() -> None:
    # 3 − 5 = −2; 9 + 25 = 34
    assert of(Sum, 3, -5).changes() == {"sum": -2}
    assert of(Mean, 3, -5).changes() == {"n": 2, "sum": -2}
    assert of(Variance, 3, -5).changes() == {"n": 2, "sum": -2, "squares": 34}


def test_a_small_variance_of_large_numbers_is_exact() -> None:
    # ((−1)² + 0² + 1²) / 3; in floats, the squares of 10^18 would leave nothing of it
    assert of(Variance, 10**18 - 1, 10**18, 10**18 + 1).result() == 2 / 3


def test_numbers_too_large_for_floats_stay_whole() -> None:
    huge = 10**400
    assert of(Sum, huge, 1).result() == huge + 1
    assert of(Mean, huge, huge + 3).result() == huge + 1  # and a half, rounded down
    assert of(Variance, huge, -huge).result() == huge**2


@given(st.lists(st.integers(-(10**20), 10**20), min_size=1))
def test_against_fractions(numbers: list[int]) -> None:
    exact = [Fraction(number) for number in numbers]
    assert of(Mean, *numbers).result() == float(sum(exact) / len(exact))
    assert of(Variance, *numbers).result() == pytest.approx(float(pvariance(exact)), rel=1e-15)
