"""Positions, and which transactions a snapshot sees."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.errors import Damaged
from realtime_pipeline.infrastructure.postgres.position import (
    XIDS,
    KeyRange,
    Position,
    SnapshotPart,
    TableIdentity,
    VisibleTransactions,
)
from realtime_pipeline.infrastructure.postgres.session import lsn_number, lsn_text

SNAPSHOTS = st.builds(
    lambda xmin, ahead, running: VisibleTransactions(
        xmin, xmin + ahead, frozenset(xmin + number for number in running if number < ahead)
    ),
    st.integers(3, 5 * XIDS),
    st.integers(0, 50),
    st.frozensets(st.integers(0, 49)),
)
KEYS = st.none() | st.lists(st.integers(), min_size=1, max_size=2).map(tuple) | st.text().map(lambda text: (text,))
RANGES = st.builds(KeyRange, st.sampled_from(["public.a", "public.ä b"]), KEYS, KEYS)
LSNS = st.integers(0, 2**64 - 1)
PARTS = st.builds(SnapshotPart, SNAPSHOTS, LSNS, st.lists(RANGES, max_size=3).map(tuple))
POSITIONS = st.builds(
    Position,
    st.text(),
    st.integers(1, 9),
    LSNS,
    LSNS,
    st.integers(0, 10**9),
    st.dictionaries(st.text(), st.builds(TableIdentity, st.integers(0, XIDS), st.integers(0, XIDS))),
    st.lists(PARTS, max_size=3).map(tuple),
)


@given(POSITIONS)
def test_a_position_is_read_as_it_was_written(position: Position) -> None:
    assert Position.decode(position.encode()) == position


@pytest.mark.parametrize("text", ["", "7", "[]", "{}", '{"system":"1","timeline":1,"lsn":"x"}'])
def test_a_damaged_position_is_refused(text: str) -> None:
    with pytest.raises(Damaged, match="a position of Postgres that no release wrote"):
        Position.decode(text)


@given(SNAPSHOTS, st.integers(-1_000_000, 1_000_000))
def test_a_snapshot_sees_transactions_by_32_bits_of_their_ids(visible: VisibleTransactions, distance: int) -> None:
    """Also where the ids have wrapped around between a transaction and the snapshot."""
    xid = visible.xmax + distance
    expected = xid < visible.xmin or (xid < visible.xmax and xid not in visible.in_progress)
    assert visible.sees(xid % XIDS) == expected


@given(SNAPSHOTS)
def test_a_snapshot_is_written_as_postgres_does(visible: VisibleTransactions) -> None:
    assert VisibleTransactions.parse(visible.text()) == visible


@given(LSNS)
def test_a_position_of_the_wal_is_written_as_postgres_does(lsn: int) -> None:
    assert lsn_number(lsn_text(lsn)) == lsn


def test_a_position_of_the_wal_as_in_the_manual() -> None:
    assert lsn_text(0x0000_0000_16B3_7480) == "0/16B37480"
    assert lsn_text(0x0000_0016_B374_D848) == "16/B374D848"


SEEN = VisibleTransactions(100, 100, frozenset())
BASE = Position("7", 1, lsn=50, commit=90, rows=3, parts=(SnapshotPart(SEEN, 80, (KeyRange("t", None, (5,)),)),))


def test_a_cut_transaction_keeps_its_place_until_its_end_is_passed() -> None:
    assert BASE.at(70) == attrs.evolve(BASE, lsn=70)
    assert BASE.at(90) == attrs.evolve(BASE, lsn=90, parts=())
    assert BASE.at(91) == attrs.evolve(BASE, lsn=91, commit=0, rows=0, parts=())


def test_a_row_was_read_where_its_key_is_in_a_range_of_a_snapshot_that_saw_the_transaction() -> None:
    assert BASE.has_read("t", (5,), 99)
    assert not BASE.has_read("t", (6,), 99)
    assert not BASE.has_read("t", (5,), 100)
    assert not BASE.has_read("u", (5,), 99)
