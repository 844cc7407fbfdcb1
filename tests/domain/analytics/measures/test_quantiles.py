"""Quantiles within 1 %."""

import math
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.measures.accumulator import Entry
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.quantiles import Quantiles

SHARES = (0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)


def of(numbers: Iterable[int], quantiles: tuple[float, ...] = SHARES) -> Quantiles:
    accumulator = Quantiles(Measure("quantiles", field="amount", quantiles=quantiles))
    for number in numbers:
        accumulator.add(number, 0, "e")
    return accumulator


def entries_of(numbers: Iterable[int], quantiles: tuple[float, ...] = SHARES) -> list[Entry]:
    result = of(numbers, quantiles).result()
    assert isinstance(result, list)
    return result


def check(numbers: list[int]) -> None:
    """Compare all quantiles with those of the sorted numbers: at rank floor(share × (n − 1)), counted in hundredths."""
    ordered = sorted(numbers)
    for share, (_, estimate) in zip(SHARES, entries_of(numbers), strict=True):
        exact = ordered[round(share * 100) * (len(ordered) - 1) // 100]
        assert abs(estimate - exact) <= 0.01 * abs(exact) * (1 + 1e-9), (share, exact, estimate)


@given(st.lists(st.integers(-20, 20) | st.integers(-(10**6), 10**6) | st.integers(), min_size=1, max_size=60))
def test_any_numbers_are_estimated_within_1_percent(numbers: list[int]) -> None:
    check(numbers)


def test_many_numbers_are_estimated_within_1_percent() -> None:
    # a geometric walk through 1 to 10^7, both signs, with zeros
    numbers = [round(10 ** (7 * (number * 0.618034 % 1))) * (-1, 0, 1, 1)[number % 4] for number in range(20_000)]
    assert {-1, 0, 1} == {(number > 0) - (number < 0) for number in numbers}
    check(numbers)


@given(st.integers(1, 10**25))
def test_a_bin_has_the_numbers_between_two_powers(number: int) -> None:
    # γ = 101/99, and the estimate is 2γ^i / (γ + 1) = 0.99 γ^i: so γ^i is 1/0.99 times it, and γ^(i−1) 1/1.01 times it.
    ((_, estimate),) = entries_of([number], (0.5,))
    assert estimate / 1.01 * (1 - 1e-9) < number <= estimate / 0.99 * (1 + 1e-9)
    index = math.log(estimate / 0.99) / math.log(101 / 99)
    assert abs(index - round(index)) < 1e-6
    assert entries_of([-number], (0.5,)) == [("p50", -estimate)]


@pytest.mark.parametrize(
    "number", [1, 2, 50, 51, 10**6, 10**13, 16_609_812_108_695, 17_287_694_451_668, 27_385_406_972_971]
)
def test_a_bin_is_found_near_a_power(number: int) -> None:
    # Of the last three, the logarithm gives the bin below. The powers of the float γ are exact here, as fractions.
    gamma = Fraction(1.01 / 0.99)
    (key,) = of([number]).changes()
    index = int(key) - 1
    assert gamma ** (index - 1) < number <= gamma**index


def test_the_values() -> None:
    # γ = 101/99, 2 / (γ + 1) = 0.99. 1 is in bin 0: 0.99. 3: ln 3 / ln γ = 54.93, bin 55: 0.99 γ^55 = 2.974.
    # Of −3, −1, 0, 1, 3: ranks floor(q × 4) = 0, 1, 2, 3, 4.
    entries = entries_of([3, -1, 0, -3, 1], (0, 0.25, 0.5, 0.75, 1))
    assert [name for name, _ in entries] == ["p0", "p25", "p50", "p75", "p100"]
    bin_55 = 0.99 * (101 / 99) ** 55
    assert bin_55 == pytest.approx(2.974, abs=0.001)
    assert [value for _, value in entries] == pytest.approx([-bin_55, -0.99, 0, 0.99, bin_55])


def test_the_chunks_are_counts_of_bins() -> None:
    # keys are bin + 1, so that 0 is left for zero: 1 is in bin 0, −3 in bin 55 of the negative numbers
    accumulator = of([1, 1, 0, -3])
    assert accumulator.changes() == {"1": 2, "0": 1, "-56": 1}
    accumulator.add(0, 0, "e")
    assert accumulator.changes() == {"0": 2}


@pytest.mark.parametrize(
    ("quantile", "name"),
    [(0.5, "p50"), (0.95, "p95"), (0.999, "p99.9"), (0.99999999, "p99.999999"), (1, "p100"), (1.0, "p100"), (0, "p0")],
)
def test_names_are_in_percent(quantile: float, name: str) -> None:
    assert entries_of([5], (quantile,))[0][0] == name


def test_a_rank_is_of_the_quantile_as_it_is_written() -> None:
    # 101 numbers, of which 29 are 0: rank 0.29 × 100 = 29 is the first 1; in floats the product is 28.999…
    assert 0.29 * 100 < 29
    ((name, estimate),) = entries_of([0] * 29 + [1] * 72, (0.29,))
    assert (name, round(estimate, 9)) == ("p29", 0.99)
    assert entries_of([0] * 30 + [1] * 71, (0.29,)) == [("p29", 0)]


def test_entries_are_in_the_order_of_the_quantiles() -> None:
    assert [name for name, _ in entries_of(range(10), (0.9, 0.1))] == ["p90", "p10"]


def test_without_events() -> None:
    assert of([]).result() is None


def test_numbers_too_large_for_floats_share_a_bin() -> None:
    accumulator = of([10**300, 10**301, 10**400, -(10**400)], (0, 1))
    assert len(accumulator.changes()) == 2
    result = accumulator.result()
    assert isinstance(result, list)
    assert [value for _, value in result] == pytest.approx([-1e300, 1e300], rel=0.01)


def test_bins_are_few() -> None:
    # from 1 to 10^6: i from 0 to ceil(6 ln 10 / ln γ) = 691
    changes = of([*range(1, 10_000), *range(10_000, 10**6, 100), 10**6]).changes()
    assert len(changes) <= 692
    assert changes.keys() >= {"1", "692"}
