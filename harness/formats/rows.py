"""The code that formats share: reading rows with their line numbers, and turning rows into events."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

import attrs
import msgspec

from harness.support.errors import HarnessError
from harness.support.files import COMPRESSIONS, display_name, opened
from harness.support.source_record import SourceRecord

_HEAD_BYTES: Final = 64 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Stricter than int() and float(), which also accept "1_000", "nan" and digits of other scripts.
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

# Errors that a row raises which is not of the format.
_UNREADABLE: Final = (ValueError, OverflowError, RecursionError, msgspec.MsgspecError)

_encode = msgspec.json.Encoder().encode

Fields = TypeVar("Fields")


@attrs.frozen
class Options:
    """How rows become events. `collapse_repeats`: rows of equal bytes get the same event id, in all files."""

    collapse_repeats: bool = False


class Properties(msgspec.Struct, omit_defaults=True):
    """The properties of an event. A value that should be a number and is not stays text."""

    product_id: str | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | str | None = None
    quantity: float | str | None = None
    order_id: str | None = None
    rating: object = None
    text: str | None = None


class ShopEvent(msgspec.Struct, omit_defaults=True):
    """A row as an event in the canonical schema; unknown fields are left out of its JSON."""

    event_id: str
    event_type: str
    timestamp: int
    properties: Properties
    user_id: str | None = None
    session_id: str | None = None
    context: dict[str, str] | None = None


class Row(NamedTuple):
    """A row of a delimited file: the number of its first line, its bytes and its fields."""

    number: int
    raw: bytes
    fields: list[str]


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a file, without line ends, numbered from 1."""
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            yield number, _without_end(line)


def delimited(path: Path, header: list[str], delimiter: str = ",", quoted: bool = True) -> Iterator[Row]:
    """Read the rows after the header.

    Raises:
        HarnessError: the first line is not the given header.
    """
    with opened(path) as stream:
        rows = _records(stream, len(header), delimiter, quoted)
        first = next(rows, None)
        if first is None:
            return
        if [field.strip("\ufeff ") for field in first.fields] != header:
            raise HarnessError(f"{path}: its first line is not the header {delimiter.join(header)!r}")
        yield from rows


def events(
    path: Path,
    options: Options,
    rows: Iterable[tuple[int, bytes, Fields]],
    event_of: Callable[[str, Fields], ShopEvent],
) -> Iterator[SourceRecord]:
    """Turn each row into one record. A row that `event_of` cannot read is passed on unchanged, without a time."""
    name = display_name(path)
    prefix = "" if options.collapse_repeats else _fingerprint(path)
    for number, raw, fields in rows:
        event_id = (
            f"row-{blake2b(raw, digest_size=16).hexdigest()}" if options.collapse_repeats else f"{prefix}:{number}"
        )
        try:
            event = event_of(event_id, fields)
            record = SourceRecord(event.timestamp, _encode(event), f"{name}:{number}")
        except _UNREADABLE:
            record = SourceRecord(None, raw, f"{name}:{number}")
        yield record


@lru_cache(maxsize=65_536)
def utc_ms(text: str) -> int:
    """Read a time in ISO 8601, or such as 12/31/2010 8:26, as ms since 1970. Without a zone, it is UTC."""
    time = datetime.strptime(text, "%m/%d/%Y %H:%M") if "/" in text else datetime.fromisoformat(text)  # noqa: DTZ007
    return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=65_536)
def number(text: str) -> float | str:
    """Read a number. Other text is returned unchanged, so that the pipeline's decoder names its field."""
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    return float(text) if _DECIMAL.fullmatch(text) else text


@lru_cache(maxsize=65_536)
def title_cased(text: str) -> str:
    """Capitalise each word; str.title would write "Poppy'S" and "60Cm"."""
    return _WORD.sub(lambda word: word.group().capitalize(), text.strip())


def _records(lines: Iterable[bytes], columns: int, delimiter: str, quoted: bool) -> Iterator[Row]:
    source = _Lines(iter(lines))
    reader = csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    number = 1
    while True:
        source.taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields = []
        if len(source.taken) > 1 and len(fields) != columns:
            # A quote that is never closed must not swallow the good rows after it.
            source.give_back_all_but_first()
            fields = []
        yield Row(number, _without_end(b"".join(source.taken)), fields)
        number += len(source.taken)


@attrs.define
class _Lines:
    """Gives lines to csv.reader, remembers the lines of the current row, and takes them back."""

    _lines: Iterator[bytes]
    taken: list[bytes] = attrs.field(factory=list, init=False)
    _returned: list[bytes] = attrs.field(factory=list, init=False)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else next(self._lines)
        self.taken.append(line)
        # Bytes that are not UTF-8 fail when the event is encoded, so that only their own row fails.
        return line.decode("utf-8", "surrogateescape")

    def give_back_all_but_first(self) -> None:
        self._returned.extend(reversed(self.taken[1:]))
        del self.taken[1:]


def _fingerprint(path: Path) -> str:
    """Identify a file by its name and a checksum of its beginning; the same whether it is compressed or not."""
    with opened(path) as stream:
        checksum = crc32(stream.read(_HEAD_BYTES))
    name = display_name(path)
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return f"{Path(name).stem}-{checksum:08x}"


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
