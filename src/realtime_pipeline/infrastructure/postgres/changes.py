"""The stream of a slot as records: the changes of the captured tables, each once, in the order of their commits."""

from collections.abc import Iterator, Mapping

import attrs

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.infrastructure.postgres import pgoutput
from realtime_pipeline.infrastructure.postgres.documents import Change, RowReader, change_record, merged, old_columns
from realtime_pipeline.infrastructure.postgres.pgoutput import Begin, Commit, Delete, Insert, Relation, Truncate, Update
from realtime_pipeline.infrastructure.postgres.position import Key, Position
from realtime_pipeline.infrastructure.postgres.session import EPOCH_US, lsn_text
from realtime_pipeline.infrastructure.postgres.tables import Catalogue, Columns, Table, missing_column

Numbered = tuple[int, SourceRecord]
"""A record, and how many changes of its transaction are done with it."""


@attrs.frozen
class _Captured:
    """A captured table as the stream describes it now."""

    table: Table
    relation: Relation
    reader: RowReader

    def key(self, values: pgoutput.Values) -> Key:
        try:
            return self.table.key_of(dict(zip(self.reader.names, values, strict=True)))
        except (KeyError, ValueError):
            raise UnrecoverableState(
                f"a change of {self.table.name} does not carry its primary key, or that has another type now: capture "
                "under a new name and slot, and leave primary key and REPLICA IDENTITY as they are"
            ) from None


class ChangeReader:
    """Follows the messages of a stream from a position on; `position` is behind what was taken of them."""

    def __init__(self, catalogue: Catalogue, columns: Columns, tables: Mapping[str, Table], position: Position) -> None:
        self.position = position
        self._catalogue = catalogue
        self._columns = columns
        self._tables = tables
        self._relations: dict[int, _Captured | None] = {}
        self._begin: Begin | None = None
        self._done = 0
        self._lsn = ""

    @property
    def is_between_transactions(self) -> bool:
        """Whether the last transaction is complete."""
        return self._begin is None

    @property
    def done(self) -> int:
        """How many changes of the current transaction were taken."""
        return self._done

    def take(self, message: pgoutput.Message) -> Iterator[Numbered]:
        """Take the next message, and make the records of its changes.

        Raises:
            UnrecoverableState: a table has changed so that the mapping cannot read it any more.
        """
        if isinstance(message, (Insert, Update, Delete)):
            self._done += 1
            captured = self._relations.get(message.relation)
            if captured is not None and self._is_new(self._done):
                yield from self._record(self._done, self._change(captured, message))
        elif isinstance(message, Begin):
            self._begin, self._done, self._lsn = message, 0, lsn_text(message.commit_lsn)
        elif isinstance(message, Commit):
            self._begin = None
            if message.end_lsn > self.position.lsn:
                self.position = self.position.at(message.end_lsn)
        elif isinstance(message, Relation):
            self._relations[message.oid] = self._captured(message)
        elif isinstance(message, Truncate):
            yield from self._truncations(message)

    def move(self, lsn: int) -> None:
        """Everything that committed before an LSN was taken."""
        if self._begin is None and lsn > self.position.lsn:
            self.position = self.position.at(lsn)

    def cut(self, done: int) -> None:
        """Set the position behind so many changes of the transaction that is being taken."""
        if self._begin is not None:
            self.position = attrs.evolve(self.position, commit=self._begin.commit_lsn, rows=done)

    def _is_new(self, number: int) -> bool:
        begin, position = self._begin, self.position
        if begin is None:
            raise UnrecoverableState("the stream of Postgres has a change outside of a transaction: report this error")
        if begin.commit_lsn < position.lsn:
            return False
        return begin.commit_lsn != position.commit or number > position.rows

    def _record(self, number: int, change: Change | None) -> Iterator[Numbered]:
        if change is not None and self._begin is not None:
            committed_ms = (self._begin.committed_us + EPOCH_US) // 1000
            yield number, change_record(change, self._lsn, number, committed_ms)

    def _captured(self, relation: Relation) -> _Captured | None:
        name = f"{relation.schema}.{relation.name}"
        known = self.position.tables.get(name)
        if name not in self._columns or known is None:
            for table, identity in self.position.tables.items():
                if identity.table == relation.oid:
                    raise UnrecoverableState(
                        f"{table} was renamed to {name}: capture it under a new name and slot, which reads it from the "
                        "beginning"
                    )
            return None
        if known.table != relation.oid:
            raise UnrecoverableState(
                f"{name} was dropped and created again: capture it under a new name and slot, which reads it from the "
                "beginning"
            )
        present = {column.name for column in relation.columns}
        for column in sorted(self._columns[name] - present):
            raise UnrecoverableState(missing_column(name, column))
        columns = [(column.name, self._catalogue.base_type(column.type_oid)) for column in relation.columns]
        return _Captured(self._tables[name], relation, RowReader(columns))

    def _change(self, captured: _Captured, message: Insert | Update | Delete) -> Change | None:
        """The change, as far as no snapshot has it already."""
        if isinstance(message, Insert):
            if self._has_read(captured, message.new):
                return None
            return Change(captured.table.name, "insert", captured.reader.row(message.new))
        if isinstance(message, Delete):
            if self._has_read(captured, message.old):
                return None
            return Change(captured.table.name, "delete", _old_row(captured, message.old, message.old_is_key))
        return self._update(captured, message)

    def _update(self, captured: _Captured, message: Update) -> Change | None:
        """An update that gives a row another key is a change of two rows, which snapshots may have read apart."""
        table, reader = captured.table.name, captured.reader
        new = merged(message.old, message.new)
        old = None if message.old is None else _old_row(captured, message.old, message.old_is_key)
        has_read = self._has_read(captured, new)
        if message.old is not None and self._has_read(captured, message.old) != has_read:
            if not has_read:
                return Change(table, "insert", reader.row(new), None, reader.unchanged(new))
            return Change(table, "delete", old or {})
        if has_read:
            return None
        return Change(table, "update", reader.row(new), old, reader.unchanged(new))

    def _has_read(self, captured: _Captured, values: pgoutput.Values) -> bool:
        if not self.position.parts or self._begin is None:
            return False
        try:
            return self.position.has_read(captured.table.name, captured.key(values), self._begin.xid)
        except TypeError:  # keys that do not compare
            raise UnrecoverableState(
                f"the primary key of {captured.table.name} has another type now: capture under a new name and slot"
            ) from None

    def _truncations(self, message: Truncate) -> Iterator[Numbered]:
        for oid in message.relations:
            self._done += 1
            captured = self._relations.get(oid)
            if captured is not None and self._is_new(self._done):
                yield from self._record(self._done, self._truncation(captured))

    def _truncation(self, captured: _Captured) -> Change | None:
        table = captured.table.name
        seen, unseen = self.position.has_read_some(table, self._begin.xid if self._begin else 0)
        if seen and unseen:
            raise UnrecoverableState(
                f"{table} was emptied by TRUNCATE while its snapshot was interrupted, so that some rows were read "
                "before and some after: capture under a new name and slot"
            )
        return None if seen else Change(table, "truncate", {})


def _old_row(captured: _Captured, values: pgoutput.Values, is_key: bool) -> dict[str, object]:
    row = captured.reader.row(values)
    kept = {captured.reader.names[index] for index in old_columns(captured.relation.columns, is_key)}
    return {name: value for name, value in row.items() if name in kept}
