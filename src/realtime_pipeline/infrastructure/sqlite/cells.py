"""Cells in SQLite: customers, sessions, reviews and positions of the partitions."""

import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from realtime_pipeline.application.errors import Fenced, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, ClaimedCell, Commit, OutboxEntry
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import Effects
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.state import (
    encode_customer,
    encode_session_summary,
)
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.panes import purge_panes, read_pane, write_panes
from realtime_pipeline.infrastructure.sqlite.statements import as_json, read_customers

CELL_TABLES = ("cells", "counts", "customers", "tombstones", "sessions", "reviews", "panes")
"""The tables that `erase` empties and that a snapshot holds."""

SWEEP_ROWS_MIN = 64
"""How many sessions a commit checks for expiry at least."""

_RECORD_FORGOTTEN = """
INSERT OR REPLACE INTO snapshot_forgotten SELECT ?, newest FROM (
    SELECT max(number) AS newest FROM (SELECT number FROM snapshots UNION ALL SELECT snapshot FROM snapshot_chunks)
) WHERE newest IS NOT NULL
"""
"""Records which snapshots may hold a forgotten customer. An earlier record is replaced: newer snapshots may hold events
that came since, or that a rebuild processed again."""


class SqliteCellStore(CellStore):
    """Tables of one file. A round's commits, merges and emissions are one transaction of it.

    So views and outputs are never behind the cells, and the outbox is always empty. Sessions expire
    `session_retention_ms` after their last event, in event time; each commit deletes some of the expired ones.
    """

    def __init__(self, database: Database, session_retention_ms: int, observer: StageObserver) -> None:
        self._database = database
        self._session_retention_ms = session_retention_ms
        self._observer = observer
        self._sweep_position = -1

    @property
    def commit_records_max(self) -> int:
        """No limit: readers of the file do not wait for a commit."""
        return sys.maxsize

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one transaction of all writes within the block."""
        with self._database.transaction():
            yield

    def bind(self, identity: LogIdentity) -> None:
        """Bind the store to a log, or check the binding."""
        name = str(identity)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES ('built_from', ?) ON CONFLICT DO NOTHING", (name,))
            bound = connection.execute("SELECT value FROM meta WHERE name = 'built_from'").fetchone()[0]
        if bound != name:
            raise WrongLog(
                f"the store in {self._database.path} was built from log {bound}, this is {name}; use another file"
                f"{identity.way_out(bound)}"
            )

    def epoch(self, partition: int) -> int:
        """Return the largest epoch written to the cell."""
        rows = self._database.rows("SELECT epoch FROM cells WHERE partition = ?", (partition,))
        return rows[0][0] if rows else 0

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        positions = dict(self._database.rows("SELECT partition, position FROM cells"))
        return {partition: positions.get(partition, 0) for partition in partitions}

    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, then read the cell's position, commit number and watermark."""
        with self._database.transaction() as connection:
            written = connection.execute(
                "INSERT INTO cells VALUES (?, ?, 0, 0, -1, -1, -1, -1)"
                " ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch > epoch",
                (partition, epoch),
            )
            if written.rowcount != 1:
                raise Fenced(f"partition {partition} has epoch {epoch} or a larger one already")
            row = connection.execute(
                "SELECT position, number, watermark_ms, newest_ms, appended_at_ms, largest_ms FROM cells"
                " WHERE partition = ?",
                (partition,),
            ).fetchone()
        return ClaimedCell(row[0], row[1], Watermark(*row[2:]))

    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the wanted customers of each partition."""
        customer_ids = [customer_id for ids in wanted.values() for customer_id in ids]
        found = read_customers(self._database, customer_ids)
        missing = [customer_id for customer_id in customer_ids if customer_id not in found]
        found.update((customer_id, Customer(customer_id)) for customer_id in missing)
        if missing and self._database.rows("SELECT 1 FROM tombstones LIMIT 1"):
            by_digest = {tombstone_key(customer_id).hex(): customer_id for customer_id in missing}
            forgotten = self._database.rows(
                "SELECT digest, forgotten_at_ms FROM tombstones WHERE digest IN (SELECT value FROM json_each(?))",
                (as_json(by_digest.keys()),),
            )
            for digest, at_ms in forgotten:
                found[by_digest[digest]] = Customer.forgotten(by_digest[digest], at_ms)
        return found

    def load_panes(self, wanted: Mapping[int, Collection[PaneId]]) -> Mapping[int, Mapping[PaneId, Chunks]]:
        """Load panes, by partition."""
        return {
            partition: {id_: read_pane(self._database, partition, id_) for id_ in pane_ids}
            for partition, pane_ids in wanted.items()
        }

    def purge_panes(
        self, partition: int, epoch: int, fingerprint: str, starts_ms: Collection[int], purged_ms: int
    ) -> None:
        """Delete panes in one transaction."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT epoch FROM cells WHERE partition = ?", (partition,)).fetchall()
            if rows != [(epoch,)]:
                raise Fenced(f"partition {partition} has another owner")
            purge_panes(connection, partition, fingerprint, starts_ms, purged_ms)

    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Return nothing: the outbox is always empty."""
        return iter(())

    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit in one transaction."""
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> int:
        with self._database.transaction() as connection:
            watermark = commit.watermark
            updated = connection.execute(
                "UPDATE cells SET position = ?, number = ?, watermark_ms = ?, newest_ms = ?, appended_at_ms = ?,"
                " largest_ms = ?"
                " WHERE partition = ? AND epoch = ? AND position = ? AND number = ?",
                (
                    commit.to_position,
                    commit.number,
                    watermark.at_ms,
                    watermark.newest_ms,
                    watermark.appended_at_ms,
                    watermark.largest_ms,
                    commit.partition,
                    commit.epoch,
                    commit.from_position,
                    commit.number - 1,
                ),
            )
            if updated.rowcount != 1:
                raise Fenced(f"partition {commit.partition} has another owner or another position")
            self._delete(connection, commit.effects)
            self._observer.reached(Stage.COMMITTING, commit.to_position - commit.from_position)
            self._write(connection, commit)
            self._sweep(connection, commit)
        return 0

    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Do nothing: the outbox is always empty."""

    def erase(self) -> None:
        """Delete the rows of all cells."""
        with self._database.transaction() as connection:
            for table in CELL_TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names
        self._sweep_position = -1

    @staticmethod
    def _delete(connection: sqlite3.Connection, effects: Effects) -> None:
        """Delete forgotten customers, dropped sessions and deleted reviews, before anything new is written."""
        for customer_id, at_ms in effects.tombstones.items():
            connection.execute("DELETE FROM customers WHERE customer_id = ?", (customer_id,))
            connection.execute("DELETE FROM reviews WHERE customer_id = ?", (customer_id,))
            digest = tombstone_key(customer_id).hex()
            connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (digest, at_ms))
            connection.execute(_RECORD_FORGOTTEN, (digest,))
        connection.executemany(
            "DELETE FROM sessions WHERE session_key = ?", ((key,) for key in effects.sessions_dropped)
        )
        deleted_reviews = [pair for pair, review in effects.reviews.items() if review is None]
        connection.executemany("DELETE FROM reviews WHERE customer_id = ? AND product_id = ?", deleted_reviews)

    @staticmethod
    def _write(connection: sqlite3.Connection, commit: Commit) -> None:
        effects = commit.effects
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?) ON CONFLICT (customer_id) DO UPDATE SET record = excluded.record",
            ((customer_id, encode_customer(customer)) for customer_id, customer in effects.customers.items()),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)",
            ((key, session.last_at_ms, encode_session_summary(session)) for key, session in effects.sessions.items()),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?, ?)",
            (
                (review.customer_id, review.product_id, review.rating, review.text, review.occurred_at_ms)
                for review in effects.reviews.values()
                if review is not None
            ),
        )
        connection.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
            ((commit.partition, name.value, count) for name, count in effects.counts.items()),
        )
        if effects.panes:
            write_panes(connection, commit.partition, effects.panes)

    def _sweep(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Delete expired sessions: each commit checks some rows in the order of their keys, over and over.

        Now is the newest event time of the partition, but at most the worker's clock.
        """
        expired_ms = min(commit.watermark.newest_ms, commit.at_ms) - self._session_retention_ms
        checked = max(SWEEP_ROWS_MIN, 2 * len(commit.effects.sessions))
        rows = connection.execute(
            "SELECT session_key, last_at_ms FROM sessions WHERE session_key > ? ORDER BY session_key LIMIT ?",
            (self._sweep_position, checked),
        ).fetchall()
        self._sweep_position = rows[-1][0] if len(rows) == checked else -1
        connection.executemany(
            "DELETE FROM sessions WHERE session_key = ?",
            ((key,) for key, at_ms in rows if at_ms < expired_ms and key % PARTITIONS_MAX == commit.partition),
        )
