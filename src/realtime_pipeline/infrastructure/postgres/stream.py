"""The connection that receives the changes of a slot, and confirms to it what the log has."""

import time
from contextlib import suppress
from typing import Final

from realtime_pipeline.application.errors import PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import SourceBatch, SourceRecord
from realtime_pipeline.infrastructure.postgres.changes import ChangeReader, Numbered
from realtime_pipeline.infrastructure.postgres.pgoutput import Malformed, decode
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import Keepalive, Session, StatementFailed
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.slot import Slot
from realtime_pipeline.infrastructure.postgres.snapshot import BATCH_BYTES_MAX

PART: Final = "changes"
"""The only part of a capture's positions: the changes of all tables come in one order."""

UNRELATED_MESSAGES_MAX: Final = 100_000
"""So many messages without a record end a call of `read`."""


class ChangeStream:
    """Receives changes in batches; moves the slot only past what was acknowledged."""

    def __init__(self, settings: PostgresSettings, slot: Slot, reader: ChangeReader, end_lsn: int) -> None:
        self._settings = settings
        self._slot = slot
        self._reader = reader
        self._end_lsn = end_lsn
        self._received_lsn = 0
        self._asked_lsn = 0
        self._acknowledged_lsn = 0
        self._returned = reader.position
        self._left: list[Numbered] = []
        self._failure: PipelineError | None = None
        self._done_before_failure = 0
        self._session = Session(settings, replication=True)
        try:
            self._session.start_stream(settings.slot, settings.publication)
        except StatementFailed as failed:
            self._session.close()
            raise slot.unreadable(failed.error) from None
        self._beat()

    @property
    def position(self) -> Position:
        """The position that was returned last."""
        return self._returned

    def acknowledge(self, lsn: int) -> None:
        """Tell the server what the log has."""
        self._acknowledged_lsn = max(self._acknowledged_lsn, lsn)
        self._session.confirm(max(self._received_lsn, lsn), self._acknowledged_lsn)

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read what has come; wait for the first change.

        At first it waits, for longer where it must, until all that was committed before the stream began has come.
        """
        try:
            records = self._records(records_max, timeout_s)
        except Unavailable as error:
            raise self._slot.unreadable(error) from None
        if records:
            self._reader.cut(self._taken_count())
            return self._batch(records)
        if self._failure is not None:
            raise self._failure
        if time.monotonic() >= self._beat_at_s:
            self._beat()
            if self._reader.position != self._returned:
                return self._batch(records)
        return None

    def _records(self, records_max: int, timeout_s: float) -> list[SourceRecord]:
        left, self._left = self._left[:records_max], self._left[records_max:]
        records, size = [record for _, record in left], 0
        is_behind = self._received_lsn < self._end_lsn
        deadline_s = time.monotonic() + max(timeout_s, self._settings.request_timeout_s if is_behind else 0.0)
        for _ in range(UNRELATED_MESSAGES_MAX + records_max):
            if self._failure is not None or len(records) >= records_max or size >= BATCH_BYTES_MAX:
                break
            wait_s = 0.0 if records else max(0.0, deadline_s - time.monotonic())
            message = self._session.receive(wait_s)
            if isinstance(message, bytes):
                size += len(message)
                records += self._taken(message, records_max - len(records))
                continue
            if message is not None:
                self._keep_alive(message)
                if is_behind and self._received_lsn >= self._end_lsn:
                    is_behind, deadline_s = False, time.monotonic() + timeout_s
            now_s = time.monotonic()
            if (records and message is None) or now_s >= deadline_s or now_s >= self._beat_at_s:
                break
        if is_behind and not records:
            self._end_lsn = 0  # the server did not say that it was read: it is slow, or has nothing
        return records

    def _taken_count(self) -> int:
        """How many changes of the current transaction are returned, or of no interest."""
        if self._left:
            return self._left[0][0] - 1
        return self._reader.done if self._failure is None else self._done_before_failure

    def _taken(self, message: bytes, records_max: int) -> list[SourceRecord]:
        self._done_before_failure = self._reader.done
        try:
            numbered = list(self._reader.take(decode(message)))
        except Malformed as error:
            self._failure = UnrecoverableState(f"the stream of Postgres cannot be read, report this error: {error}")
            return []
        except PipelineError as error:  # what came before is published first
            self._failure = error
            return []
        self._left = numbered[records_max:]
        return [record for _, record in numbered[:records_max]]

    def _keep_alive(self, keepalive: Keepalive) -> None:
        if self._reader.is_between_transactions:
            self._received_lsn = max(self._received_lsn, keepalive.end_lsn)
            self._reader.move(keepalive.end_lsn)
        if keepalive.reply_requested:
            self._session.confirm(self._received_lsn, self._acknowledged_lsn)
            if keepalive.end_lsn == self._asked_lsn:  # a server that shuts down waits until it is acknowledged
                self._beat_at_s = 0.0
            self._asked_lsn = keepalive.end_lsn

    def _batch(self, records: list[SourceRecord]) -> SourceBatch:
        self._returned = self._reader.position
        self._beat_at_s = time.monotonic() + self._settings.heartbeat_ms / 1000
        return SourceBatch(tuple(records), {PART: self._returned.encode()})

    def _beat(self) -> None:
        """Ask how far the server has read its WAL, so that the slot moves past what other tables have written."""
        self._session.confirm(self._received_lsn, self._acknowledged_lsn, request_reply=True)
        self._beat_at_s = time.monotonic() + self._settings.heartbeat_ms / 1000

    def close(self) -> None:
        """Close the connection; Postgres frees the slot."""
        with suppress(PipelineError):
            self._session.close()
