"""Panes of windows in SQLite: a row for each chunk."""

import json
import sqlite3
from collections.abc import Collection, Mapping

from realtime_pipeline.application.ports.window_queries import CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME
from realtime_pipeline.domain.analytics.panes import ChunkChanges, Chunks, PaneId
from realtime_pipeline.infrastructure.codecs.panes import decode_chunks, encode_chunk, encode_chunk_id
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.statements import as_json


def write_panes(connection: sqlite3.Connection, partition: int, panes: Mapping[PaneId, ChunkChanges]) -> None:
    """Write and delete chunks."""
    written, deleted = [], []
    for (fingerprint, start_ms), changes in panes.items():
        for chunk_id, chunk in changes.items():
            row = (partition, fingerprint, start_ms, encode_chunk_id(chunk_id))
            if chunk is None:
                deleted.append(row)
            else:
                written.append((*row, encode_chunk(chunk)))
    connection.executemany(
        "INSERT INTO panes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", written
    )
    connection.executemany(
        "DELETE FROM panes WHERE partition = ? AND fingerprint = ? AND start_ms = ? AND chunk = ?", deleted
    )


def read_pane(database: Database, partition: int, pane_id: PaneId) -> Chunks:
    """Read all chunks of a pane."""
    rows = database.rows(
        "SELECT chunk, value FROM panes WHERE partition = ? AND fingerprint = ? AND start_ms = ?", (partition, *pane_id)
    )
    return decode_chunks(rows)


class SqliteWindowQueries(WindowQueries):
    """Reads windows from the file; what one call reads is of one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def starts(self, fingerprint: str) -> Collection[int]:
        """The starts of all panes of a definition."""
        rows = self._database.rows(
            "SELECT DISTINCT start_ms FROM panes WHERE partition IN (SELECT value FROM json_each(?))"
            " AND fingerprint = ? AND start_ms <> ?",
            (self._partitions(), fingerprint, NOTES_MS),
        )
        return {start_ms for (start_ms,) in rows}

    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, CellPanes]:
        """Read panes of every partition, by one statement."""
        partitions = self._partitions()
        rows = self._database.rows(
            "SELECT partition, fingerprint, start_ms, chunk, value FROM panes"
            " WHERE partition IN (SELECT value FROM json_each(?)) AND fingerprint IN (?, ?)"
            " AND start_ms IN (SELECT value FROM json_each(?))",
            (partitions, *(TIME.fingerprint, fingerprint), as_json([NOTES_MS, *starts_ms])),
        )
        found: dict[int, dict[PaneId, list[tuple[bytes, bytes]]]] = {}
        for partition, of_definition, start_ms, chunk, value in rows:
            panes = found.setdefault(partition, {})
            panes.setdefault(PaneId(of_definition, start_ms), []).append((chunk, value))
        decoded = {
            partition: {pane_id: decode_chunks(pairs) for pane_id, pairs in found.get(partition, {}).items()}
            for partition in json.loads(partitions)
        }
        return {partition: CellPanes.of(panes, fingerprint) for partition, panes in decoded.items()}

    def _partitions(self) -> str:
        """The partitions of the log that the store was built from, as JSON."""
        rows = self._database.rows("SELECT value FROM meta WHERE name = 'built_from'")
        return as_json(range(int(rows[0][0].rsplit("/", 2)[1]) if rows else 0))
