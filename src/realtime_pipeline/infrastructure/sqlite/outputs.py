"""Outputs in SQLite: dead letters, late events, records for the log, and the positions up to which they were
emitted."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.outputs import Emission, Outputs, RecoverPosition, nothing_emitted
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.late_events import SELECT_FIRST, insert_late_events, late_event_of

Append = Callable[[sqlite3.Connection, Sequence[Outgoing]], object]
"""Appends records to the log; within the given transaction if the log is in the same file."""


class SqliteOutputs(Outputs):
    """Writes dead letters, late events, records for the log, and a position for each partition in one transaction.

    `is_store_elsewhere` says that the store is not in this file. It might then fold records of the log before they are
    synced, and be ahead of the log after a power failure; so transactions that append records are synced to the disk.
    """

    def __init__(self, database: Database, append: Append, is_store_elsewhere: bool = False) -> None:
        self.database = database
        self.append = append
        self._is_store_elsewhere = is_store_elsewhere

    @property
    def linger_ms(self) -> int:
        """0: emissions are part of the round's transaction."""
        return 0

    @property
    def can_retract(self) -> bool:
        """True: the dead letters and late events of forgotten customers are deleted."""
        return True

    def epoch(self, partition: int) -> int:
        """Return the largest epoch by which outputs were claimed."""
        rows = self.database.rows("SELECT epoch FROM output_positions WHERE partition = ?", (partition,))
        return rows[0][0] if rows else 0

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Write a new epoch, which fences earlier owners, then read the position."""
        with self.database.transaction() as connection:
            written = connection.execute(
                "INSERT INTO output_positions VALUES (?, ?, 0)"
                " ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch > epoch",
                (partition, epoch),
            )
            if written.rowcount != 1:
                raise Fenced(f"the outputs of partition {partition} have epoch {epoch} or a larger one already")
            row = connection.execute("SELECT position FROM output_positions WHERE partition = ?", (partition,))
            position: int = row.fetchone()[0]
        return position

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read up to which position outputs were emitted."""
        positions = dict(self.database.rows("SELECT partition, position FROM output_positions"))
        return {partition: positions.get(partition, 0) for partition in partitions}

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write the outputs and the position of each partition in one transaction."""
        for emission in emissions:
            self._emit(emission)

    def _emit(self, emission: Emission) -> None:
        with self.database.transaction(durable=self._is_store_elsewhere and bool(emission.outgoing)) as connection:
            epoch, position = connection.execute(
                "SELECT epoch, position FROM output_positions WHERE partition = ?", (emission.partition,)
            ).fetchone() or (0, 0)
            if epoch != emission.epoch:
                raise Fenced(f"the outputs of partition {emission.partition} have another epoch")
            if position != emission.from_position:
                raise PositionMismatch({emission.partition: position})
            connection.execute(
                "UPDATE output_positions SET position = ? WHERE partition = ?",
                (emission.to_position, emission.partition),
            )
            for customer_id in emission.forgotten:
                _retract(connection, emission.partition, customer_id)
            connection.executemany(
                "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        letter.record.partition,
                        letter.record.position,
                        letter.reason,
                        letter.record.key,
                        letter.record.value,
                        letter.record.appended_at_ms,
                        letter.record.origin,
                        letter.customer_id,
                    )
                    for letter in emission.dead_letters
                ),
            )
            insert_late_events(connection, emission.late_events)
            if emission.outgoing:
                self.append(connection, emission.outgoing)

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """Return the first dead letters by partition and position."""
        rows = self.database.rows(
            "SELECT reason, customer_id, partition, position, key, value, appended_at_ms, origin FROM dead_letters"
            " ORDER BY partition, position LIMIT ?",
            (limit,),
        )
        return [DeadLetter(Record(*record), reason, customer_id) for reason, customer_id, *record in rows]

    def late_events(self, limit: int) -> Sequence[LateEvent]:
        """Return the first late events by partition and position."""
        return [late_event_of(row) for row in self.database.rows(SELECT_FIRST, (limit,))]


def _retract(connection: sqlite3.Connection, partition: int, customer_id: CustomerId) -> None:
    """Delete a customer's dead letters, with their marks, and late events."""
    outputs_of = partition, customer_id
    connection.execute(
        "DELETE FROM dead_letter_marks WHERE (partition, position) IN"
        " (SELECT partition, position FROM dead_letters WHERE partition = ? AND customer_id = ?)",
        outputs_of,
    )
    connection.execute("DELETE FROM dead_letters WHERE partition = ? AND customer_id = ?", outputs_of)
    connection.execute("DELETE FROM late_events WHERE partition = ? AND customer_id = ?", outputs_of)
