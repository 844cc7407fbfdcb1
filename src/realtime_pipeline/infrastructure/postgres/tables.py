"""The tables that are captured, as the catalogue describes them, and their publication."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.postgres.pgoutput import Value
from realtime_pipeline.infrastructure.postgres.position import Key, TableIdentity
from realtime_pipeline.infrastructure.postgres.session import Session, StatementFailed, literal, quoted
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.values import INTEGER_OIDS

Columns = Mapping[str, frozenset[str]]
"""By table, schema-qualified, the columns that the mapping reads."""

BUILT_IN_MAX: Final = 16_384
"""Object ids below belong to types that every database has."""

DOMAIN_DEPTH_MAX: Final = 16
PUBLISHED: Final = ("insert", "update", "delete", "truncate")

_TEXT_OIDS: Final = frozenset((25, 1043))
_COLUMN_LISTS_SINCE: Final = 150_000
_OLDEST_VERSION: Final = 140_000

_TABLE: Final = """
SELECT c.oid, c.relkind, c.relreplident, has_table_privilege(c.oid, 'SELECT') FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_COLUMNS: Final = """
SELECT a.attname, a.atttypid, array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum) FROM pg_attribute a
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
"""


@attrs.frozen
class Table:
    """A table: its columns with the built-in types behind their types, and which of them are its primary key."""

    name: str
    oid: int
    sql: str
    columns: tuple[tuple[str, int], ...]
    key: tuple[int, ...]
    """Indices of `columns`."""

    @property
    def key_order(self) -> str:
        """SQL of the key's columns, in the order in which Python compares keys."""
        return ", ".join(_ordered(*self.columns[index]) for index in self.key)

    def behind(self, key: Key) -> str:
        """SQL of a condition: the rows whose keys come after one."""
        values = (str(value) if isinstance(value, int) else f'{literal(value)} COLLATE "C"' for value in key)
        return f"({self.key_order}) > ({', '.join(values)})"

    def key_of(self, values: Mapping[str, Value]) -> Key:
        """The key among a row's values, as Postgres writes them.

        Raises:
            KeyError: a column of the key is missing.
        """
        return tuple(_key_value(values, *self.columns[index]) for index in self.key)


def _key_value(values: Mapping[str, Value], name: str, type_oid: int) -> int | str:
    text = values[name]
    if not isinstance(text, str):
        raise KeyError(name)
    return int(text) if type_oid in INTEGER_OIDS else text


def _ordered(name: str, type_oid: int) -> str:
    if type_oid in INTEGER_OIDS:
        return f"{quoted(name)}::bigint"
    if type_oid in _TEXT_OIDS:
        return f'{quoted(name)}::text COLLATE "C"'
    return f"format('%s', {quoted(name)}) COLLATE \"C\""  # as the stream writes it


class Catalogue:
    """Looks up tables and types, and checks the publication."""

    def __init__(self, settings: PostgresSettings, session: Session, columns: Columns) -> None:
        self._settings = settings
        self._session = session
        self._columns = columns
        self._base_types: dict[int, int] = {}

    def check_server(self) -> None:
        """Check what no capture can do without.

        Raises:
            Unavailable: the server or the database is configured otherwise; the message has what to run.
        """
        ((wal_level, encoding),) = self._session.rows(
            "SELECT current_setting('wal_level'), current_setting('server_encoding')"
        )
        if self._session.server_version < _OLDEST_VERSION:
            raise Unavailable("Postgres 14 or a later release is needed")
        if wal_level != "logical":
            raise Unavailable(
                f"Postgres has wal_level {wal_level}: ALTER SYSTEM SET wal_level = 'logical', and restart Postgres"
            )
        if encoding != "UTF8":
            raise Unavailable(f"database {self._settings.database} is encoded in {encoding}: only UTF8 can be captured")

    def table(self, name: str) -> Table:
        """Look up a table.

        Raises:
            Unavailable: it is not there, or cannot be captured; the message has what to run.
            UnrecoverableState: it does not have a column that the mapping reads.
        """
        schema, _, short = name.partition(".")
        found = self._session.rows(_TABLE, schema, short)
        if not found or found[0][1] not in {"r", "p"}:
            raise Unavailable(
                f"database {self._settings.database} has no table {name}: name tables with their schema, "
                "as in public.orders"
            )
        oid, kind, identity, may_select = found[0]
        if may_select != "t":
            raise Unavailable(
                f"user {self._settings.user} may not read {name}: GRANT USAGE ON SCHEMA {quoted(schema)} TO "
                f"{quoted(self._settings.user)}; GRANT SELECT ON {quoted(schema, short)} TO "
                f"{quoted(self._settings.user)}"
            )
        if identity not in {"d", "f"}:
            raise Unavailable(
                f"updates of {name} do not carry its primary key: ALTER TABLE {quoted(schema, short)} "
                "REPLICA IDENTITY DEFAULT"
            )
        rows = self._session.rows(_COLUMNS, oid)
        published = self._published_columns(schema, short)
        columns = [row for row in rows if published is None or row[0] in published]
        self._check_columns(name, [str(row[0]) for row in columns])
        key = sorted((int(str(row[2])), index) for index, row in enumerate(columns) if row[2] is not None)
        if not key or len(key) < sum(row[2] is not None for row in rows):
            raise Unavailable(f"{name} has no primary key that is published: only tables with one can be captured")
        return Table(
            name,
            int(str(oid)),
            ("ONLY " if kind == "r" else "") + quoted(schema, short),
            tuple((str(row[0]), self.base_type(int(str(row[1])))) for row in columns),
            tuple(index for _, index in key),
        )

    def _check_columns(self, table: str, present: Sequence[str]) -> None:
        for column in sorted(self._columns[table] - set(present)):
            raise UnrecoverableState(missing_column(table, column))

    def base_type(self, type_oid: int) -> int:
        """The type behind a domain; any other type itself."""
        if type_oid < BUILT_IN_MAX:
            return type_oid
        if type_oid not in self._base_types:
            base = type_oid
            for _ in range(DOMAIN_DEPTH_MAX):
                found = self._session.rows("SELECT typbasetype FROM pg_type WHERE oid = $1::oid", str(base))
                if not found or found[0][0] == "0":
                    break
                base = int(str(found[0][0]))
            self._base_types[type_oid] = base
        return self._base_types[type_oid]

    def check_tables(self, tables: Mapping[str, TableIdentity]) -> None:
        """Check that the tables are still those whose changes were captured up to now, and were so all the time.

        Raises:
            UnrecoverableState: a table was dropped, renamed, or taken out of the publication, if only for a while.
        """
        published = {name: identity for name, identity, _ in self._published_tables()}
        for table, identity in tables.items():
            if published.get(table) == identity:
                continue
            raise UnrecoverableState(
                f"{table} was dropped, renamed or taken out of publication {self._settings.publication}: changes may "
                "be missing; capture it under a new name and slot"
            )

    def publish_tables(self, pending: Iterable[str]) -> Mapping[str, TableIdentity]:
        """Create the publication where there is none, and check it.

        Returns:
            The published tables.

        Raises:
            Unavailable: the user may not create it, or it does not publish what is captured; the message has the SQL.
        """
        name, tables = self._settings.publication, ", ".join(quoted(*table.split(".", 1)) for table in self._columns)
        found = self._session.rows(
            "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = $1", name
        )
        if not found:
            create = f"CREATE PUBLICATION {quoted(name)} FOR TABLE {tables} WITH (publish_via_partition_root = true)"
            try:
                self._session.try_rows(create)
            except StatementFailed as failed:
                if failed.sqlstate != "42501":
                    raise failed.error from None
                raise Unavailable(
                    f"user {self._settings.user} may not create the publication: run {create} as the tables' owner"
                ) from None
        elif "f" in found[0]:
            raise Unavailable(
                f"publication {name} does not publish all changes: ALTER PUBLICATION {quoted(name)} "
                f"SET (publish = '{', '.join(PUBLISHED)}')"
            )
        return self._check_publication(name, set(pending))

    def _check_publication(self, name: str, pending: set[str]) -> Mapping[str, TableIdentity]:
        published = self._published_tables()
        for table in sorted(pending - {table for table, _, _ in published}):
            raise Unavailable(
                f"publication {name} lacks {table}: ALTER PUBLICATION {quoted(name)} ADD TABLE "
                f"{quoted(*table.split('.', 1))}"
            )
        for table, _, is_filtered in published:
            if is_filtered and table in self._columns:
                raise Unavailable(
                    f"publication {name} filters the rows of {table}: ALTER PUBLICATION {quoted(name)} SET TABLE "
                    "without WHERE"
                )
        return {table: identity for table, identity, _ in published}

    def _published_tables(self) -> list[tuple[str, TableIdentity, bool]]:
        """The published tables, and whether their rows are filtered."""
        filtered = "rowfilter IS NOT NULL" if self._session.server_version >= _COLUMN_LISTS_SINCE else "false"
        rows = self._session.rows(
            f"SELECT t.schemaname || '.' || t.tablename, c.oid, coalesce(r.oid, p.oid), {filtered} "  # noqa: S608
            "FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname "
            "JOIN pg_namespace n ON n.nspname = t.schemaname "
            "JOIN pg_class c ON c.relname = t.tablename AND c.relnamespace = n.oid "
            "LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid WHERE t.pubname = $1",
            self._settings.publication,
        )
        return [
            (str(name), TableIdentity(int(str(oid)), int(str(published))), is_filtered == "t")
            for name, oid, published, is_filtered in rows
        ]

    def _published_columns(self, schema: str, table: str) -> set[str] | None:
        """The columns that the publication has of a table; None where it has all of them, or the table not yet."""
        if self._session.server_version < _COLUMN_LISTS_SINCE:
            return None
        rows = self._session.rows(
            "SELECT unnest(attnames) FROM pg_publication_tables WHERE pubname = $1 AND schemaname = $2 "
            "AND tablename = $3",
            self._settings.publication,
            schema,
            table,
        )
        return {str(row[0]) for row in rows} or None


def missing_column(table: str, column: str) -> str:
    """Why a table cannot be captured any more, or at all."""
    return (
        f"{table} has no column {column}, which the mapping reads: change the mapping, then start the capture again; "
        "it goes on where it stopped"
    )
