"""The schema of a file: created in a new file, migrated in an older one, refused in a newer one.

`schema.sql` creates the newest schema; `upgrade_N.sql` is the migration step from schema version N - 1 to N. SQLite's
`user_version` holds the schema version.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from realtime_pipeline.application.errors import NewerRelease, Unavailable

SCHEMA_VERSION: Final = 11
OLDEST_VERSION: Final = 4
"""The schema version of the oldest release whose files can be migrated."""


def check_ownership(connection: sqlite3.Connection, path: Path) -> None:
    """Check, before anything is changed, that neither another program nor a newer release has written a file.

    Raises:
        NewerRelease: a newer release has written the file.
        Unavailable: another program has written it.
    """
    if (
        _has_tables(connection) and schema_version(connection) == 0
    ):  # in this order: another process may create our schema, with its version, in between
        raise Unavailable(f"{path} is another program's database; name another file")
    if schema_version(connection) > SCHEMA_VERSION:
        check_version(connection, path)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Create or migrate a file's schema: run all migration steps that it lacks in one transaction.

    Raises:
        NewerRelease: a newer release has written the file.
        Unavailable: the file is too old to be migrated.
    """
    if schema_version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        _run_steps(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # on a full disk SQLite has already rolled back
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a file has the schema version of this release.

    Raises:
        NewerRelease: a newer release has migrated the file, perhaps while this program had it open.
        Unavailable: its schema version is older.
    """
    version = schema_version(connection)
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


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a file; 0 for a new file."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _run_steps(connection: sqlite3.Connection, path: Path) -> None:
    version = schema_version(connection)  # again, now in a transaction: another process may have migrated it meanwhile
    if version == 0:
        _run_script(connection, "schema.sql")
    elif OLDEST_VERSION <= version < SCHEMA_VERSION:
        for step in range(version + 1, SCHEMA_VERSION + 1):
            _run_script(connection, f"upgrade_{step}.sql")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    check_version(connection, path)


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    for statement in _statements(files(__package__).joinpath(script).read_text("utf-8")):
        connection.execute(statement)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements, since `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
