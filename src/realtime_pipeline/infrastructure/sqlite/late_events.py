"""Late events in SQLite: the rows of their table, and reading them."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.byte_budget import ByteBudget
from realtime_pipeline.infrastructure.sqlite.database import Database

BATCH_ROWS: Final = 500
BATCH_BYTES_MAX: Final = 16_000_000
_COLUMNS: Final = (
    "missed, occurred_at_ms, time_ms, customer_id, partition, position, key, value, appended_at_ms, origin"
)
_VALUE_COLUMN: Final = 7
"""The column that may be large."""
SELECT_FIRST: Final = f"SELECT {_COLUMNS} FROM late_events ORDER BY partition, position LIMIT ?"  # noqa: S608 - constants
_SELECT_RANGE: Final = (
    f"SELECT {_COLUMNS} FROM late_events WHERE partition = ? AND position BETWEEN ? AND ?"  # noqa: S608 - constants
    " ORDER BY position LIMIT ?"
)


def insert_late_events(connection: sqlite3.Connection, late_events: Iterable[LateEvent]) -> None:
    """Write late events."""
    connection.executemany(
        f"INSERT INTO late_events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (
            (json.dumps(dict(late.missed)), late.occurred_at_ms, late.time_ms, late.customer_id, *late.record)
            for late in late_events
        ),
    )


def late_event_of(row: tuple[Any, ...]) -> LateEvent:
    """Read a row."""
    missed, occurred_at_ms, time_ms, customer_id, *record = row
    windows = tuple(MissedWindows(name, number) for name, number in json.loads(missed).items())
    return LateEvent(Record(*record), windows, occurred_at_ms, time_ms, customer_id)


class SqliteLateEvents(LateEvents):
    """Reads the table, a batch of rows at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def late_events(self, partitions: Collection[int] | None = None) -> Iterator[LateEvent]:
        """Read late events by partition and position, up to the last that each partition has now."""
        lasts = self._database.rows(
            "SELECT partition, (SELECT max(position) FROM late_events WHERE partition = known.partition)"
            " FROM output_positions AS known ORDER BY partition"
        )
        for partition, last in lasts:
            if last is not None and (partitions is None or partition in partitions):
                yield from self._of_partition(partition, last)

    def _of_partition(self, partition: int, last: int) -> Iterator[LateEvent]:
        begin = 0
        while rows := self._database.rows_until(
            ByteBudget(BATCH_BYTES_MAX, _VALUE_COLUMN).is_spent_by,
            _SELECT_RANGE,
            (partition, begin, last, BATCH_ROWS),
        ):
            for late in map(late_event_of, rows):
                begin = late.record.position + 1
                yield late
