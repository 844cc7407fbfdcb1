"""Snapshots that are interrupted, by keys of all kinds, while others write."""

import random
from typing import Any

import attrs
import pytest

from realtime_pipeline.application.errors import Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.snapshot import PARTS_MAX
from realtime_pipeline.infrastructure.postgres.tables import Table
from tests.support.captures import COLUMNS, Capture, Document, Writer, assert_exact
from tests.support.servers import postgres_execute, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

T = "public.t"
READ = {T: frozenset({"id"})}


@pytest.fixture
def settings() -> PostgresSettings:
    return postgres_settings()


def read_one_batch(capture: Capture, records_max: int) -> list[Document]:
    batch = capture.source.read(records_max, 1.0)
    assert batch is not None
    capture.positions |= batch.positions
    capture.published += batch.records
    return [dict(record.value) for record in batch.records if isinstance(record.value, dict)]


def position_of(capture: Capture) -> Position:
    return Position.decode(capture.positions["changes"])


def changes(documents: list[Document]) -> list[tuple[str, Any]]:
    return [(document["op"], document["row"]) for document in documents]


def test_a_snapshot_that_is_interrupted_at_every_batch_has_each_row_once(settings: PostgresSettings) -> None:
    """Others write between the batches, with keys below and above what is read; transactions are cut in the stream."""
    writer, capture = Writer(settings, 60), Capture(settings, COLUMNS)
    for number in range(40):
        read_one_batch(capture.again(), 1 + number % 7)
        parts = len(position_of(capture).parts)
        if position_of(capture).tables:
            break
        writer.write(3)
    assert parts == number + 1 > 10
    writer.write(3)
    capture.again().read(records_max=3)
    found = [{"id": record.id, **record.value} for record in capture.published if isinstance(record.value, dict)]
    assert_exact(found, writer.histories)
    capture.source.close()


def test_a_transaction_that_is_running_while_a_snapshot_is_taken_comes_by_the_stream(
    settings: PostgresSettings,
) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1), (2), (3), (4)")
    capture = Capture(settings, READ).open()
    assert [row["id"] for _, row in changes(read_one_batch(capture, 2))] == [1, 2]
    capture.source.close()
    running = Session(settings)
    running.rows("BEGIN")
    running.rows("UPDATE public.t SET a = 7 WHERE id IN (1, 3)")
    postgres_execute(settings, "UPDATE t SET a = 8 WHERE id IN (2, 4)")
    capture.source.open(capture.positions)
    rest = changes(read_one_batch(capture, 9))
    assert rest == [("snapshot", {"id": 3, "a": None}), ("snapshot", {"id": 4, "a": 8})]
    running.rows("COMMIT")
    assert changes(capture.documents()) == [("update", {"id": n, "a": a}) for n, a in ((2, 8), (1, 7), (3, 7))]
    running.close()
    capture.source.close()


def test_the_first_snapshot_waits_for_transactions_that_the_slot_may_not_have(settings: PostgresSettings) -> None:
    """The slot is there already, since a process was killed behind its creation."""
    settings = attrs.evolve(settings, request_timeout_ms=300)
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    first = Capture(settings, READ).open()
    first.source.close()
    running = Session(settings)
    running.rows("BEGIN")
    running.rows("INSERT INTO public.t VALUES (1)")
    second = Capture(settings, READ)
    with pytest.raises(Unreachable, match="waiting for transactions that were running when the replication slot"):
        second.open()
    running.rows("COMMIT")
    running.close()
    assert changes(second.open().documents()) == [("snapshot", {"id": 1})]
    second.source.close()


KEYS = [
    ("text", ["", "a", "B", "b", "Ä", "ä", "a b", "a,b", "a\\b", "z'z", "日本", "\U0001f600"]),
    ("char(3)", ["a", "b", "ab"]),
    ("uuid", [f"{n:08x}-0000-0000-0000-000000000000" for n in (1, 99, 2**31)]),
    ("numeric", ["1", "2", "10", "-5", "1.5"]),
    ("timestamptz", ["2026-01-01", "1999-01-01", "2026-06-01 12:00:00.5"]),
    ("boolean", ["true", "false"]),
    ("smallint", ["-3", "20", "100"]),
]


@pytest.mark.parametrize(("type_name", "keys"), KEYS, ids=[name for name, _ in KEYS])
def test_keys_of_any_type_are_read_in_an_order_that_the_stream_can_judge(
    settings: PostgresSettings, type_name: str, keys: list[str]
) -> None:
    """One row a snapshot; each row is updated before every snapshot, and again behind the last."""
    postgres_execute(settings, f"CREATE TABLE t (id {type_name} PRIMARY KEY, a int)")
    for key in keys:
        postgres_execute(settings, f"INSERT INTO t VALUES ($k${key}$k$, 0)")
    capture, documents = Capture(settings, READ), list[Document]()
    for number in range(len(keys) + 1):
        postgres_execute(settings, f"UPDATE t SET a = {number}")
        documents += read_one_batch(capture.again(), 1)
    postgres_execute(settings, f"UPDATE t SET a = {len(keys) + 1}")
    documents += capture.documents()
    for key in {document["row"]["id"] for document in documents}:
        seen = [document["row"]["a"] for document in documents if document["row"]["id"] == key]
        assert seen == list(range(seen[0], len(keys) + 2)), key
    assert len({document["row"]["id"] for document in documents}) == len(keys)
    assert len({record.id for record in capture.published}) == len(capture.published)
    capture.source.close()


def test_keys_are_ordered_by_their_bytes_whatever_the_collation() -> None:
    """The databases of tests have no other collation than that of bytes: the SQL must name it."""
    table = Table("public.t", 1, "t", (("a", 25), ("b", 23), ("c", 2950)), (0, 1, 2))
    assert table.key_order == '"a"::text COLLATE "C", "b"::bigint, format(\'%s\', "c") COLLATE "C"'
    assert table.behind(("x'y", 7, "z")).endswith(""" > ('x''y' COLLATE "C", 7, 'z' COLLATE "C")""")


def test_keys_of_several_columns(settings: PostgresSettings) -> None:
    rows = [(number, text) for number in (3, 20, 100) for text in ("b", "a,b", "")]
    random.Random(3).shuffle(rows)
    postgres_execute(settings, "CREATE TABLE t (note int, name text, id int, PRIMARY KEY (id, name))")
    for number, text in rows:
        postgres_execute(settings, f"INSERT INTO t VALUES (0, '{text}', {number})")
    capture, documents = Capture(settings, READ), list[Document]()
    for number in range(1, 10):
        documents += read_one_batch(capture.again(), 2)
        postgres_execute(settings, f"UPDATE t SET note = {number}")
        if not position_of(capture).tables:
            continue
        break
    documents += capture.again().documents()
    for key in rows:
        seen = [d["row"]["note"] for d in documents if (d["row"]["id"], d["row"]["name"]) == key]
        assert seen == list(range(seen[0], number + 1)), key
    capture.source.close()


def test_a_table_that_is_added_later_is_read_from_its_beginning(settings: PostgresSettings) -> None:
    postgres_execute(
        settings, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY, a int)",
        "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1, 1), (2, 1)",
    )  # fmt: skip
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(settings, "INSERT INTO t VALUES (2)", f"ALTER PUBLICATION {settings.publication} ADD TABLE u")
    postgres_execute(settings, "UPDATE u SET a = 2")
    both = {**READ, "public.u": frozenset({"id"})}
    documents = [(d["table"], d["op"], d["row"]) for d in capture.again(both).documents()]
    assert documents == [
        ("public.u", "snapshot", {"id": 1, "a": 2}),
        ("public.u", "snapshot", {"id": 2, "a": 2}),
        (T, "insert", {"id": 2}),
    ]
    postgres_execute(settings, "UPDATE u SET a = 3 WHERE id = 1")
    assert changes(capture.documents()) == [("update", {"id": 1, "a": 3})]
    capture.again(READ)  # taken out, and in again
    postgres_execute(settings, "UPDATE u SET a = 4 WHERE id = 1", "INSERT INTO t VALUES (3)")
    assert changes(capture.documents()) == [("insert", {"id": 3})]
    assert changes(capture.again(both).documents()) == [
        ("snapshot", {"id": 1, "a": 4}),
        ("snapshot", {"id": 2, "a": 2}),
    ]
    capture.source.close()


def test_what_snapshots_saw_is_forgotten_when_the_stream_has_passed_it(settings: PostgresSettings) -> None:
    settings = attrs.evolve(settings, heartbeat_ms=50)
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    capture = Capture(settings, READ)
    for _ in range(2):
        read_one_batch(capture.again(), 1)
    assert len(position_of(capture).parts) == 2
    capture.again().read()
    postgres_execute(settings, "INSERT INTO t VALUES (4)")
    capture.read()
    assert position_of(capture).parts == ()
    capture.source.close()


def test_a_truncation_between_two_parts_of_a_snapshot_stops_the_capture(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    capture = Capture(settings, READ).open()
    read_one_batch(capture, 1)
    capture.source.close()
    postgres_execute(settings, "TRUNCATE t", "INSERT INTO t VALUES (3)")
    capture.again()
    assert [row for _, row in changes(read_one_batch(capture, 9))] == [{"id": 3}]
    with pytest.raises(
        UnrecoverableState, match=r"public\.t was emptied by TRUNCATE while its snapshot was interrupted"
    ):
        capture.read()
    capture.source.close()


def test_a_snapshot_that_is_always_interrupted_stops(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    capture = Capture(settings, READ).open()
    read_one_batch(capture, 1)
    position = position_of(capture)
    many = attrs.evolve(position, parts=position.parts * PARTS_MAX)
    capture.positions = {"changes": many.encode()}
    with pytest.raises(UnrecoverableState, match=f"the snapshot was interrupted {PARTS_MAX} times"):
        capture.again()
    capture.source.close()


def test_a_large_transaction_is_cut_and_read_on(settings: PostgresSettings) -> None:
    """Another process reads each batch; what was published before is left out."""
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(
        settings, "INSERT INTO t SELECT generate_series(1, 95)", "INSERT INTO t VALUES (96)",
    )  # fmt: skip
    ids: list[int] = []
    while len(ids) < 96:
        ids += [row["id"] for _, row in changes(read_one_batch(capture.again(), 20))]
        capture.source.acknowledge(capture.positions)
    assert ids == list(range(1, 97))
    assert capture.read() == []
    capture.source.close()


def test_a_truncation_of_several_tables_is_cut_and_read_on(settings: PostgresSettings) -> None:
    """It is one message of the stream, and a record for each table."""
    tables = [f"public.{name}" for name in "tuv"]
    postgres_execute(settings, *(f"CREATE TABLE {table} (id int PRIMARY KEY)" for table in tables))
    capture = Capture(settings, {table: frozenset({"id"}) for table in tables}).open()
    capture.read()
    postgres_execute(settings, f"TRUNCATE {', '.join(tables)}")
    emptied = [read_one_batch(capture.again(), 1)[0]["table"] for _ in tables]
    assert sorted(emptied) == tables
    assert capture.read() == []
    capture.source.close()
