"""Connections to Postgres: statements with a time limit, and the stream of a replication slot."""

import select
import time
from typing import Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from realtime_pipeline.application.errors import PipelineError, Unavailable, Unreachable
from realtime_pipeline.infrastructure.postgres.failures import connect_error, query_error
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings

Row = tuple[str | None, ...]

EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: Postgres counts from there."""

SESSION_OPTIONS: Final = (
    # Snapshot and stream must write a value in the same way, in whatever way the server is configured.
    "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"
    " -c search_path=pg_catalog -c standard_conforming_strings=on -c synchronous_commit=local"
    " -c row_security=off -c idle_in_transaction_session_timeout=0 -c statement_timeout=0"
)


class StatementFailed(Exception):
    """Postgres refused a statement; `sqlstate` says why, and `error` is the translated error."""

    def __init__(self, sqlstate: str, error: PipelineError) -> None:
        super().__init__(str(error))
        self.sqlstate = sqlstate
        self.error = error


class Keepalive(NamedTuple):
    """Everything that was committed before this position of the WAL has been sent."""

    end_lsn: int
    reply_requested: bool


def quoted(*names: str) -> str:
    """Quote the parts of an SQL name."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """Quote a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def lsn_text(lsn: int) -> str:
    """Write a position of the WAL as Postgres does."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """Read a position of the WAL.

    Raises:
        ValueError: it is not one.
    """
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


class Session:
    """A connection. Values come as Postgres writes them; a call waits for at most its time limit.

    Errors are `Unreachable`, `Unavailable` or `UnrecoverableState`, except where a method names another.
    """

    def __init__(self, settings: PostgresSettings, replication: bool = False) -> None:
        self._address = f"{settings.host}:{settings.port}"
        self._timeout_s = settings.request_timeout_s
        options = settings.connection_options() | {
            "application_name": "realtime-pipeline",
            "client_encoding": "UTF8",
            "options": SESSION_OPTIONS,
        }
        if replication:
            options["replication"] = "database"
        try:
            self._connection = psycopg.Connection.connect(make_conninfo("", **options), autocommit=True)
        except psycopg.Error as error:
            raise connect_error(self._address, settings.user, str(error)) from None
        self._server = self._connection.pgconn

    @property
    def server_version(self) -> int:
        """The server's version, as 180006."""
        return self._server.server_version

    def rows(self, query: str, *parameters: str | None, timeout_s: float | None = None) -> list[Row]:
        """Run a statement, and return its rows."""
        try:
            return self.try_rows(query, *parameters, timeout_s=timeout_s)
        except StatementFailed as failed:
            raise failed.error from None

    def try_rows(self, query: str, *parameters: str | None, timeout_s: float | None = None) -> list[Row]:
        """Run a statement, and return its rows.

        Raises:
            StatementFailed: Postgres refused it.
        """
        deadline_s = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        values = [None if value is None else value.encode() for value in parameters]
        try:
            self._server.send_query_params(query.encode(), values)
            results = self._results(deadline_s)
        except psycopg.Error as error:
            raise Unreachable(f"Postgres at {self._address} does not answer: {error}") from None
        return [row for result in results for row in _rows_of(result)]

    def start_stream(self, slot: str, publication: str) -> None:
        """Begin to receive the changes of a slot, from where it stands.

        Raises:
            StatementFailed: Postgres refused it.
        """
        options = f"proto_version '1', publication_names {literal(quoted(publication))}"
        command = f"START_REPLICATION SLOT {quoted(slot)} LOGICAL 0/0 ({options})"
        try:
            self._server.send_query(command.encode())
            self._result(time.monotonic() + self._timeout_s)
        except psycopg.Error as error:
            raise Unreachable(f"Postgres at {self._address} does not answer: {error}") from None

    def receive(self, timeout_s: float) -> bytes | Keepalive | None:
        """Return the next message of pgoutput, or a keepalive; None if none comes in time."""
        try:
            length, data = self._server.get_copy_data(1)
            if not length:
                if timeout_s > 0 and not self._wait(timeout_s):
                    return None
                self._server.consume_input()
                length, data = self._server.get_copy_data(1)
            if length < 0:
                self._result(time.monotonic() + self._timeout_s)
                raise Unreachable(f"Postgres at {self._address} ended the stream")
        except psycopg.Error as error:
            raise Unreachable(f"Postgres at {self._address} does not answer: {error}") from None
        except StatementFailed as failed:
            raise failed.error from None
        if not length:
            return None
        message = bytes(data)
        if message[:1] == b"w":
            return message[25:]
        return Keepalive(int.from_bytes(message[1:9], "big"), message[17:18] == b"\1")

    def confirm(self, received_lsn: int, durable_lsn: int, request_reply: bool = False) -> None:
        """Tell the server what was received, and up to where the slot may delete."""
        clock = time.time_ns() // 1000 - EPOCH_US
        numbers = (received_lsn, durable_lsn, durable_lsn, clock)
        update = b"r" + b"".join(number.to_bytes(8, "big") for number in numbers) + bytes((request_reply,))
        try:
            self._server.put_copy_data(update)
            self._flush(time.monotonic() + self._timeout_s)
        except psycopg.Error as error:
            raise Unreachable(f"Postgres at {self._address} does not answer: {error}") from None

    def close(self) -> None:
        """Close the connection; an open transaction ends with it."""
        self._connection.close()

    def _results(self, deadline_s: float) -> list[pq.abc.PGresult]:
        results = []
        while (result := self._result(deadline_s)) is not None:
            results.append(result)
        return results

    def _result(self, deadline_s: float) -> pq.abc.PGresult | None:
        self._flush(deadline_s)
        while self._server.is_busy():
            if not self._wait(deadline_s - time.monotonic()):
                raise Unreachable(f"Postgres at {self._address} did not reply in time")
            self._server.consume_input()
        result = self._server.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            message = result.get_error_message()
            while self._server.get_result() is not None:  # the statement's last result, which is already here
                continue
            raise StatementFailed(sqlstate, query_error(self._address, sqlstate, message))
        return result

    def _flush(self, deadline_s: float) -> None:
        while self._server.flush():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Unreachable(f"Postgres at {self._address} takes no more data")
            select.select([self._server.socket], [self._server.socket], [], left_s)
            self._server.consume_input()

    def _wait(self, timeout_s: float) -> bool:
        readable, _, _ = select.select([self._server.socket], [], [], max(0.0, timeout_s))
        return bool(readable)


def _rows_of(result: pq.abc.PGresult) -> list[Row]:
    if result.status == pq.ExecStatus.TUPLES_OK:
        fields = range(result.nfields)
        get = result.get_value
        return [
            tuple(None if (value := get(row, field)) is None else value.decode() for field in fields)
            for row in range(result.ntuples)
        ]
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise Unavailable(f"Postgres replied with {pq.ExecStatus(result.status).name}")
    return []
