"""What a worker of a newer release writes: stored profiles, and messages in the log."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from realtime_pipeline import Pipeline
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.redis.keys import Keys
from tests.support.histories import append, embedded, opened
from tests.support.visitors import SETTINGS, login, looks
from tests.support.workers import new_worker

Fields = dict[str, Any]
"""The fields of a stored profile or of a message, by name."""

NEWER: Fields = {"format": [3, 1], "loyalty": {"points": 5}}
"""What a newer release may add to a profile: a newer format, which this release can read, and an unknown field."""


class StoredProfiles:
    """The stored profiles of a pipeline, as a newer worker reads and writes them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._container = pipeline, pipeline.container

    def read(self, customer_id: str) -> Fields:
        fields: Fields = msgspec.msgpack.decode(self.read_bytes(customer_id))
        return fields

    def read_bytes(self, customer_id: str) -> bytes:
        store = self._container.settings().store
        stored: bytes
        if store == "sqlite":
            rows = self._container.database().rows("SELECT record FROM customers WHERE customer_id = ?", (customer_id,))
            stored = rows[0][0]
        elif store == "redis":
            key = self._key(customer_id)
            stored = self._container.redis_client().execute([(key, ("GET", key))])[0]
        else:
            stored = self._in_memory()[customer_id]
        return stored

    def write_bytes(self, customer_id: str, value: bytes) -> None:
        store = self._container.settings().store
        if store == "sqlite":
            with self._container.database().transaction() as connection:
                connection.execute("UPDATE customers SET record = ? WHERE customer_id = ?", (value, customer_id))
        elif store == "redis":
            key = self._key(customer_id)
            self._container.redis_client().execute([(key, ("SET", key, value))])
        else:
            self._in_memory()[customer_id] = value

    def add(self, customer_id: str, **fields: object) -> None:
        """Write fields to a profile as a newer worker does, then restart the worker of this release."""
        self.write_bytes(customer_id, msgspec.msgpack.encode(self.read(customer_id) | fields))
        new_worker(self._pipeline)

    def _in_memory(self) -> dict[Any, bytes]:
        cells = self._container.cells()
        assert isinstance(cells, MemoryCellStore)
        customers: dict[Any, bytes] = cells.customers
        return customers

    def _key(self, customer_id: str) -> str:
        keys, client = Keys(self._container.settings().redis.namespace), self._container.redis_client()
        candidates = [keys.customers(partition, [customer_id])[0] for partition in range(SETTINGS.partitions)]  # type: ignore[list-item]
        return next(key for key in candidates if client.execute([(key, ("EXISTS", key))])[0])


def unchanged(fields: Fields) -> Fields:
    return fields


def merge_message(
    change_message: Callable[[Fields], Fields] = unchanged, change_profile: Callable[[Fields], Fields] = unchanged
) -> bytes:
    """The message that merges a visitor's profile into ada's, as a worker of another release appends it to the log."""
    with opened(embedded("memory", Path(), SETTINGS)) as another:
        append(another, [*looks("mug", session="s9"), login(session="s9")])
        another.process()
        records = [record for partition in another.container.memory_log().records for record in partition]
        (value,) = [record.value for record in records if b"history_merged" in record.value]
    message: Fields = msgspec.json.decode(value)
    profile = change_profile(msgspec.msgpack.decode(b64decode(message["history"])))
    message["history"] = b64encode(msgspec.msgpack.encode(profile)).decode()
    return msgspec.json.encode(change_message(message))
