"""Panes of windows in SQLite: a row for each chunk."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.window_queries import CellNotes, CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME, purged
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


def purge_panes(
    connection: sqlite3.Connection, partition: int, fingerprint: str, starts_ms: Collection[int], purged_ms: int
) -> None:
    """Delete panes, and note it."""
    write_panes(connection, partition, {PaneId(fingerprint, NOTES_MS): purged(purged_ms)})
    connection.executemany(
        "DELETE FROM panes WHERE partition = ? AND fingerprint = ? AND start_ms = ?",
        ((partition, fingerprint, start_ms) for start_ms in starts_ms),
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

    def notes(self, fingerprints: Collection[str]) -> Mapping[int, CellNotes]:
        """Read the notes of every partition, by one statement."""
        partitions = self._partitions()
        rows = self._database.rows(
            "SELECT partition, fingerprint, start_ms, chunk, value FROM panes"
            " WHERE partition IN (SELECT value FROM json_each(?)) AND fingerprint IN (SELECT value FROM json_each(?))"
            " AND start_ms = ?",
            (as_json(partitions), as_json([TIME.fingerprint, *fingerprints]), NOTES_MS),
        )
        found = _decoded(rows)
        return {
            partition: CellNotes.of({id_.fingerprint: chunks for id_, chunks in found.get(partition, {}).items()})
            for partition in partitions
        }

    def starts(self, fingerprint: str) -> Mapping[int, Collection[int]]:
        """The starts of all panes of a definition."""
        partitions = self._partitions()
        rows = self._database.rows(
            "SELECT DISTINCT partition, start_ms FROM panes WHERE partition IN (SELECT value FROM json_each(?))"
            " AND fingerprint = ? AND start_ms <> ?",
            (as_json(partitions), fingerprint, NOTES_MS),
        )
        found: dict[int, set[int]] = {partition: set() for partition in partitions}
        for partition, start_ms in rows:
            found[partition].add(start_ms)
        return found

    def read(self, fingerprint: str, starts_ms: Mapping[int, Collection[int]]) -> Mapping[int, CellPanes]:
        """Read panes of partitions, by one statement."""
        wanted = [(partition, start_ms) for partition, starts in starts_ms.items() for start_ms in (NOTES_MS, *starts)]
        rows = self._database.rows(
            "SELECT partition, fingerprint, start_ms, chunk, panes.value FROM json_each(?) AS wanted JOIN panes"
            " ON partition = json_extract(wanted.value, '$[0]') AND start_ms = json_extract(wanted.value, '$[1]')"
            " AND fingerprint IN (?, ?)",
            (json.dumps(wanted), TIME.fingerprint, fingerprint),
        )
        found = _decoded(rows)
        return {partition: CellPanes.of(found.get(partition, {}), fingerprint) for partition in starts_ms}

    def _partitions(self) -> Sequence[int]:
        """The partitions of the log that the store was built from."""
        rows = self._database.rows("SELECT value FROM meta WHERE name = 'built_from'")
        return range(LogIdentity.partitions_in(rows[0][0]) if rows else 0)


def _decoded(rows: Iterable[tuple[int, str, int, bytes, bytes]]) -> dict[int, dict[PaneId, Chunks]]:
    """Group rows of chunks into panes, by partition."""
    found: dict[int, dict[PaneId, list[tuple[bytes, bytes]]]] = {}
    for partition, fingerprint, start_ms, chunk, value in rows:
        found.setdefault(partition, {}).setdefault(PaneId(fingerprint, start_ms), []).append((chunk, value))
    return {
        partition: {pane_id: decode_chunks(pairs) for pane_id, pairs in panes.items()}
        for partition, panes in found.items()
    }
