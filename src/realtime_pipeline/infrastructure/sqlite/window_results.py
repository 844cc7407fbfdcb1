"""Results of windows in SQLite: a row for each window and key."""

from collections.abc import Collection, Mapping, Sequence

from realtime_pipeline.application.errors import Fenced
from realtime_pipeline.application.ports.window_results import Emitted, WindowResults
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.infrastructure.codecs.window_results import decode_result, encode_key, encode_result
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.statements import as_json


class SqliteWindowResults(WindowResults):
    """Writes results, and how far they go, in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_lossless(self) -> bool:
        """One file has no failover."""
        return True

    def emitted(self, fingerprints: Collection[str]) -> Mapping[str, Emitted]:
        """Read how far the results of definitions are written."""
        rows = self._database.rows(
            "SELECT fingerprint, emitted_ms, settled_ms, marked_ms, marked_at_ms FROM window_progress"
            " WHERE fingerprint IN (SELECT value FROM json_each(?))",
            (as_json(fingerprints),),
        )
        found = {fingerprint: Emitted(*times) for fingerprint, *times in rows}
        return {fingerprint: found.get(fingerprint, Emitted()) for fingerprint in fingerprints}

    def write(
        self,
        fingerprint: str,
        results: Sequence[WindowResult],
        emitted: Emitted,
        now_ms: int,
        before: Emitted | None = None,
    ) -> None:
        """Write results, and how far they go."""
        starts = {result.start_ms for result in results}
        rows = [
            (fingerprint, result.start_ms, encode_key(result).decode(), now_ms, encode_result(result).decode())
            for result in results
        ]
        times = emitted.emitted_ms, emitted.settled_ms, emitted.marked_ms, emitted.marked_at_ms
        with self._database.transaction() as connection:
            if before is not None and before != self.emitted([fingerprint])[fingerprint]:
                raise Fenced(f"results of {fingerprint} are not written as far as they were")
            connection.executemany(
                "DELETE FROM window_results WHERE fingerprint = ? AND start_ms = ?",
                ((fingerprint, start_ms) for start_ms in starts),
            )
            connection.executemany("INSERT INTO window_results VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("INSERT OR REPLACE INTO window_progress VALUES (?, ?, ?, ?, ?)", (fingerprint, *times))

    def write_again(self) -> None:
        """Forget how far results are written."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM window_progress")

    def starts(self, fingerprint: str, from_ms: int, to_ms: int, limit: int) -> Sequence[int]:
        """The starts of the latest windows with results."""
        rows = self._database.rows(
            "SELECT DISTINCT start_ms FROM window_results WHERE fingerprint = ? AND start_ms >= ? AND start_ms < ?"
            " ORDER BY start_ms DESC LIMIT ?",
            (fingerprint, from_ms, to_ms, limit),
        )
        return [start_ms for (start_ms,) in rows]

    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, Sequence[WindowResult]]:
        """Read the results of windows."""
        rows = self._database.rows(
            "SELECT result FROM window_results WHERE fingerprint = ? AND start_ms IN (SELECT value FROM json_each(?))",
            (fingerprint, as_json(starts_ms)),
        )
        found: dict[int, list[WindowResult]] = {}
        for (text,) in rows:
            result = decode_result(text.encode())
            found.setdefault(result.start_ms, []).append(result)
        return found

    def expire(self, fingerprint: str, before_ms: int, limit: int) -> int:
        """Delete the results written before a time."""
        rows = self._database.rows(
            "SELECT DISTINCT start_ms FROM window_results WHERE fingerprint = ? AND written_at_ms < ? LIMIT ?",
            (fingerprint, before_ms, limit),
        )
        if rows:
            with self._database.transaction() as connection:
                connection.executemany(
                    "DELETE FROM window_results WHERE fingerprint = ? AND start_ms = ?",
                    ((fingerprint, start_ms) for (start_ms,) in rows),
                )
        return len(rows)
