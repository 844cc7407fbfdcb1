"""A sink that is a folder of JSON-lines files."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from realtime_pipeline.application.errors import Damaged, PositionMismatch, Unavailable, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink
from realtime_pipeline.infrastructure.atomic_file import PART, name_part
from realtime_pipeline.infrastructure.codecs.formats import Format

MANIFEST: Final = "sink.json"
FOLDER: Final = Format("the folder's sink.json", 1, 1)
LINE_FORMAT: Final = 1
"""The number of the format of lines, in each of them."""

_SEGMENT: Final = re.compile(r"events-(\d{5})-(\d{20})-(\d{20})\.jsonl", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode


class _Manifest(msgspec.Struct):
    """What a folder says of itself."""

    format: list[int]
    log: str


class _Segment(NamedTuple):
    """A file of the events among the records [begin, end) of a partition."""

    partition: int
    begin: int
    end: int

    @property
    def name(self) -> str:
        return f"events-{self.partition:05}-{self.begin:020}-{self.end:020}.jsonl"


class FileSink(Sink):
    """Writes one file for each batch, named by partition and positions: `events-PARTITION-FROM-TO.jsonl`.

    The position of a partition is the end of its last file. A file gets its name when it is complete and on the disk;
    other files in the folder are left alone. While a process writes, it has the folder locked (`flock`), so that of two
    batches that begin at the same position one is refused. Processes that are killed may leave files ending in `.part`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Name a folder; it is made when something is delivered.

        Args:
            folder: where the files lie. One folder has the events of one log.
        """
        self._folder = Path(folder)

    def bind(self, log_id: str) -> None:
        """Make the folder with its manifest, or compare that."""
        with self._translated():
            if not self._folder.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                _sync(self._folder.parent)
        with self._locked():
            manifest = self._manifest()
            if manifest is None:
                if self._segments():
                    raise Damaged(f"{self._folder} has events and no {MANIFEST}: bring it back, or name a new folder")
                written = _Manifest([FOLDER.written, FOLDER.read_by], log_id)
                self._write(self._folder / MANIFEST, _encode(written) + b"\n")
            elif manifest.log != log_id:
                raise WrongLog(
                    f"{self._folder} has the events of log {manifest.log}, not of {log_id}: name a new folder"
                )

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the names of the files. The lock keeps writers out: a listing may miss a file written meanwhile."""
        with self._locked():
            return self._ends(partitions)

    def _ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        segments = self._segments()
        ends = {partition: listed[-1].end for partition, listed in segments.items()}
        return {partition: ends.get(partition, 0) for partition in partitions}

    def write(self, delivery: Delivery) -> None:
        """Write a file, unless the last one of the partition ends elsewhere."""
        lines = b"".join(_line(delivery.partition, row) for row in delivery.rows)
        with self._locked():
            position = self._ends([delivery.partition])[delivery.partition]
            if position != delivery.from_position:
                raise PositionMismatch({delivery.partition: position})
            segment = _Segment(delivery.partition, delivery.from_position, delivery.to_position)
            self._write(self._folder / segment.name, lines)

    def _manifest(self) -> _Manifest | None:
        file = self._folder / MANIFEST
        try:
            written = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            FOLDER.check(msgspec.json.decode(written, type=dict[str, object]).get("format", ""))
            return msgspec.json.decode(written, type=_Manifest)
        except (Damaged, ValueError):
            raise Damaged(f"{file} is damaged: bring it back, or name a new folder") from None

    def _segments(self) -> dict[int, list[_Segment]]:
        """The files of each partition, which follow each other.

        Raises:
            UnrecoverableState: some do not.
        """
        found: dict[int, list[_Segment]] = {}
        with os.scandir(self._folder) as entries:
            matches = [_SEGMENT.fullmatch(entry.name) for entry in entries]
        for segment in sorted(_Segment(*map(int, match.groups())) for match in matches if match is not None):
            found.setdefault(segment.partition, []).append(segment)
        for segments in found.values():
            for before, after in pairwise(segments):
                if before.end != after.begin:
                    what = "records are missing" if before.end < after.begin else "records are there twice"
                    raise UnrecoverableState(
                        f"{what} in {self._folder} between {before.name} and {after.name}: bring back the folder as it "
                        "was delivered, or name a new one"
                    )
        return found

    def _write(self, file: Path, content: bytes) -> None:
        """Write a file that has its name only once it is complete, and is durable on return."""
        part = file.with_name(f"{file.name}.{uuid4().hex[:8]}{PART}")
        try:
            with part.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            name_part(part, file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _sync(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing; the lock ends with the process."""
        import fcntl  # noqa: PLC0415 - not on every system, and the library is imported on each

        with self._translated():
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"{error.filename or self._folder} cannot be used: {error.strerror}") from None


def _line(partition: int, row: Row) -> bytes:
    columns = {"format": LINE_FORMAT, "partition": partition, "position": row.position, **row.columns()}
    return _encode(columns | {"event": msgspec.Raw(row.document)}) + b"\n"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
