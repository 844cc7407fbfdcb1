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
"""A longer request would delay every other reader of its node."""
SCANNED_KEYS = 1_000


class RedisCustomerQueries(CustomerQueries):
    """Reads the keys of cells; needs the right to read, and no Function."""

    def __init__(self, client: RedisClient, settings: RedisSettings, session_retention_ms: int) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._namespace = settings.namespace
        self._session_retention_ms = session_retention_ms
        self._log = StoredLog(client, settings)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read where cells stand."""
        cells = [self._keys.cell(partition) for partition in partitions]
        answers = self._client.execute([(cell, ("HGET", cell, "position")) for cell in cells])
        return {partition: int(said or 0) for partition, said in zip(partitions, answers, strict=True)}

    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers: one by one, as `MGET` takes a key of another type for none."""
        keys = [self._keys.customers(self._log.partition_of(one), [one])[0] for one in customer_ids]
        values = zip(customer_ids, self._client.execute([(key, ("GET", key)) for key in keys]), strict=True)
        return {customer_id: decode_customer(value, customer_id) for customer_id, value in values if value is not None}

    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read what sessions leave for others, and how far the time of their cells has come."""
        listed = by_sessions_hash(keys)
        parts = [some[at : at + READ_AT_ONCE] for some in listed for at in range(0, len(some), READ_AT_ONCE)]
        names = [self._keys.sessions(some[0]) for some in parts]
        cells = {partition: self._keys.cell(partition) for partition in {partition_of(some[0]) for some in listed}}
        asked: list[tuple[Key, Request]] = [(cell, ("HGET", cell, "newest_ms")) for cell in cells.values()]
        asked += [(name, ("HMGET", name, *some)) for name, some in zip(names, parts, strict=True)]
        answers = self._client.execute(asked)
        newest_ms = zip(cells, answers, strict=False)
        oldest_ms = {
            partition: min(int(at_ms or 0), now_ms) - self._session_retention_ms for partition, at_ms in newest_ms
        }
        order = [key for some in parts for key in some]
        trails = decode_session_summaries([value for values in answers[len(cells) :] for value in values])
        return {
            key: trail
            for key, trail in zip(order, trails, strict=True)
            if trail is not None and trail.last_at_ms >= oldest_ms[key % PARTITIONS_MAX]
        }

    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews."""
        key = self._keys.reviews(self._log.partition_of(customer_id), customer_id)
        reviews = map(decode_review, self._execute(key, "HVALS", key))
        return sorted(reviews, key=lambda review: (-review.occurred_at_ms, review.product_id))

    def scan(self) -> Iterator[Customer]:
        """Read every customer, some at a time. The ids of all are held meanwhile: Redis may list one twice."""
        seen: set[bytes] = set()
        pattern = f"{self._namespace}:{{c*}}:customer:*"  # others' ids may look like this too
        is_customer = re.compile(rf"{re.escape(self._namespace)}:\{{c\d+\}}:customer:".encode()).match
        for listed in self._client.scan(pattern, SCANNED_KEYS):
            names = [name for name in listed if name not in seen and is_customer(name)]
            seen.update(names)
            for value in self._client.execute([(name.decode(), ("GET", name)) for name in names]):
                if value is not None:
                    yield decode_customer(value)

    def counts(self) -> Mapping[RecordClass, int]:
        """How many records were folded into each class."""
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
