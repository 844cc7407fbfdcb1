"""A file of an earlier release is migrated in place in one transaction; a file of a newer release is refused."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.release_fixture import EMBEDDED, later_events, opened, settings_for, unpack
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import NewerRelease, Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.schema import OLDEST_VERSION, SCHEMA_VERSION
from tests.support.histories import append, differences, event, state
from tests.support.servers import ROOT

BEFORE = ROOT / "tests/releases/before-versions" / EMBEDDED
"""A file of the oldest schema version that can be migrated."""

KILLED_MIGRATION = """
import os, signal, sys
from pathlib import Path
from realtime_pipeline.infrastructure.sqlite import database, schema
run = schema._run_script
def run_and_die(connection, script):
    run(connection, script)
    os.kill(os.getpid(), signal.SIGKILL)
schema._run_script = run_and_die
database.Database(Path(sys.argv[1])).connection()
"""


def version_in(file: Path) -> int:
    connection = sqlite3.connect(file)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


def structure(file: Path) -> dict[str, object]:
    """Return the tables and indexes with their columns."""
    connection = sqlite3.connect(file)
    listed = "SELECT name, type FROM sqlite_master ORDER BY name"
    found: dict[str, object] = {}
    for name, kind in connection.execute(listed).fetchall():
        columns = connection.execute(f"PRAGMA {kind}_xinfo({name})").fetchall()
        found[name] = kind, sorted((column[1:] for column in columns), key=repr)
    connection.close()
    return found


def test_a_migrated_file_has_the_structure_of_a_new_file(tmp_path: Path) -> None:
    unpack(BEFORE, tmp_path / "old.db")
    assert version_in(tmp_path / "old.db") == OLDEST_VERSION
    for name in ("old.db", "new.db"):
        database = Database(tmp_path / name)
        database.connection()
        database.close()
    assert version_in(tmp_path / "old.db") == SCHEMA_VERSION
    assert structure(tmp_path / "old.db") == structure(tmp_path / "new.db")


def test_a_failed_migration_leaves_the_file_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    unpack(BEFORE, file)
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE letters_of_customers (name TEXT)")  # the name of an index of the migration
    connection.close()
    before = structure(file)
    with pytest.raises(Unavailable, match=r"already .*letters_of_customers"):
        Database(file).connection()
    assert (version_in(file), structure(file)) == (OLDEST_VERSION, before)


def test_a_killed_migration_leaves_the_file_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    unpack(BEFORE, file)
    before = structure(file)
    killed = subprocess.run([sys.executable, "-c", KILLED_MIGRATION, str(file)], timeout=60, check=False)
    assert killed.returncode == -9
    assert (version_in(file), structure(file)) == (OLDEST_VERSION, before)
    Database(file).connection()
    assert version_in(file) == SCHEMA_VERSION


@pytest.mark.parametrize("has_tables", [False, True])
def test_a_file_of_a_newer_release_is_refused_and_left_unchanged(has_tables: bool, tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    connection = sqlite3.connect(file)
    if has_tables:
        connection.execute("CREATE TABLE customers (customer_id TEXT)")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(NewerRelease, match=r"shop\.db was written by a newer release \(schema 99, .*: upgrade this"):
        Database(file).connection()
    assert file.read_bytes() == before


def test_a_file_too_old_to_migrate_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute(f"PRAGMA user_version = {OLDEST_VERSION - 1}")
    connection.close()
    with pytest.raises(Unavailable, match=r"too old for this one .*; use a new file"):
        Database(tmp_path / "shop.db").connection()
    assert version_in(tmp_path / "shop.db") == OLDEST_VERSION - 1


def test_a_program_writes_nothing_after_a_newer_release_has_migrated_its_file(tmp_path: Path) -> None:
    """The program had the file open during the migration; neither publishing nor processing writes anything."""
    file = tmp_path / "shop.db"
    with Pipeline(Settings(database=str(file))) as older:
        older.publish([event("a", product="mug")])
        older.process()
        older.publish([event("b", product="mug")])
        connection = sqlite3.connect(file)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.close()
        with pytest.raises(NewerRelease, match="upgrade this program"):
            older.publish([event("c", product="mug")])
        with pytest.raises(NewerRelease, match="upgrade this program"):
            older.process()
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (2,)
    assert connection.execute("SELECT sum(position) FROM cells").fetchone() == (1,)
    connection.close()


def test_a_program_of_the_oldest_release_cannot_append_after_a_migration(tmp_path: Path) -> None:
    """It does not check the schema version again, and would not update the table of the log's partitions."""
    file = tmp_path / "shop.db"
    unpack(BEFORE, file)
    older = sqlite3.connect(file)
    (last,) = older.execute("SELECT max(position) FROM records WHERE partition = 0").fetchone()
    with opened(settings_for(file, None)) as newer:
        newer.process()
        with pytest.raises(sqlite3.OperationalError, match="has 7 columns but 6 values were supplied"):
            older.execute("INSERT INTO records VALUES (0, ?, NULL, '{}', 1, NULL)", (last + 1,))
        older.close()
        append(newer, later_events())
        newer.process()
        assert differences(newer) == []
        newer.backup(tmp_path / "copy.db")


@pytest.mark.parametrize(
    ("gone", "first", "words"),
    [
        ("position < 3", 3, "the log no longer holds what came before position 3 of partition 0"),
        (
            "position = 3",
            0,
            "partition 0: of 30 records from position 0 on the log holds 29; bring .* back from a back",
        ),
        ("position < 30", 30, "the log no longer holds what came before position 30 of partition 0"),
    ],
)
def test_a_rebuild_is_refused_if_records_were_deleted_before_the_migration(
    gone: str, first: int, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.db"
    unpack(BEFORE, file)
    older = sqlite3.connect(file, isolation_level=None)
    older.execute(f"DELETE FROM records WHERE partition = 0 AND {gone}")  # noqa: S608 - text of this test
    older.execute("UPDATE cells SET position = 30 WHERE partition = 0")
    older.execute("UPDATE sources SET position = 30 WHERE partition = 0")
    older.close()
    with opened(settings_for(file, None)) as pipeline:
        assert pipeline.container.log().bounds([0]) == {0: (first, 30)}
        before = state(pipeline)
        with pytest.raises(UnrecoverableState, match=words):
            pipeline.rebuild()
        assert state(pipeline) == before
