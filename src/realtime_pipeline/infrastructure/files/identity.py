"""Whether a file is the one that was read: by how it begins, and by what lies before the position."""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from realtime_pipeline.application.errors import NewerRelease, UnrecoverableState
from realtime_pipeline.infrastructure.files.streams import display_name

BEGIN_BYTES: Final = 1_024
PACKED_BYTES: Final = 65_536
"""How much of a file is compared: of a compressed or Parquet file more, since nothing before the position is."""
_FORMAT: Final = 1
_encode: Final = msgspec.json.Encoder().encode

Stat = tuple[int, int, int]
"""Size, time of the last change in ns, and inode of a file."""


class FilePosition(msgspec.Struct, frozen=True):
    """How far a file was read: the offset in decompressed bytes (of Parquet: rows), and the number of the line there.

    `head` and `tail` are digests of the file's first `head_bytes` and of the last `tail_bytes` before the offset, by
    which another file of the same name is told; `inode` finds the file under another name. `is_cut` says that the last
    line had no end. `header` has the columns of a CSV file.
    """

    format: int = _FORMAT
    offset: int = 0
    line: int = 1
    head: str = ""
    head_bytes: int = 0
    tail: str = ""
    tail_bytes: int = 0
    inode: int = 0
    is_cut: bool = False
    header: tuple[str, ...] = ()

    def encoded(self) -> str:
        """The position as text."""
        return _encode(self).decode()


def decode_position(part: str, text: str) -> FilePosition:
    """Decode a position.

    Raises:
        UnrecoverableState: a newer release wrote it, or none did.
    """
    try:
        position = msgspec.json.decode(text, type=FilePosition)
    except msgspec.MsgspecError as error:
        raise UnrecoverableState(f"the position of {part} is damaged ({error})") from None
    if position.format > _FORMAT:
        raise NewerRelease(f"a newer release wrote the position of {part}: upgrade this program")
    return position


def stat_of(path: Path) -> Stat | None:
    """The size, time and inode of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def with_head(position: FilePosition, path: Path, stat: Stat, is_packed: bool) -> FilePosition:
    """Note how a file begins, now that it may have more bytes."""
    head_bytes = min(PACKED_BYTES if is_packed else BEGIN_BYTES, stat[0])
    return msgspec.structs.replace(position, head=_head_of(path, head_bytes), head_bytes=head_bytes, inode=stat[2])


def with_tail(position: FilePosition, descriptor: int) -> FilePosition:
    """Note what lies before the position of a plain file."""
    tail_bytes = min(BEGIN_BYTES, position.offset)
    tail = os.pread(descriptor, tail_bytes, position.offset - tail_bytes)
    is_cut = bool(tail) and not tail.endswith(b"\n")
    return msgspec.structs.replace(position, tail=_digest(tail), tail_bytes=len(tail), is_cut=is_cut)


def is_same(path: Path, stat: Stat, known: FilePosition, is_packed: bool) -> bool:
    """Whether a file is the one that was read up to a position.

    Raises:
        UnrecoverableState: it is, and has lost its end.
    """
    if stat[0] < known.head_bytes or _head_of(path, known.head_bytes) != known.head:
        return False
    if is_packed or not known.tail_bytes:
        return True
    if stat[0] < known.offset:
        if stat[2] != known.inode:
            return False
        raise UnrecoverableState(
            f"{display_name(str(path))} has {stat[0]:,} bytes, and {known.offset:,} of it were published: bring it "
            "back, or give it another name to publish it from its start"
        )
    with path.open("rb") as file:
        return _digest(os.pread(file.fileno(), known.tail_bytes, known.offset - known.tail_bytes)) == known.tail


def continues_a_line(path: Path, known: FilePosition) -> bool:
    """Whether the last line that was read had no end, and goes on now."""
    if not known.is_cut:
        return False
    with path.open("rb") as file:
        return os.pread(file.fileno(), 1, known.offset) not in (b"", b"\n", b"\r")


def _head_of(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return _digest(file.read(size))


def _digest(value: bytes) -> str:
    return blake2b(value, digest_size=8).hexdigest()
