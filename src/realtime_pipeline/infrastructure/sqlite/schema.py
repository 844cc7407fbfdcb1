"""The schema of a file: made where there is none, upgraded where it is older, refused where it is newer.

`schema.sql` makes the newest schema; `upgrade_N.sql` makes schema N of the one before it. The number is SQLite's own
`user_version`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from realtime_pipeline.application.errors import NewerRelease, Unavailable

SCHEMA_VERSION: Final = 7
OLDEST_VERSION: Final = 4
"""The schema of the oldest release whose files are brought up."""


def refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """See that a file is none of another program's, nor a newer release's, before anything in it is changed.

    Raises:
        NewerRelease: a newer release has written the file.
        Unavailable: another program has.
    """
    if _has_tables(connection) and version_of(connection) == 0:  # in this order: ours come with a version
        raise Unavailable(f"{path} is another program's database; name another file")
    if version_of(connection) > SCHEMA_VERSION:
        check_version(connection, path)


def ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Give a file the schema of this release: every step that it lacks, in one transaction.

    Raises:
        NewerRelease: a newer release has written the file.
        Unavailable: a release wrote it from which there are no steps.
    """
    if version_of(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        _bring_up(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # where the disk is full, there is nothing left to take back
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file has this release's schema.

    Raises:
        NewerRelease: a newer release has brought it up, perhaps while this program had it open.
        Unavailable: it has an older one.
    """
    version = version_of(connection)
    if version > SCHEMA_VERSION:
        raise NewerRelease(
            f"{path} was written by a newer release (schema {version}, this release has {SCHEMA_VERSION}): "
            "upgrade this program"
        )
    if version != SCHEMA_VERSION:
        raise Unavailable(
            f"{path} was made by a release too old for this one (schema {version}, this release reads {OLDEST_VERSION} "
            f"to {SCHEMA_VERSION}); use a new file"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """The schema's number; 0 for a file that says none."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection)  # somebody else may have been quicker
    if version == 0:
        _run(connection, "schema.sql")
    elif OLDEST_VERSION <= version < SCHEMA_VERSION:
        for step in range(version + 1, SCHEMA_VERSION + 1):
            _run(connection, f"upgrade_{step}.sql")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    check_version(connection, path)


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in _statements(files(__package__).joinpath(script).read_text("utf-8")):
        connection.execute(statement)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements, since `executescript` would end the transaction it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
