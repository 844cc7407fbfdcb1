"""What the documents of changes say, on a real server."""

from typing import Any

import pytest

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.captures import Capture
from tests.support.servers import postgres_execute, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

T = "public.t"
READ = {T: frozenset({"id"})}


@pytest.fixture
def settings() -> PostgresSettings:
    return postgres_settings()


def test_documents_of_a_table(settings: PostgresSettings) -> None:
    postgres_execute(
        settings,
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(10, 2), tags text[], at timestamptz)",
        "INSERT INTO t VALUES (1, 10.50, '{a,b}', '2026-01-02 03:04:05+01')",
    )
    capture = Capture(settings, READ).open()
    (record,) = capture.read()
    assert isinstance(record.value, dict)
    assert (record.id, record.origin) == ("public.t:1", "public.t key 1")
    assert set(record.value) == {"table", "op", "row", "lsn", "committed_at"}
    postgres_execute(
        settings,
        "INSERT INTO t (id) VALUES (2)",
        "UPDATE t SET price = 0.10 WHERE id = 2",
        "UPDATE t SET id = 3 WHERE id = 2",
        "DELETE FROM t WHERE id = 3",
        "TRUNCATE t",
    )
    none = {"price": None, "tags": None, "at": None}
    documents = capture.documents()
    assert [(found["op"], found["row"], found.get("old")) for found in documents] == [
        ("insert", {"id": 2, **none}, None),
        ("update", {"id": 2, **none, "price": documents[1]["row"]["price"]}, None),
        ("update", {"id": 3, **none, "price": documents[1]["row"]["price"]}, {"id": 2}),
        ("delete", {"id": 3}, None),
        ("truncate", {}, None),
    ]
    assert str(documents[1]["row"]["price"]) == "0.10"
    capture.source.close()


def test_changes_say_when_and_where_they_were_committed(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(settings, READ).open()
    capture.read()
    ((now_ms,),) = postgres_execute(settings, "SELECT (extract(epoch FROM now()) * 1000)::bigint")
    postgres_execute(settings, "INSERT INTO t VALUES (1), (2)")
    first, second = capture.read()
    assert isinstance(first.value, dict)
    assert isinstance(second.value, dict)
    assert first.value["lsn"] == second.value["lsn"]
    assert (first.id, second.id) == (f"{first.value['lsn']}-1", f"{first.value['lsn']}-2")
    assert first.origin == f"public.t lsn {first.value['lsn']}"
    assert 0 <= first.value["committed_at"] - int(str(now_ms)) < 10_000
    capture.source.close()


def test_replica_identity_full_gives_the_whole_row_before(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY, a int)", "ALTER TABLE t REPLICA IDENTITY FULL")
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(settings, "INSERT INTO t VALUES (1, 5)", "UPDATE t SET a = 6", "DELETE FROM t")
    assert capture.documents()[1:] == [
        {"table": T, "op": "update", "row": {"id": 1, "a": 6}, "old": {"id": 1, "a": 5}},
        {"table": T, "op": "delete", "row": {"id": 1, "a": 6}},
    ]
    capture.source.close()


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_a_large_value_that_an_update_leaves_unchanged_is_never_wrong(
    settings: PostgresSettings, identity: str
) -> None:
    """It is absent and named; with the whole row before, it is there."""
    postgres_execute(
        settings,
        "CREATE TABLE t (id int PRIMARY KEY, a int, large text)",
        "ALTER TABLE t ALTER large SET STORAGE EXTERNAL",
        f"ALTER TABLE t REPLICA IDENTITY {identity}",
        "INSERT INTO t VALUES (1, 1, repeat('x', 20000))",
    )
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(settings, "UPDATE t SET a = 2")
    (document,) = capture.documents()
    if identity == "FULL":
        assert document["row"] == {"id": 1, "a": 2, "large": "x" * 20_000}
        assert "unchanged" not in document
    else:
        assert (document["row"], document["unchanged"]) == ({"id": 1, "a": 2}, ["large"])
    capture.source.close()


def test_only_the_captured_tables_are_read_and_names_are_quoted(settings: PostgresSettings) -> None:
    postgres_execute(
        settings,
        'CREATE SCHEMA "My Shop"',
        'CREATE TABLE "My Shop"."Or""ders" ("Id" int PRIMARY KEY, "a ""b" text)',
        "CREATE TABLE other (id int PRIMARY KEY)",
        "CREATE PUBLICATION everything FOR ALL TABLES",
        """INSERT INTO "My Shop"."Or""ders" VALUES (1, 'x')""",
    )
    name = 'My Shop.Or"ders'
    everything = PostgresSettings(**{**_fields(settings), "publication": "everything"})
    capture = Capture(everything, {name: frozenset({"Id"})}).open()
    assert [document["row"] for document in capture.documents()] == [{"Id": 1, 'a "b': "x"}]
    postgres_execute(settings, "INSERT INTO other VALUES (1)", """UPDATE "My Shop"."Or""ders" SET "Id" = 2""")
    assert [document["table"] for document in capture.documents()] == [name]
    capture.source.close()


def _fields(settings: PostgresSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in PostgresSettings.__annotations__}


def test_partitions_are_read_as_their_table(settings: PostgresSettings) -> None:
    postgres_execute(
        settings,
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (10) TO (20)",
        "INSERT INTO t VALUES (15), (5)",
    )
    capture = Capture(settings, READ).open()
    assert [document["row"]["id"] for document in capture.documents()] == [5, 15]
    postgres_execute(settings, "INSERT INTO t VALUES (7)", "UPDATE t SET id = 12 WHERE id = 7")
    rows = [(document["table"], document["op"], document["row"]) for document in capture.documents()]
    assert rows == [(T, "insert", {"id": 7}), (T, "delete", {"id": 7}), (T, "insert", {"id": 12})]
    capture.source.close()


def test_a_domain_is_read_as_the_type_behind_it(settings: PostgresSettings) -> None:
    postgres_execute(
        settings,
        "CREATE DOMAIN public.cents AS int CHECK (value >= 0)",
        "CREATE DOMAIN public.price AS public.cents",
        "CREATE TABLE t (id public.cents PRIMARY KEY, p public.price)",
        "INSERT INTO t VALUES (2, 3), (10, 4)",
    )
    capture = Capture(settings, READ).open()
    assert [document["row"] for document in capture.documents()] == [{"id": 2, "p": 3}, {"id": 10, "p": 4}]
    postgres_execute(settings, "INSERT INTO t VALUES (11, 5)")
    assert [document["row"] for document in capture.documents()] == [{"id": 11, "p": 5}]
    capture.source.close()


def test_generated_columns_are_in_no_document(settings: PostgresSettings) -> None:
    """The stream does not carry them."""
    postgres_execute(
        settings,
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (2 * id) STORED)",
        "INSERT INTO t VALUES (1)",
    )
    capture = Capture(settings, READ).open()
    postgres_execute(settings, "INSERT INTO t VALUES (2)")
    assert [document["row"] for document in capture.documents()] == [{"id": 1}, {"id": 2}]
    capture.source.close()


def test_a_new_column_is_carried_along(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(
        settings, "INSERT INTO t VALUES (1)", "ALTER TABLE t ADD COLUMN note text", "INSERT INTO t VALUES (2, 'new')"
    )
    assert [document["row"] for document in capture.documents()] == [{"id": 1}, {"id": 2, "note": "new"}]
    capture.source.close()


@pytest.mark.parametrize("change", ["DROP COLUMN price", "RENAME COLUMN price TO cost"])
def test_a_column_that_the_mapping_reads_is_missed_before_anything_after_it(
    settings: PostgresSettings, change: str
) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY, price int)")
    capture = Capture(settings, {T: frozenset({"id", "price"})}).open()
    capture.read()
    postgres_execute(
        settings,
        "INSERT INTO t VALUES (1, 1)",
        f"ALTER TABLE t {change}",
        "INSERT INTO t (id) VALUES (2)",
        "INSERT INTO t (id) VALUES (3)",
    )
    missing = r"^public\.t has no column price, which the mapping reads: change the mapping"
    with pytest.raises(UnrecoverableState, match=missing):
        capture.documents()
    assert [record.origin.split()[0] for record in capture.published] == [T]  # the row before, and none after
    with pytest.raises(UnrecoverableState, match=missing):
        capture.again()
    capture.source.close()
    assert [document["row"]["id"] for document in capture.again(READ).documents()] == [2, 3]
    capture.source.close()


def test_a_renamed_table_is_missed(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(settings, "ALTER TABLE t RENAME TO u", "INSERT INTO u VALUES (1)")
    with pytest.raises(UnrecoverableState, match=r"public\.t was renamed to public\.u: capture it under a new name"):
        capture.read()
    capture.source.close()


def test_a_table_that_is_dropped_and_created_again_is_missed(settings: PostgresSettings) -> None:
    postgres_execute(settings, "CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(settings, READ).open()
    capture.read()
    postgres_execute(
        settings,
        "DROP TABLE t",
        "CREATE TABLE t (id int PRIMARY KEY)",
        f"ALTER PUBLICATION {settings.publication} ADD TABLE t",
        "INSERT INTO t VALUES (1)",
    )
    with pytest.raises(UnrecoverableState, match=r"public\.t was dropped and created again"):
        capture.read()
    with pytest.raises(UnrecoverableState, match=r"public\.t was dropped, renamed or taken out of publication"):
        capture.again()
    capture.source.close()
