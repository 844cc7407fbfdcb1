"""Records of a captured table: rows and changes as documents."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.infrastructure.postgres.pgoutput import UNCHANGED, Column, Value, Values
from realtime_pipeline.infrastructure.postgres.position import Key
from realtime_pipeline.infrastructure.postgres.values import Convert, converter

KEY_CHARACTERS_MAX: Final = 60
"""The longest key that an origin shows whole."""

Row = Mapping[str, object]


class RowReader:
    """Reads the values of a table's rows, in the order of its columns, into documents."""

    def __init__(self, columns: Sequence[tuple[str, int]]) -> None:
        self.names = tuple(name for name, _ in columns)
        self._columns: tuple[tuple[str, Convert], ...] = tuple((name, converter(oid)) for name, oid in columns)

    def row(self, values: Sequence[Value]) -> dict[str, object]:
        """Read a row; a value that the stream does not carry is left out."""
        return {
            name: None if value is None else convert(value)
            for (name, convert), value in zip(self._columns, values, strict=True)
            if value is not UNCHANGED
        }

    def unchanged(self, values: Values) -> list[str]:
        """The columns whose values the stream does not carry."""
        return [name for name, value in zip(self.names, values, strict=True) if value is UNCHANGED]


@attrs.frozen
class Change:
    """A change of a row, before it is a record. `old` is the row before, or its key; None where it is not known."""

    table: str
    op: str
    row: Row
    old: Row | None = None
    unchanged: Sequence[str] = ()

    def document(self, lsn: str, committed_ms: int) -> dict[str, object]:
        """Write the document of a record."""
        document: dict[str, object] = {"table": self.table, "op": self.op, "row": self.row}
        if self.old is not None:
            document["old"] = self.old
        if self.unchanged:
            document["unchanged"] = list(self.unchanged)
        document["lsn"] = lsn
        document["committed_at"] = committed_ms
        return document


def change_record(change: Change, lsn: str, ordinal: int, committed_ms: int) -> SourceRecord:
    """Make the record of a change: the `ordinal`th of the transaction that committed at an LSN."""
    return SourceRecord(f"{lsn}-{ordinal}", change.document(lsn, committed_ms), f"{change.table} lsn {lsn}")


def snapshot_record(table: str, key: Key, row: Row, lsn: str, read_ms: int) -> SourceRecord:
    """Make the record of a row as a snapshot has it."""
    text = (
        str(key[0]) if len(key) == 1 else ",".join(str(part).replace("\\", "\\\\").replace(",", "\\,") for part in key)
    )
    shown = text if len(text) <= KEY_CHARACTERS_MAX else text[:KEY_CHARACTERS_MAX] + "…"
    document = Change(table, "snapshot", row).document(lsn, read_ms)
    return SourceRecord(f"{table}:{text}", document, f"{table} key {shown}")


def merged(old: Values | None, new: Values) -> Values:
    """Fill what an update does not carry from the old row, if that has it."""
    if old is None or UNCHANGED not in new:
        return new
    return tuple(
        before if value is UNCHANGED and before is not None else value for before, value in zip(old, new, strict=True)
    )


def old_columns(columns: Sequence[Column], is_key: bool) -> list[int]:
    """Which columns an old row carries: all, or those of the key."""
    return [index for index, column in enumerate(columns) if column.in_key or not is_key]
