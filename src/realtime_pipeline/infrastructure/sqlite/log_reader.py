"""Reading ranges of the log in SQLite, apart from the worker."""

from collections.abc import Iterator

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.database import Database

BATCH_ROWS = 2_000
BATCH_BYTES_MAX = 16_000_000


class SqliteLogReader(LogReader):
    """Reads the table of records in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read records."""
        position, read_bytes = from_position, 0

        def is_enough(row: tuple[int, int, bytes | None, bytes, int, str | None]) -> bool:
            nonlocal read_bytes
            read_bytes += len(row[3])
            return read_bytes >= BATCH_BYTES_MAX

        while position < to_position:
            rows = self._database.rows_until(
                is_enough,
                "SELECT partition, position, key, value, appended_at_ms, origin FROM records"
                " WHERE partition = ? AND position >= ? AND position < ? ORDER BY position LIMIT ?",
                (partition, position, to_position, BATCH_ROWS),
            )
            if not rows or rows[0][1] != position:
                raise Unavailable(
                    f"the log in {self._database.path} no longer holds position {position} of partition {partition}: "
                    "the retention has deleted old records meanwhile; try again"
                )
            records = list(map(Record._make, rows))
            position, read_bytes = records[-1].position + 1, 0
            yield from records
