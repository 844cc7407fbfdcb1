"""Records are brought out of order by a seed, and within a bound."""

from harness.support.disorder import disordered
from harness.support.source_record import SourceRecord

RECORDS = [SourceRecord(number, b"", str(number)) for number in range(1_000)]


def order(seed: int, positions_max: int = 50) -> list[int]:
    return [int(record.origin) for record in disordered(RECORDS, seed, positions_max)]


def test_no_record_is_lost_and_none_moves_further_than_the_bound() -> None:
    found = order(7)
    assert sorted(found) == list(range(1_000))
    moves = [position - number for position, number in enumerate(found)]
    assert 25 < max(moves) <= 50
    assert -50 <= min(moves) < -25


def test_the_order_is_decided_by_the_seed() -> None:
    assert order(7) == order(7)
    assert order(7) != order(8)


def test_few_records_and_none() -> None:
    assert list(disordered([], 7)) == []
    assert [record.origin for record in disordered(RECORDS[:1], 7)] == ["0"]
