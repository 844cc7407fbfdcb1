"""FileSource: files as a source of events, each record once, also while files grow and come."""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from realtime_pipeline.application.errors import InvalidEvents, PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.identity import (
    FilePosition,
    Stat,
    continues_a_line,
    decode_position,
    is_same,
    stat_of,
    with_head,
)
from realtime_pipeline.infrastructure.files.open_file import OpenFile
from realtime_pipeline.infrastructure.files.streams import STANDARD_INPUT, display_name, is_compressed, unreadable

POLL_S: Final = 0.2
SETTLED_S: Final = 2.0
"""A compressed or Parquet file that did not change for so long is whole."""
LINE_SETTLED_S: Final = 30.0
"""A last line without an end is whole, where the file did not change for so long."""
RETRY_S: Final = 30.0
"""A file of a folder that could not be read is tried again when it changes, or after so long."""
_HIDDEN: Final = (".", "~")
_PARTIAL: Final = (".tmp", ".part", ".crdownload", ".swp")
_PIPE: Final[Stat] = (-1, 0, 0)
_REST: Final[Stat] = (-2, 0, 0)
"""Of the rest of a file that lies under another name now."""


class FileSource(Source):
    """Reads files; each is a part, by its path.

    Without `folder` and `follow` it reads the files to their ends, and is ended. With `follow` it goes on with what is
    appended to them, whole lines only. With `folder` it reads the files of a folder in the order of their names, and
    those that come later, each once, also where it was renamed; names that begin with "." or "~" or end as partial
    files do are left out. A compressed or Parquet file is read when it has not changed for 2 s, a last line without an
    end after 30 s.

    A file with other content than was read is another file, and read from its start: before that, the rest of the file
    before is read where it lies in the same folder under another name.

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
        self._reading: tuple[Path, Stat, OpenFile] | None = None
        self._positions: dict[str, FilePosition] = {}
        self._read_to_end: dict[str, Stat] = {}
        self._due: deque[Path] = deque()
        self._renamed: dict[str, str] = {}
        self._retry_at_s: dict[str, float] = {}
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
        self._read_to_end, self._renamed, self._retry_at_s = {}, {}, {}
        self._due = deque(self._changed())
        self._is_ended = False

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read the next records of a file; wait for files to grow or to come."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._renamed:  # is stored before the file that has the old name now is read
                renamed, self._renamed = self._renamed, {}
                return SourceBatch((), renamed)
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
            except (Unavailable, InvalidEvents) as error:
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
        self._positions[_part(path)] = file.position
        if not records:
            file.close()
            self._reading = None
            if stat == _REST:
                self._due.append(path)
            elif stat_of(path) == stat and (not self._folder or self._is_whole(stat, LINE_SETTLED_S)):
                self._read_to_end[_part(path)] = stat
        if records or file.position != before:
            return SourceBatch(tuple(records), {_part(path): file.position.encoded()})
        return None

    def _pass_over(self, error: PipelineError) -> None:
        """Go on with the next file of a folder; a file that was named must be readable.

        Raises:
            Unavailable, InvalidEvents: it was named.
        """
        if self._folder is None:
            raise error
        path = self._due.popleft() if self._reading is None else self._reading[0]
        if self._reading is not None:
            self._reading[2].close()
            self._reading = None
        stat = stat_of(path)
        if stat is not None:
            self._read_to_end[_part(path)] = stat
            self._retry_at_s[_part(path)] = time.monotonic() + RETRY_S
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
        now_s, paths = time.monotonic(), list(self._listed())
        if self._folder is not None:
            self._follow_renames(paths)
        for path in paths:
            part, stat = _part(path), _PIPE if str(path) == STANDARD_INPUT else stat_of(path)
            if stat is None:
                if self._folder is None and not self._follow:
                    yield path  # the error is that of opening it
                continue
            if self._read_to_end.get(part) == stat and self._retry_at_s.get(part, now_s + 1) > now_s:
                continue
            self._retry_at_s.pop(part, None)
            if not self._may_grow or self._is_whole(stat, SETTLED_S) or not self._is_packed(path):
                yield path

    def _follow_renames(self, paths: Sequence[Path]) -> None:
        """Take over the positions of files that have another name now: they are found by their inode and content."""
        by_inode = {position.inode: part for part, position in self._positions.items() if position.head_bytes}
        for path in paths:
            part, stat = _part(path), stat_of(path)
            if part in self._positions or stat is None or stat[2] not in by_inode:
                continue
            before = by_inode[stat[2]]
            try:
                if is_same(path, stat, self._positions[before], self._is_packed(path)):
                    self._positions[part] = self._positions.pop(before)
                    self._renamed[part] = self._positions[part].encoded()
            except (OSError, UnrecoverableState):
                continue  # reading it says what is wrong

    def _is_packed(self, path: Path) -> bool:
        """Whether a file is whole or not to be read at all; one that cannot be opened is not known to be."""
        try:
            return self._format.name == "parquet" or is_compressed(path)
        except OSError:
            return False

    def _is_whole(self, stat: Stat, settled_s: float) -> bool:
        return time.time() - stat[1] / 1e9 >= settled_s

    def _opened(self, path: Path) -> tuple[Path, Stat, OpenFile]:
        if not path.is_file() and not path.is_dir() and (str(path) == STANDARD_INPUT or path.exists()):
            return path, _PIPE, self._open(path, FilePosition(), is_final=True)
        stat, known = stat_of(path), self._positions.get(_part(path), FilePosition())
        if stat is None:
            raise Unavailable(f"{display_name(str(path))} cannot be read: there is no such file")
        try:
            is_packed = self._is_packed(path)
            if known.head_bytes and not is_same(path, stat, known, is_packed):
                return self._opened_before(path, known)
            if continues_a_line(path, known):
                raise Unavailable(
                    f"{display_name(str(path))}: line {known.line - 1} was published without its end, which came later:"
                    " write files under a name that ends in .part, then rename them"
                )
            position = with_head(known, path, stat, is_packed)
        except OSError as error:
            raise unreadable(str(path), error) from None
        is_final = not self._follow and (self._folder is None or self._is_whole(stat, LINE_SETTLED_S))
        return path, stat, self._open(path, position, is_final)

    def _opened_before(self, path: Path, known: FilePosition) -> tuple[Path, Stat, OpenFile]:
        """Open what was written between the position and the file that is there now: the rest of the file that was read
        under this path before, then the files that were rotated after it; else the file that is there now."""
        rotated = [
            (stat, sibling)
            for sibling in path.parent.iterdir()
            if sibling.name.startswith(path.name) and sibling != path and (stat := stat_of(sibling)) is not None
        ]
        for stat, sibling in rotated:
            if stat[2] != known.inode or not is_same(sibling, stat, known, self._is_packed(sibling)):
                continue
            if stat[0] > known.offset:
                return path, _REST, self._open(sibling, known, is_final=True)
            later = min(((after, name) for after, name in rotated if after[1] > stat[1]), key=_changed_at, default=None)
            if later is not None:
                position = with_head(FilePosition(), later[1], later[0], self._is_packed(later[1]))
                return path, _REST, self._open(later[1], position, is_final=True)
        self._positions[_part(path)] = FilePosition()
        return self._opened(path)

    def _open(self, path: Path, position: FilePosition, is_final: bool) -> OpenFile:
        return OpenFile(str(path), self._format, position, is_final, self._with_digests)


def _changed_at(found: tuple[Stat, Path]) -> int:
    return found[0][1]


def _part(path: Path) -> str:
    """The name of a file's part: the path, or its bytes in hexadecimal where they are no text."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"bytes:{os.fsencode(text).hex()}"
    return text
