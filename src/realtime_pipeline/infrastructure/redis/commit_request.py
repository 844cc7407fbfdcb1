"""Writes a commit as one request to the Function `commit`; `lua/cells.lua` describes its arguments."""

from collections.abc import Collection
from typing import Final

from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS
from realtime_pipeline.domain.analytics.panes import ChunkChanges, PaneId
from realtime_pipeline.domain.streams.effects import Effects
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.outbox import encode_entry
from realtime_pipeline.infrastructure.codecs.panes import encode_chunk
from realtime_pipeline.infrastructure.codecs.state import encode_customer, encode_review, encode_session_summary
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.panes import pane_field, pane_key

COUNT: Final = b"n_"
"""The prefix of the fields of a cell that count the records of a class."""


_ALL_OTHERS: Final = -1
"""Stands in place of the number of deleted fields: delete all fields that are not written."""


class _HashChanges:
    """Changes of hashes: the fields to delete, the values to write, and the TTL of each hash.

    A hash that is `replaced` keeps only what is written to it.
    """

    def __init__(self, replaced: Collection[str]) -> None:
        self._replaced = replaced
        self._deleted: dict[str, list[bytes | str | int]] = {}
        self._written: dict[str, list[bytes | str | int]] = {}
        self._ttl_ms: dict[str, int] = {}

    def delete(self, key: str, field: bytes | str | int) -> None:
        self._deleted.setdefault(key, []).append(field)

    def write(self, key: str, field: bytes | str | int, value: bytes | int, ttl_ms: int = 0) -> None:
        self._written.setdefault(key, []).extend((field, value))
        if ttl_ms:
            self._ttl_ms[key] = ttl_ms

    def names(self) -> list[str]:
        return list(self._deleted | self._written)

    def arguments(self) -> list[bytes | str | int]:
        arguments: list[bytes | str | int] = [len(self.names())]
        for key in self.names():
            fields, pairs = self._deleted.get(key, []), self._written.get(key, [])
            deleted = [_ALL_OTHERS] if key in self._replaced else [len(fields), *fields]
            arguments += [*deleted, len(pairs), *pairs, self._ttl_ms.get(key, 0)]
        return arguments


def commit_request(keys: Keys, commit: Commit, session_retention_ms: int) -> tuple[Request, int]:
    """Write a commit as a request; return it with the size of its outbox entry in bytes."""
    partition, effects, watermark = commit.partition, commit.effects, commit.watermark
    entry = encode_entry(commit.entry)
    customers = keys.customers(partition, effects.customers)
    forgotten = [keys.reviews(partition, customer_id) for customer_id in effects.tombstones]
    hashes = _hash_changes(keys, partition, effects, session_retention_ms, forgotten)
    kept = {*customers, *hashes.names()}  # of customers who came back after they were forgotten
    unlinked = [key for key in keys.customers(partition, list(effects.tombstones)) + forgotten if key not in kept]
    names = [keys.cell(partition), keys.outbox(partition), *unlinked, *customers, *hashes.names()]
    counts = [part for name, count in effects.counts.items() for part in (COUNT + name.value.encode(), count)]
    request: Request = (
        "FCALL",
        "rp12_commit",
        len(names),
        *names,
        commit.epoch,
        commit.from_position,
        commit.number - 1,
        commit.to_position,
        commit.number,
        watermark.at_ms,
        watermark.newest_ms,
        watermark.appended_at_ms,
        watermark.largest_ms,
        entry,
        len(effects.counts),
        *counts,
        len(unlinked),
        len(customers),
        *map(encode_customer, effects.customers.values()),
        *hashes.arguments(),
    )
    return request, len(entry)


def _hash_changes(
    keys: Keys, partition: int, effects: Effects, session_retention_ms: int, replaced: Collection[str]
) -> _HashChanges:
    changes = _HashChanges(replaced)
    for customer_id, at_ms in effects.tombstones.items():
        changes.write(keys.tombstones(partition), tombstone_key(customer_id), at_ms)
    for key in effects.sessions_dropped - effects.sessions.keys():
        changes.delete(keys.sessions(key), key)
    for key, session in effects.sessions.items():
        changes.write(keys.sessions(key), key, encode_session_summary(session), session_retention_ms)
    for (customer_id, product_id), review in effects.reviews.items():
        reviews = keys.reviews(partition, customer_id)
        if review is None:
            changes.delete(reviews, product_id)
        else:
            changes.write(reviews, product_id, encode_review(review))
    for pane_id, chunks in effects.panes.items():
        _write_pane(keys, partition, pane_id, chunks, changes)
    return changes


def _write_pane(keys: Keys, partition: int, pane_id: PaneId, chunks: ChunkChanges, changes: _HashChanges) -> None:
    key = pane_key(keys, partition, pane_id)
    for chunk_id, chunk in chunks.items():
        field = pane_field(pane_id, chunk_id)
        if chunk is None:
            changes.delete(key, field)
        else:
            changes.write(key, field, encode_chunk(chunk))
    if pane_id.start_ms != NOTES_MS:
        changes.write(keys.panes(partition, pane_id.fingerprint), pane_id.start_ms, b"")
