"""Queries of the cells in Redis."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey, SessionSummary, partition_of
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.state import decode_customer, decode_review, decode_session_summaries
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.commit_request import COUNT
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys, by_sessions_hash
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.stored_log import StoredLog

READ_AT_ONCE = 500
"""Sessions of one `HMGET`. A longer request would block every other reader of its node."""
SCANNED_KEYS = 1_000


class RedisCustomerQueries(CustomerQueries):
    """Reads the keys of cells. It needs the right to read, and no Function."""

    def __init__(self, client: RedisClient, settings: RedisSettings, session_retention_ms: int) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._namespace = settings.namespace
        self._session_retention_ms = session_retention_ms
        self._log = StoredLog(client, settings)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        cells = [self._keys.cell(partition) for partition in partitions]
        replies = self._client.execute([(cell, ("HGET", cell, "position")) for cell in cells])
        return {partition: int(raw or 0) for partition, raw in zip(partitions, replies, strict=True)}

    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers, each by a `GET`: `MGET` returns None for a key of another type, where `GET` fails."""
        keys = [self._keys.customers(self._log.partition_of(id_), [id_])[0] for id_ in customer_ids]
        values = zip(customer_ids, self._client.execute([(key, ("GET", key)) for key in keys]), strict=True)
        return {customer_id: decode_customer(value, customer_id) for customer_id, value in values if value is not None}

    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read session summaries, and drop those that are expired by the newest event time of their cells."""
        by_hash = by_sessions_hash(keys)
        parts = [group[at : at + READ_AT_ONCE] for group in by_hash for at in range(0, len(group), READ_AT_ONCE)]
        hashes = [self._keys.sessions(part[0]) for part in parts]
        cells = {partition: self._keys.cell(partition) for partition in {partition_of(group[0]) for group in by_hash}}
        requests: list[tuple[Key, Request]] = [(cell, ("HGET", cell, "newest_ms")) for cell in cells.values()]
        requests += [(key, ("HMGET", key, *part)) for key, part in zip(hashes, parts, strict=True)]
        replies = self._client.execute(requests)
        newest_ms = zip(cells, replies, strict=False)
        oldest_ms = {
            partition: min(int(at_ms or 0), now_ms) - self._session_retention_ms for partition, at_ms in newest_ms
        }
        order = [key for part in parts for key in part]
        summaries = decode_session_summaries([value for values in replies[len(cells) :] for value in values])
        return {
            key: summary
            for key, summary in zip(order, summaries, strict=True)
            if summary is not None and summary.last_at_ms >= oldest_ms[key % PARTITIONS_MAX]
        }

    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews."""
        key = self._keys.reviews(self._log.partition_of(customer_id), customer_id)
        reviews = map(decode_review, self._execute(key, "HVALS", key))
        return sorted(reviews, key=lambda review: (-review.occurred_at_ms, review.product_id))

    def scan(self) -> Iterator[Customer]:
        """Read every customer, in parts. All ids stay in memory meanwhile, because `SCAN` may list a key twice."""
        seen: set[bytes] = set()
        pattern = f"{self._namespace}:{{c*}}:customer:*"  # also matches reviews of a customer whose id looks like a key
        is_customer = re.compile(rf"{re.escape(self._namespace)}:\{{c\d+\}}:customer:".encode()).match
        for listed in self._client.scan(pattern, SCANNED_KEYS):
            keys = [key for key in listed if key not in seen and is_customer(key)]
            seen.update(keys)
            for value in self._client.execute([(key.decode(), ("GET", key)) for key in keys]):
                if value is not None:
                    yield decode_customer(value)

    def counts(self) -> Mapping[RecordClass, int]:
        """Add up the records of each class over all cells."""
        cells = [self._keys.cell(partition) for partition in range(self._log.partitions)]
        total: dict[RecordClass, int] = {}
        for fields in self._client.execute([(cell, ("HGETALL", cell)) for cell in cells]):
            for name, count in fields.items():
                if name.startswith(COUNT):
                    class_ = RecordClass(name[len(COUNT) :].decode())
                    total[class_] = total.get(class_, 0) + int(count)
        return total

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        return self._client.execute([(key, request)])[0]
