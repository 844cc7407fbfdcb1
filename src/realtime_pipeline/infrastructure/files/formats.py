"""The formats of files: what the lines of a file mean, as records of a source."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from io import StringIO
from typing import Final, Literal

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files.lines import Line, RawLine
from realtime_pipeline.infrastructure.files.streams import COMPRESSIONS, display_name, origin_name

FormatName = Literal["jsonl", "csv", "parquet", "text"]
ROW_LINES_MAX: Final = 1_000
"""A row of a CSV file has at most so many lines: an unclosed quote must not swallow the rows after it."""
TEXT_BYTES_MAX: Final = 65_536
"""A longer line of text is not matched with a pattern."""

Read = tuple[SourceRecord | None, int, int]
"""A record (None: nothing to publish, as a blank line), the offset after it, and the number of the line there."""


@attrs.frozen
class FileFormat:
    """How files are read. `delimiter`, `header` (names of columns, where the first row has none) and `encoding` are for
    `csv`, `pattern` (a regular expression with named groups) is for `text`, as is `encoding`.

    Raises:
        ValueError: a part is missing or invalid; the message says which.
    """

    name: FormatName = "jsonl"
    delimiter: str = ","
    header: tuple[str, ...] = ()
    pattern: str = ""
    encoding: str = "utf-8"

    def __attrs_post_init__(self) -> None:
        if self.name not in ("jsonl", "csv", "parquet", "text"):
            raise ValueError(f"format is one of jsonl, csv, parquet, text, not {self.name}")
        if len(self.delimiter) != 1:
            raise ValueError("the delimiter is a single character")
        if (self.name == "text") != bool(self.pattern):
            raise ValueError("the format text needs a pattern: a regular expression with named groups, (?P<name>…)")
        if self.pattern:
            try:
                groups = re.compile(self.pattern).groupindex
            except re.error as error:
                raise ValueError(f"the pattern is no regular expression: {error}") from None
            if not groups:
                raise ValueError("the pattern has no named groups: write (?P<name>…) around what to keep")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"there is no encoding {self.encoding}") from None


class LineFormat:
    """Makes records of the lines of one file, in order."""

    def __init__(self, name: str, format_: FileFormat, header: tuple[str, ...] = (), with_digests: bool = True) -> None:
        self._with_digests = with_digests
        self._origin = origin_name(name)
        stem = self._origin
        for suffix in COMPRESSIONS:
            stem = stem.removesuffix(suffix)
        self._stem = stem
        self._name = name
        self._format = format_
        self.header = header or format_.header
        self._pattern = re.compile(format_.pattern) if format_.pattern else None
        self._pending: list[Line] = []
        self._single_until = 0

    def records(self, raw_lines: Sequence[RawLine]) -> Iterator[Read]:
        """Make records of lines; the last lines of a row that is not whole yet wait for the next call.

        Raises:
            InvalidEvents: the header cannot be that of a CSV file.
        """
        match self._format.name:
            case "jsonl":
                for number, value, end, next_number in raw_lines:
                    origin = f"{self._origin}:{number}"
                    id_ = self._id(number, value) if self._with_digests else origin
                    yield SourceRecord(id_, value, origin) if value.strip() else None, end, next_number
            case "text":
                for line in map(Line._make, raw_lines):
                    yield self._text(line) if line.value.strip() else None, line.end, line.next_number
            case _:
                yield from self._rows([*self._pending, *map(Line._make, raw_lines)])

    def end(self) -> Iterator[Read]:
        """Make records of what waits, after the last line."""
        pending, self._pending = self._pending, []
        for line in pending:
            yield self._row(line), line.end, line.next_number

    def _id(self, number: int, value: bytes) -> str:
        """Name a record by file, line and content: files of other days have the same name and the same first lines."""
        if not self._with_digests:
            return f"{self._stem}:{number}"
        return f"{self._stem}:{number}:{blake2b(value, digest_size=8).hexdigest()}"

    def _text(self, line: Line) -> SourceRecord:
        value: Mapping[str, object] | Unreadable
        found = None
        text = line.value[:TEXT_BYTES_MAX].decode(self._format.encoding, "replace")
        if self._pattern is not None and len(line.value) <= TEXT_BYTES_MAX:
            found = self._pattern.match(text)
        if found is None:
            value = Unreadable("no_match: the line does not match the pattern", line.value)
        else:
            value = {name: group for name, group in found.groupdict().items() if group is not None}
        return SourceRecord(self._id(line.number, line.value), value, f"{self._origin}:{line.number}")

    def _rows(self, lines: Sequence[Line]) -> Iterator[Read]:
        """Cut lines into rows: a row goes on in the next line while a quote is open.

        Lines that give no row together are rows by themselves, so that a stray quote does not swallow the rows after
        it. They are tried together once, so that the time is linear.
        """
        self._pending, at = [], 0
        while at < len(lines):
            line, end = lines[at], at + 1
            row = self._row(line)
            if line.value.count(b'"') % 2 and line.number >= self._single_until:
                end = self._row_end(lines, at)
                if end == 0:
                    self._pending = list(lines[at:])
                    return
                whole = self._row(line, lines[at:end])
                if isinstance(whole, SourceRecord) and isinstance(whole.value, Unreadable):
                    self._single_until, end = lines[end - 1].number, at + 1
                else:
                    row = whole
            yield row, lines[end - 1].end, lines[end - 1].next_number
            at = end

    def _row_end(self, lines: Sequence[Line], begin: int) -> int:
        """Find the end of a row of several lines; 0 if it is in none of these lines, and may be in the next ones."""
        quotes, until = 0, min(len(lines), begin + ROW_LINES_MAX)
        for at in range(begin, until):
            quotes += lines[at].value.count(b'"')
            if quotes % 2 == 0:
                return at + 1
        return until if until == begin + ROW_LINES_MAX else 0

    def _row(self, line: Line, lines: Sequence[Line] = ()) -> SourceRecord | None:
        """Read a row of one or several lines; None for a blank line, and for the header."""
        raw = b"\n".join(part.value for part in lines) if lines else line.value
        if not raw.strip():
            return None
        line = line._replace(value=raw)
        try:
            fields = self._fields(raw)
        except ValueError as error:
            return self._unreadable(line, str(error))
        if not self.header:
            self._begin(fields)
            return None
        if len(fields) != len(self.header):
            return self._unreadable(line, f"ragged_row: {len(fields)} fields, the header has {len(self.header)}")
        value = {name: field for name, field in zip(self.header, fields, strict=True) if field != ""}
        return SourceRecord(self._id(line.number, line.value), value, f"{self._origin}:{line.number}")

    def _fields(self, raw: bytes) -> list[str]:
        try:
            text = raw.decode(self._format.encoding)
        except UnicodeDecodeError:
            raise ValueError(f"not_text: the row is not {self._format.encoding}") from None
        try:
            rows = list(csv.reader(StringIO(text, newline=""), delimiter=self._format.delimiter, strict=True))
        except csv.Error as error:
            raise ValueError(f"invalid_row: {error}") from None
        if len(rows) != 1:
            raise ValueError("invalid_row: a quote is not closed")
        return rows[0]

    def _begin(self, fields: Sequence[str]) -> None:
        """Take the names of the columns from the first row."""
        names = tuple(field.strip("\ufeff ") for field in fields)
        where = display_name(self._name)
        if len(set(names)) != len(names):
            raise InvalidEvents(f"{where}: its first row names a column twice: name the columns, with --header")
        if "" in names or len(names) == 1:
            raise InvalidEvents(
                f"{where}: its first row is no header with {self._format.delimiter!a} between names: "
                "see --delimiter and --header"
            )
        self.header = names

    def _unreadable(self, line: Line, reason: str) -> SourceRecord:
        return SourceRecord(
            self._id(line.number, line.value), Unreadable(reason, line.value), f"{self._origin}:{line.number}"
        )
