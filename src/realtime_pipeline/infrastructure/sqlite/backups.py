"""Backups of the SQLite file, by SQLite's online backup."""

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
from realtime_pipeline.infrastructure.sqlite.database import Database, expanded

STEP_PAGES = 1_024
"""How much is copied at a time: 4 MB."""

PART = ".backup-part"
"""What the name of a backup ends with that is not complete. One that is killed leaves it, for somebody to delete."""

_STANDS = (
    "SELECT 'cell', partition, position FROM cells UNION ALL SELECT 'view', partition, position FROM sources"
    " UNION ALL SELECT 'output', partition, position FROM output_positions ORDER BY 1, 2"
)
_ASTRAY = (
    "SELECT partition FROM cells LEFT JOIN log_partitions USING (partition) WHERE"
    " position <> (SELECT position FROM sources WHERE sources.partition = cells.partition)"
    " OR position NOT BETWEEN ifnull(first, 0) AND ifnull(next, 0)"
    " UNION ALL SELECT partition FROM log_partitions"
    " WHERE next - first <> (SELECT count(*) FROM records WHERE records.partition = log_partitions.partition)"
)


class SqliteBackups(Backups):
    """Copies the file as it was at one moment, while others go on.

    The copy is read in one transaction, so that it need not begin again whenever somebody writes; the write-ahead log
    grows until it is done. It is written beside its place, checked, synced, and only then given its name.
    """

    def __init__(self, database: Database, observer: StageObserver) -> None:
        self._database = database
        self._observer = observer

    def write(self, file: str) -> Backup:
        """Copy, check, sync, and put the copy in its place."""
        target = self._target(file)
        part = target.with_name(f"{target.name}.{uuid4().hex[:8]}{PART}")  # shared with no other backup
        if not self._database.path.exists():
            raise Unavailable(f"there is no database {self._database.path} yet: nothing to back up")
        with _words_for(target):
            for name in (target.name, *_beside(target.name)):  # SQLite would take files beside it for the backup's own
                check_free(target.with_name(name))
            frozen, source = self._database.frozen()
            with closing(frozen), frozen.in_use:
                _prepare(part, self._database.path)
                try:
                    records, customers = self._copied(source, part)
                    _sync(part)
                    name_part(part, target)
                except BaseException:
                    _remove(part)
                    raise
            _sync(target.parent)
            return Backup(str(target), target.stat().st_size, records, customers)

    def _target(self, file: str) -> Path:
        """The path of a backup.

        Raises:
            Unavailable: it is no name of a file, or that of a file which SQLite makes beside the database.
        """
        if not file or "\0" in file:
            raise Unavailable(f"a backup cannot be written to {file!r}: name a file")
        target = expanded(Path(file))
        if not target.name:
            raise Unavailable(f"{file} is a folder: name a file in it")
        database = Path(os.path.realpath(self._database.path))
        if target.name in _beside(database.name) and Path(os.path.realpath(target.parent)) == database.parent:
            raise Unavailable(f"{target} is a name that SQLite uses for {self._database.path}: name another file")
        return target

    def _copied(self, source: sqlite3.Connection, part: Path) -> tuple[int, int]:
        """Copy page by page, then see that the copy is whole and stands where the file stood."""

        def tell(_status: int, remaining: int, total: int) -> None:
            self._observer.reached(Stage.BACKING_UP, total - remaining)

        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            source.backup(copy, pages=STEP_PAGES, progress=tell)
            stands = source.execute(_STANDS).fetchall()
            damage = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if damage != "ok":
                raise Unavailable(f"the copy of {self._database.path} is damaged, as the file may be: {damage}")
            astray = copy.execute(_ASTRAY).fetchall()
            if copy.execute(_STANDS).fetchall() != stands or astray:
                raise Unavailable(f"the copy of {self._database.path} does not stand where its log does: {astray}")
            records: int = copy.execute("SELECT count(*) FROM records").fetchone()[0]
            customers: int = copy.execute("SELECT count(*) FROM customers").fetchone()[0]
        return records, customers


def _prepare(part: Path, source: Path) -> None:
    """Make the file with the rights of the one it is copied from: it holds the same customers."""
    mode = source.stat().st_mode & 0o777 | 0o200
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    part.chmod(mode)


def _beside(name: str) -> Sequence[str]:
    """What SQLite calls the files that it makes beside one of that name."""
    return [name + ending for ending in ("-journal", "-wal", "-shm")]


def _remove(part: Path) -> None:
    for name in (part.name, *_beside(part.name)):
        with suppress(OSError):
            part.with_name(name).unlink()


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _words_for(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the backup {target} was not written: {error}") from error
    except OSError as error:
        raise Unavailable(f"the backup {target} was not written: {error.strerror}") from error
