"""Backups of the SQLite file, by SQLite's online backup API."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.backups import Backup, Backups
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.infrastructure.atomic_file import check_free, name_part
from realtime_pipeline.infrastructure.sqlite.database import Database, expand_user

STEP_PAGES = 1_024
"""How many pages are copied at a time: 4 MB."""

PART_SUFFIX = ".backup-part"
"""The suffix of an incomplete backup; a killed process leaves such a file, which may be deleted."""

_POSITIONS = (
    "SELECT 'cell', partition, position FROM cells UNION ALL SELECT 'view', partition, position FROM sources"
    " UNION ALL SELECT 'output', partition, position FROM output_positions ORDER BY 1, 2"
)
_MISMATCHES = (
    "SELECT partition FROM cells LEFT JOIN log_partitions USING (partition) WHERE"
    " position <> (SELECT position FROM sources WHERE sources.partition = cells.partition)"
    " OR position NOT BETWEEN ifnull(first, 0) AND ifnull(next, 0)"
    " UNION ALL SELECT partition FROM log_partitions"
    " WHERE next - first <> (SELECT count(*) FROM records WHERE records.partition = log_partitions.partition)"
)


class SqliteBackups(Backups):
    """Copies the file as it is at one moment, while other connections read and write.

    One read transaction covers the whole copy, so that no write restarts it; the WAL grows until the copy is complete.
    The copy gets a temporary name, is checked and synced, and only then gets the backup's name.
    """

    def __init__(self, database: Database, observer: StageObserver) -> None:
        self._database = database
        self._observer = observer

    def write(self, file: str) -> Backup:
        """Copy the file, check and sync the copy, and give it the backup's name."""
        target = self._target(file)
        part = target.with_name(f"{target.name}.{uuid4().hex[:8]}{PART_SUFFIX}")  # no other backup uses this name
        if not self._database.path.exists():
            raise Unavailable(f"there is no database {self._database.path} yet: nothing to back up")
        with _translate_errors(target):
            for name in (
                target.name,
                *_side_files(target.name),
            ):  # SQLite would use existing side files as the backup's
                check_free(target.with_name(name))
            connections, source = self._database.begin_read()
            with closing(connections), connections.lock:
                _create_part(part, self._database.path)
                try:
                    records, customers = self._copy(source, part)
                    _fsync(part)
                    name_part(part, target)
                except BaseException:
                    _delete_part(part)
                    raise
            _fsync(target.parent)
            return Backup(str(target), target.stat().st_size, records, customers)

    def _target(self, file: str) -> Path:
        """Return the path of a backup.

        Raises:
            Unavailable: it is not the name of a file, or SQLite uses it for a side file of the database.
        """
        if not file or "\0" in file:
            raise Unavailable(f"a backup cannot be written to {file!r}: name a file")
        target = expand_user(Path(file))
        if not target.name:
            raise Unavailable(f"{file} is a folder: name a file in it")
        database = Path(os.path.realpath(self._database.path))
        if target.name in _side_files(database.name) and Path(os.path.realpath(target.parent)) == database.parent:
            raise Unavailable(f"{target} is a name that SQLite uses for {self._database.path}: name another file")
        return target

    def _copy(self, source: sqlite3.Connection, part: Path) -> tuple[int, int]:
        """Copy page by page; check that the copy is intact and has the positions of the source."""

        def report(_status: int, remaining: int, total: int) -> None:
            self._observer.reached(Stage.BACKING_UP, total - remaining)

        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            source.backup(copy, pages=STEP_PAGES, progress=report)
            positions = source.execute(_POSITIONS).fetchall()
            damage = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if damage != "ok":
                raise Unavailable(f"the copy of {self._database.path} is damaged, as the file may be: {damage}")
            mismatches = copy.execute(_MISMATCHES).fetchall()
            if copy.execute(_POSITIONS).fetchall() != positions or mismatches:
                raise Unavailable(
                    f"the copy of {self._database.path} has positions that do not match its log: {mismatches}"
                )
            records: int = copy.execute("SELECT count(*) FROM records").fetchone()[0]
            customers: int = copy.execute("SELECT count(*) FROM customers").fetchone()[0]
        return records, customers


def _create_part(part: Path, source: Path) -> None:
    """Create the file with the permissions of its source: it holds the same customers."""
    mode = source.stat().st_mode & 0o777 | 0o200
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    part.chmod(mode)


def _side_files(name: str) -> Sequence[str]:
    """Return the names of the side files that SQLite creates for a database of this name."""
    return [name + ending for ending in ("-journal", "-wal", "-shm")]


def _delete_part(part: Path) -> None:
    for name in (part.name, *_side_files(part.name)):
        with suppress(OSError):
            part.with_name(name).unlink()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translate_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the backup {target} was not written: {error}") from error
    except OSError as error:
        raise Unavailable(f"the backup {target} was not written: {error.strerror}") from error
