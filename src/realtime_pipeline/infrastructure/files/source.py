"""FileSource: files as a source of events, each record once, also while files grow and come."""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from realtime_pipeline.application.errors import PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.open_file import (
    HEAD_BYTES,
    FilePosition,
    OpenFile,
    decode_position,
    head_of,
)
from realtime_pipeline.infrastructure.files.streams import STANDARD_INPUT, display_name, is_compressed, unreadable

POLL_S: Final = 0.2
SETTLED_S: Final = 2.0
"""A file that did not change for so long is whole."""
_HIDDEN: Final = (".", "~")
_PARTIAL: Final = (".tmp", ".part", ".crdownload", ".swp")

_Stat = tuple[int, int, int]
"""Size, time of the last change in ns, and inode of a file."""
_PIPE: Final[_Stat] = (-1, 0, 0)


class FileSource(Source):
    """Reads files; each is a part, by its path.

    Without `folder` and `follow` it reads the files to their ends, and is ended. With `follow` it goes on with what is
    appended to them, whole lines only. With `folder` it reads the files of a folder in the order of their names, and
    those that come later, each once; names that begin with "." or "~" or end as partial files do are left out, and a
    compressed file, a Parquet file or a last line without an end is read when the file has not changed for 2 s.

    A file that begins differently than it did is another file, and read from its start: before that, the rest of the
    one before is read where it lies in the same folder under another name.

    The ids of records have a digest of their content, since other files may have the same name: without a mapping,
    which names events by them, `with_digests=False` saves the time.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[str | Path],
        format_: FileFormat,
        folder: Path | None = None,
        follow: bool = False,
        with_digests: bool = True,
    ) -> None:
        self._name = name
        self._paths = [Path(path) for path in paths]
        self._format = format_
        self._folder = folder
        self._follow = follow
        self._with_digests = with_digests
        self._reading: tuple[Path, _Stat, OpenFile] | None = None
        self._positions: dict[str, FilePosition] = {}
        self._read_to_end: dict[str, _Stat] = {}
        self._due: deque[Path] = deque()
        self._is_ended = False
        self._warning = ""

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    @property
    def is_ended(self) -> bool:
        """Whether all files are read; never, where more may come."""
        return self._is_ended

    def open(self, positions: Positions) -> None:
        """Go on behind the positions; a file without one begins at its start."""
        self.close()
        self._positions = {part: decode_position(part, text) for part, text in positions.items()}
        self._read_to_end = {}
        self._due = deque(self._changed())
        self._is_ended = False

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read the next records of a file; wait for files to grow or to come."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            batch = self._read_due(records_max)
            if batch is not None or self._is_ended:
                return batch
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(POLL_S, left_s))
            self._due = deque(self._changed())

    def acknowledge(self, positions: Positions) -> None:
        """Do nothing: files stay as they are."""

    def lag(self) -> str:
        """How many files are to be read."""
        waiting = len(self._due) + (self._reading is not None)
        return f"{counted(waiting, 'file')} to read" if self._folder is not None and waiting else ""

    def warning(self) -> str:
        """Why the last file that could not be read could not."""
        return self._warning

    def close(self) -> None:
        """Close the file that is read."""
        if self._reading is not None:
            self._reading[2].close()
        self._reading, self._due = None, deque()

    @property
    def _may_grow(self) -> bool:
        return self._follow or self._folder is not None

    def _read_due(self, records_max: int) -> SourceBatch | None:
        """Read from the files that have changed; None when they are read to their ends."""
        while self._reading is not None or self._due:
            try:
                if self._reading is None:
                    self._reading = self._opened(self._due[0])
                    self._due.popleft()
                    continue
                batch = self._read_open(records_max)
            except Unavailable as error:
                self._pass_over(error)
                continue
            if batch is not None:
                return batch
        self._is_ended = not self._may_grow
        return None

    def _read_open(self, records_max: int) -> SourceBatch | None:
        """Read from the open file; close it at its end."""
        if self._reading is None:
            return None
        path, stat, file = self._reading
        before = file.position
        records = file.read(records_max)
        self._positions[str(path)] = file.position
        if not records:
            file.close()
            self._reading = None
            if _stat_of(path) == stat and (self._is_whole(stat) or not self._folder):
                self._read_to_end[str(path)] = stat
        if records or file.position != before:
            return SourceBatch(tuple(records), {str(path): file.position.encoded()})
        return None

    def _pass_over(self, error: PipelineError) -> None:
        """Go on with the next file of a folder; a file that was named must be readable.

        Raises:
            Unavailable: it was named.
        """
        if self._folder is None:
            raise error
        path = self._due.popleft() if self._reading is None else self._reading[0]
        if self._reading is not None:
            self._reading[2].close()
            self._reading = None
        stat = _stat_of(path)
        if stat is not None:
            self._read_to_end[str(path)] = stat  # until it changes
        self._warning = str(error)

    def _listed(self) -> Iterator[Path]:
        if self._folder is None:
            yield from self._paths
            return
        try:
            entries = sorted((entry.name, entry.path) for entry in os.scandir(self._folder) if entry.is_file())
        except OSError as error:
            raise unreadable(str(self._folder), error) from None
        for name, path in entries:
            if not name.startswith(_HIDDEN) and not name.endswith(_PARTIAL):
                yield Path(path)

    def _changed(self) -> Iterator[Path]:
        """The files that may have something to read."""
        for path in self._listed():
            stat = _PIPE if str(path) == STANDARD_INPUT else _stat_of(path)
            if stat is None:
                if self._folder is None and not self._follow:
                    yield path  # the error is that of opening it
                continue
            if self._read_to_end.get(str(path)) == stat:
                continue
            if self._may_grow and not self._is_whole(stat) and (self._format.name == "parquet" or is_compressed(path)):
                continue
            yield path

    def _is_whole(self, stat: _Stat) -> bool:
        return time.time() - stat[1] / 1e9 >= SETTLED_S

    def _opened(self, path: Path) -> tuple[Path, _Stat, OpenFile]:
        if not path.is_file() and not path.is_dir() and (str(path) == STANDARD_INPUT or path.exists()):
            return (
                path,
                _PIPE,
                OpenFile(str(path), self._format, FilePosition(), is_final=True, with_digests=self._with_digests),
            )
        stat = _stat_of(path)
        known = self._positions.get(str(path), FilePosition())
        try:
            if stat is None or (known.head_bytes and not self._is_same(path, stat, known)):
                return self._opened_before(path, known, stat)
            head_bytes = min(HEAD_BYTES, stat[0])
            position = msgspec.structs.replace(
                known, head=head_of(path, head_bytes), head_bytes=head_bytes, inode=stat[2]
            )
        except OSError as error:
            raise unreadable(str(path), error) from None
        is_final = not self._follow and (self._folder is None or self._is_whole(stat))
        return path, stat, OpenFile(str(path), self._format, position, is_final, self._with_digests)

    def _opened_before(self, path: Path, known: FilePosition, stat: _Stat | None) -> tuple[Path, _Stat, OpenFile]:
        """Open the file that was read under this path before, to read its rest; else the one that is there now."""
        if stat is None:
            raise Unavailable(f"{display_name(str(path))} cannot be read: there is no such file")
        for sibling in path.parent.iterdir():
            found = _stat_of(sibling)
            if found is not None and found[2] == known.inode and self._is_same(sibling, found, known):
                file = OpenFile(str(sibling), self._format, known, is_final=True, with_digests=self._with_digests)
                if found[0] > known.offset:
                    return path, (-1, -1, -1), file
                file.close()
        self._positions[str(path)] = FilePosition()
        return self._opened(path)

    def _is_same(self, path: Path, stat: _Stat, known: FilePosition) -> bool:
        """Whether a file begins as it did when it was read.

        Raises:
            UnrecoverableState: it does, and is shorter than what was read of it.
        """
        if stat[0] < known.head_bytes or head_of(path, known.head_bytes) != known.head:
            return False
        if self._format.name != "parquet" and not is_compressed(path) and stat[0] < known.offset:
            raise UnrecoverableState(
                f"{display_name(str(path))} has {stat[0]:,} bytes, and {known.offset:,} of it were published: bring it "
                "back, or give it another name to publish it from its start"
            )
        return True


def _stat_of(path: Path) -> _Stat | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
