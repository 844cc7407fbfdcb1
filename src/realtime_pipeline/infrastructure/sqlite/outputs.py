"""Outputs in SQLite."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.outputs import Emission, Outputs, RecoverPosition, nothing_emitted
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.database import Database

Append = Callable[[sqlite3.Connection, Sequence[Outgoing]], object]
"""Append records to the log, within a transaction where that lies in the same file."""


class SqliteOutputs(Outputs):
    """A table of dead letters, and a position for each partition; what is for the log goes along.

    Where the store is elsewhere, `is_apart`: it may have folded what is put into the log here before the file is safe
    on the disk, and would stand ahead of the log after a power failure. So that waits for the disk.
    """

    def __init__(self, database: Database, append: Append, is_apart: bool = False) -> None:
        self.database = database
        self.append = append
        self._is_apart = is_apart

    @property
    def linger_ms(self) -> int:
        """Emissions are part of the round's transaction."""
        return 0

    @property
    def can_retract(self) -> bool:
        """They are deleted."""
        return True

    def epoch(self, partition: int) -> int:
        """The largest epoch by which outputs were claimed."""
        rows = self.database.rows("SELECT epoch FROM output_positions WHERE partition = ?", (partition,))
        return rows[0][0] if rows else 0

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        """Shut earlier owners out, then read the position."""
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
        stand = dict(self.database.rows("SELECT partition, position FROM output_positions"))
        return {partition: stand.get(partition, 0) for partition in partitions}

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Write outputs and positions, all or nothing."""
        for emission in emissions:
            self._emit(emission)

    def _emit(self, emission: Emission) -> None:
        with self.database.transaction(durable=self._is_apart and bool(emission.outgoing)) as connection:
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
                whose = emission.partition, customer_id
                connection.execute(
                    "DELETE FROM dead_letter_marks WHERE (partition, position) IN"
                    " (SELECT partition, position FROM dead_letters WHERE partition = ? AND customer_id = ?)",
                    whose,
                )
                connection.execute("DELETE FROM dead_letters WHERE partition = ? AND customer_id = ?", whose)
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
            if emission.outgoing:
                self.append(connection, emission.outgoing)

    def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The first dead letters, by partition and position."""
        rows = self.database.rows(
            "SELECT reason, customer_id, partition, position, key, value, appended_at_ms, origin FROM dead_letters"
            " ORDER BY partition, position LIMIT ?",
            (limit,),
        )
        return [DeadLetter(Record(*record), reason, customer_id) for reason, customer_id, *record in rows]
