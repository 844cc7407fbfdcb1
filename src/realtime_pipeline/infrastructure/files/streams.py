"""Opening files for reading, plain or compressed, and standard input."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

from realtime_pipeline.application.errors import Unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT: Final = "-"
COMPRESSIONS: Final = (".gz", ".zst")
"""The suffixes of compressed files; what counts is how a file begins."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK_BYTES: Final = 1 << 17

Stream: TypeAlias = Union["io.BufferedReader[Any]", gzip.GzipFile]


class Truncated(Exception):
    """A compressed file ends in the middle."""


def check_readable(names: Sequence[str]) -> None:
    """Check that all files can be read, before the first is published.

    Raises:
        Unavailable: a file cannot be read.
    """
    for name in names:
        if name != STANDARD_INPUT and not Path(name).is_fifo():  # closing a pipe here would end its writer
            try:
                Path(name).open("rb").close()
            except OSError as error:
                raise unreadable(name, error) from None


@contextmanager
def opened(name: str) -> Iterator[Stream]:
    """Open a file, or standard input, for reading its decompressed bytes.

    Raises:
        Unavailable: the file cannot be opened, or needs a package to be decompressed.
    """
    if name == STANDARD_INPUT and sys.stdin is None:
        raise Unavailable("there is no standard input here: name a file")
    try:
        raw = io.FileIO(sys.stdin.fileno() if name == STANDARD_INPUT else name, closefd=name != STANDARD_INPUT)
    except OSError as error:
        raise unreadable(name, error) from None
    with io.BufferedReader(raw) as stream:
        begin = stream.peek(len(_ZSTD))
        if begin.startswith(_ZSTD) or name.endswith(".zst"):
            yield _decompressed(name, stream)
        elif begin.startswith(_GZIP) or name.endswith(".gz"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            yield stream


def is_compressed(path: Path) -> bool:
    """Whether a file begins as gzip or zstd does, or has the suffix of one."""
    with path.open("rb") as file:
        return file.read(len(_ZSTD)).startswith((_GZIP, _ZSTD)) or path.suffix in COMPRESSIONS


def display_name(name: str) -> str:
    """The name of a file for messages."""
    return "standard input" if name == STANDARD_INPUT else ascii(name)[1:-1]


def origin_name(name: str) -> str:
    """The name of a file without its folder, as text, also where it is not valid UTF-8."""
    return Path(name).name.encode(errors="replace").decode()


def unreadable(name: str, error: Exception) -> Unavailable:
    """The error of a file that cannot be read."""
    return Unavailable(f"{display_name(name)} cannot be read: {getattr(error, 'strerror', None) or error}")


READ_ERRORS: Final = (OSError, EOFError, zlib.error, Truncated)
"""What reading a stream may raise."""


def _decompressed(name: str, stream: "io.BufferedReader[Any]") -> "io.BufferedReader[Any]":
    try:
        import zstandard  # noqa: PLC0415 - an extra
    except ImportError:
        raise Unavailable(
            f"{display_name(name)} is packed by zstd: pip install 'realtime-pipeline[zstd]', or unpack it first "
            "(zstd -dc FILE | … publish -)"
        ) from None

    def chunks() -> Iterator[bytes]:
        """Decompress frame after frame: zstandard's own reader does not notice that a file was cut off."""
        frame, rest = None, b""
        try:
            while chunk := rest or stream.read1(_CHUNK_BYTES):
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(chunk)
                rest = frame.unused_data
                if frame.eof:
                    frame = None
        except zstandard.ZstdError as error:
            raise Truncated(str(error)) from None
        if frame is not None:
            raise Truncated("the compressed file ends in the middle")

    return io.BufferedReader(_Chunks(chunks()), _CHUNK_BYTES)


class _Chunks(io.RawIOBase):
    """A stream of the bytes of all chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        target = memoryview(buffer).cast("B")
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
