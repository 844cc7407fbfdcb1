"""Customer queries on the cells in SQLite."""

from collections.abc import Collection, Iterator, Mapping

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey, SessionSummary
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.state import (
    decode_customer,
    decode_session_summary,
)
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.statements import as_json, read_customers

SCAN_BATCH_ROWS = 1_000


class SqliteCustomerQueries(CustomerQueries):
    """Reads the tables of the cells. Readers of the file do not wait for the worker."""

    def __init__(self, database: Database, session_retention_ms: int) -> None:
        self._database = database
        self._session_retention_ms = session_retention_ms

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        positions = dict(self._database.rows("SELECT partition, position FROM cells"))
        return {partition: positions.get(partition, 0) for partition in partitions}

    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers."""
        return read_customers(self._database, customer_ids)

    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read the summaries of sessions that have not expired."""
        rows = self._database.rows(
            "SELECT session_key, record FROM sessions WHERE session_key IN (SELECT value FROM json_each(?))",
            (as_json(keys),),
        )
        newest_ms = self._database.rows("SELECT partition, newest_ms FROM cells")
        oldest_ms = {partition: min(at_ms, now_ms) - self._session_retention_ms for partition, at_ms in newest_ms}
        decoded = ((key, decode_session_summary(record)) for key, record in rows)
        return {key: summary for key, summary in decoded if summary.last_at_ms >= oldest_ms[key % PARTITIONS_MAX]}

    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews."""
        rows = self._database.rows(
            "SELECT customer_id, product_id, rating, text, occurred_at_ms FROM reviews WHERE customer_id = ?"
            " ORDER BY occurred_at_ms DESC, product_id",
            (customer_id,),
        )
        return [Review(*row) for row in rows]

    def scan(self) -> Iterator[Customer]:
        """Read every customer, in batches."""
        last = -1
        while rows := self._database.rows(
            "SELECT rowid, record FROM customers WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, SCAN_BATCH_ROWS)
        ):
            for _, record in rows:
                yield decode_customer(record)
            last = rows[-1][0]

    def counts(self) -> Mapping[RecordClass, int]:
        """Return how many records were folded into each class."""
        rows = self._database.rows("SELECT class, sum(records) FROM counts GROUP BY class")
        return {RecordClass(name): count for name, count in rows}
