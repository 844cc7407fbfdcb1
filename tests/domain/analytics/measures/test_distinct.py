"""How many different values: exact up to a bound, beyond that within a few percent."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import pytest

from realtime_pipeline.domain.analytics.measures.accumulator import CHUNK_BYTES_MAX, Chunk
from realtime_pipeline.domain.analytics.measures.distinct import Distinct
from realtime_pipeline.domain.analytics.measures.measure import Measure


def of(values: Iterable[object], entries_max: int = 100) -> Distinct:
    distinct = Distinct(Measure("distinct", field="product", entries_max=entries_max))
    for value in values:
        distinct.add(str(value), 0, "e")
    return distinct


def digest_of(value: object) -> str:
    return blake2b(str(value).encode(), digest_size=8).hexdigest()


def registers_of(chunks: Mapping[str, Chunk | None]) -> dict[int, int]:
    """The registers that are not 0, by number."""
    return {
        64 * int(name[1:]) + place: rank
        for name, chunk in chunks.items()
        if isinstance(chunk, bytes)
        for place, rank in enumerate(chunk)
        if rank
    }


def expected_registers(values: Iterable[object]) -> dict[int, int]:
    """Flajolet et al. 2007, by binary digits: 12 choose the register, the rank is the place of the first 1 of 52."""
    registers: dict[int, int] = {}
    for value in values:
        digits = f"{int(digest_of(value), 16):064b}"
        number, rank = int(digits[:12], 2), (digits[12:] + "1").index("1") + 1
        registers[number] = max(registers.get(number, 0), rank)
    return registers


def test_up_to_the_bound_the_number_is_exact() -> None:
    for number in (0, 1, 99, 100):
        assert of([*range(number), *range(number)]).result() == number


@pytest.mark.parametrize("entries_max", [1, 100])
@pytest.mark.parametrize("number", [10, 1_000, 100_000])
def test_beyond_the_bound_the_number_is_within_5_percent(number: int, entries_max: int) -> None:
    result = of(range(number), entries_max).result()
    assert isinstance(result, int)
    assert abs(result - number) <= 0.05 * number


def test_few_values_are_estimated_well() -> None:
    # of 4,096 registers 2 are 1 or more: σ leaves an estimate of 2, as linear counting does (4,096 ln(4,096 / 4,094))
    assert of(range(2), entries_max=1).result() == 2


def test_the_estimate_of_large_registers() -> None:
    # All registers are k: 4,096 of them seen as 4,096 × 2^−k in the sum, so 4,096 × 2^k / (2 ln 2) without corrections
    rank = 30
    distinct = of(())
    distinct.load({f"r{number}": bytes([rank] * 64) for number in range(64)})
    assert distinct.result() == pytest.approx(4_096 * 2**rank * 0.7213475, rel=1e-6)


def test_saturated_registers_are_estimated_by_tau() -> None:
    # Half of the registers are at 53, the largest, the others at 52. For x = 1 − 2,048 / 4,096 = 0.5 the terms
    # (1 − 0.5^(1/2^k))² / 2^k are 0.042893, 0.006328, 0.000862, 0.000112, 0.000014, 0.000002: τ = (0.5 − 0.050212) / 3
    # = 0.149930. Z = (4,096 τ + 2,048) / 2^52, so the estimate is 0.7213475 × 4,096 × 2^52 / (0.149930 + 0.5).
    distinct = of(())
    distinct.load({f"r{number}": bytes([53, 52] * 32) for number in range(64)})
    assert distinct.result() == pytest.approx(0.7213475 * 4_096 * 2**52 / 0.649930, rel=1e-5)


def test_the_chunks_up_to_the_bound_are_digests() -> None:
    distinct = of("ab")
    assert distinct.changes() == {digest_of("a"): 1, digest_of("b"): 1}
    distinct.add("a", 0, "e")
    assert distinct.changes() == {}
    distinct.add("c", 0, "e")
    assert distinct.changes() == {digest_of("c"): 1}


def test_when_the_bound_is_crossed_digests_become_registers() -> None:
    distinct = of(range(2), entries_max=3)
    distinct.changes()
    for value in (2, 3):
        distinct.add(str(value), 0, "e")
    changes = distinct.changes()
    deleted = {name for name, chunk in changes.items() if chunk is None}
    assert deleted == {digest_of(0), digest_of(1)}  # 2 was never stored
    assert registers_of(changes) == expected_registers(range(4))


@pytest.mark.parametrize("entries_max", [1, 100, 10_000])
def test_digests_make_the_registers_that_values_make(entries_max: int) -> None:
    changes = of(range(12_000), entries_max).changes()
    assert registers_of(changes) == expected_registers(range(12_000))


def test_chunks_are_small() -> None:
    changes = of(range(100_000)).changes()
    assert len(changes) == 64
    assert all(isinstance(chunk, bytes) and len(chunk) <= CHUNK_BYTES_MAX for chunk in changes.values())
    assert all(len(name) <= 16 for name in (*changes, *of(range(100)).changes()))


def test_beyond_the_bound_an_event_changes_at_most_a_chunk() -> None:
    distinct = of(range(101))
    distinct.changes()
    numbers = []
    for value in range(101, 2_000):
        distinct.add(str(value), 0, "e")
        numbers.append(len(distinct.changes()))
    assert set(numbers) == {0, 1}


def test_a_merge_counts_values_of_both_once() -> None:
    few, many = of(range(60)), of(range(40, 100))
    few.merge(many)
    assert few.result() == 100  # at the bound
    few.merge(of(range(100, 5_000)))
    assert registers_of(few.changes()) == expected_registers(range(5_000))
