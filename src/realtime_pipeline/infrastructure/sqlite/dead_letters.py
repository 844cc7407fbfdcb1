"""Reading and handling dead letters in SQLite."""

from collections.abc import Collection, Iterator, Sequence

from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey, LetterState
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.byte_budget import ByteBudget
from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

BATCH_ROWS = 500
BATCH_BYTES_MAX = 16_000_000
_VALUE_COLUMN = 8
"""The column that may be large."""


class SqliteDeadLetters(DeadLetters):
    """Marks letters in a table of marks; if the log is in the same file, marks and records are one transaction."""

    def __init__(self, outputs: SqliteOutputs, observer: StageObserver) -> None:
        self._database = outputs.database
        self._append = outputs.append
        self._observer = observer

    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read letters by partition and position, up to the last letter that each partition has now."""
        lasts = self._database.rows(
            "SELECT partition, (SELECT max(position) FROM dead_letters WHERE partition = known.partition)"
            " FROM output_positions AS known ORDER BY partition"
        )
        for partition, last in lasts:
            if last is not None and (partitions is None or partition in partitions):
                yield from self._letters_of(partition, last)

    def _letters_of(self, partition: int, last: int) -> Iterator[Letter]:
        begin = 0
        while rows := self._database.rows_until(
            ByteBudget(BATCH_BYTES_MAX, _VALUE_COLUMN).is_spent_by,
            "SELECT reason, customer_id, state, at_ms, note,"
            " l.partition, l.position, key, value, appended_at_ms, origin"
            " FROM dead_letters l LEFT JOIN dead_letter_marks USING (partition, position)"
            " WHERE l.partition = ? AND l.position BETWEEN ? AND ? ORDER BY l.position LIMIT ?",
            (partition, begin, last, BATCH_ROWS),
        ):
            for reason, customer_id, state, at_ms, note, *columns in rows:
                record = Record(*columns)
                begin = record.position + 1
                handling = None if state is None else Handling(LetterState(state), at_ms, note)
                yield Letter(DeadLetter(record, reason, customer_id), handling)

    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Mark letters and append records in one transaction, synced to the disk."""
        with self._database.transaction(durable=True) as connection:
            marked: dict[LetterKey, Outgoing | None] = {}
            for key, outgoing in batch:
                written = connection.execute(
                    "INSERT INTO dead_letter_marks SELECT partition, position, ?, ?, ? FROM dead_letters"
                    " WHERE partition = ? AND position = ? AND appended_at_ms = ? ON CONFLICT DO NOTHING",
                    (handling.state.value, handling.at_ms, handling.note, *key),
                )
                if written.rowcount == 1:
                    marked[key] = outgoing
            records = [outgoing for outgoing in marked.values() if outgoing is not None]
            if records:
                self._append(connection, records)
                self._observer.reached(Stage.APPENDED, len(records))
        return marked.keys()
