"""Publishing a source's records to the log in SQLite."""

from collections.abc import Sequence

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.source import Positions
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher


class SqliteSourcePublisher(SourcePublisher):
    """Appends records and stores positions in one transaction, synced to the disk before `publish` returns."""

    def __init__(
        self, database: Database, log: SqliteEventPublisher, clock: Clock, observer: StageObserver, source: str
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._observer = observer
        self._source = source
        self._epoch = 0

    def claim(self) -> Positions:
        """Claim the source by a higher number, and read its positions in the same transaction."""
        with self._database.transaction(durable=True) as connection:
            self._database.check_same_file()
            (self._epoch,) = connection.execute(
                "INSERT INTO source_claims VALUES (?, 1) ON CONFLICT (source) DO UPDATE SET epoch = epoch + 1"
                " RETURNING epoch",
                (self._source,),
            ).fetchone()
            rows = connection.execute("SELECT part, position FROM source_positions WHERE source = ?", (self._source,))
            return dict(rows.fetchall())

    def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
        """Append the records, and store the positions."""
        with self._database.transaction(durable=True) as connection:
            self._database.check_same_file()
            found = connection.execute("SELECT epoch FROM source_claims WHERE source = ?", (self._source,)).fetchone()
            if found is None or found[0] != self._epoch:
                raise UnrecoverableState(f"another process reads {self._source} now: let only one run")
            self._log.append(connection, records)
            now_ms = self._clock.now_ms()
            connection.executemany(
                "INSERT OR REPLACE INTO source_positions VALUES (?, ?, ?, ?)",
                [(self._source, part, position, now_ms) for part, position in positions.items()],
            )
            self._observer.reached(Stage.APPENDED, len(records))
        self._observer.reached(Stage.ACKNOWLEDGED, len(records))

    def close(self) -> None:
        """Do nothing: the database is closed with the pipeline."""
