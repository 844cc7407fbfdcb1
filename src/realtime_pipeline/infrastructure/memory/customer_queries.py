"""Queries of the cells in memory."""

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
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore


class MemoryCustomerQueries(CustomerQueries):
    """Reads the dictionaries of a `MemoryCellStore`; other threads may commit meanwhile."""

    def __init__(self, store: MemoryCellStore, session_retention_ms: int) -> None:
        self._store = store
        self._session_retention_ms = session_retention_ms

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        return self._store.positions(partitions)

    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers."""
        values = ((customer_id, self._store.customers.get(customer_id)) for customer_id in customer_ids)
        return {customer_id: decode_customer(value, customer_id) for customer_id, value in values if value is not None}

    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read session summaries, and drop those that are expired by the newest event time of their cells."""
        values = ((key, self._store.sessions.get(key)) for key in keys)
        found = {key: decode_session_summary(value) for key, value in values if value is not None}
        oldest_ms = {
            partition: min(cell.watermark.newest_ms, now_ms) - self._session_retention_ms
            for partition, cell in list(self._store.cells.items())
        }
        return {key: summary for key, summary in found.items() if summary.last_at_ms >= oldest_ms[key % PARTITIONS_MAX]}

    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews."""
        reviews = self._store.reviews.get(customer_id, {})
        return sorted([*reviews.values()], key=lambda review: (-review.occurred_at_ms, review.product_id))

    def scan(self) -> Iterator[Customer]:
        """Read every customer."""
        for value in list(self._store.customers.values()):
            yield decode_customer(value)

    def counts(self) -> Mapping[RecordClass, int]:
        """Add up the records of each class over all cells."""
        total: dict[RecordClass, int] = {}
        for cell in list(self._store.cells.values()):
            for name, count in list(cell.counts.items()):
                total[name] = total.get(name, 0) + count
        return total
