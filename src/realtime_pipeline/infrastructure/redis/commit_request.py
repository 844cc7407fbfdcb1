"""A commit as the one request that writes it; `functions.lua` says what is where."""

from collections.abc import Collection
from typing import Final

from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.domain.streams.effects import Effects
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.outbox import encode_entry
from realtime_pipeline.infrastructure.codecs.state import encode_customer, encode_review, encode_session_summary
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys

COUNT: Final = b"n_"
"""What the names of a cell's fields begin with that count records of a class."""


_ALL_OTHERS: Final = -1
"""Said in place of how many fields are deleted: all that are not written."""


class _Hashes:
    """Changes to hashes: fields to delete, values to set, and when each hash expires.

    A hash that is `replaced` keeps only what is written to it.
    """

    def __init__(self, replaced: Collection[str]) -> None:
        self._replaced = replaced
        self._deleted: dict[str, list[bytes | str | int]] = {}
        self._written: dict[str, list[bytes | str | int]] = {}
        self._expires_ms: dict[str, int] = {}

    def delete(self, name: str, field: bytes | str | int) -> None:
        self._deleted.setdefault(name, []).append(field)

    def write(self, name: str, field: bytes | str | int, value: bytes | int, expires_ms: int = 0) -> None:
        self._written.setdefault(name, []).extend((field, value))
        if expires_ms:
            self._expires_ms[name] = expires_ms

    def names(self) -> list[str]:
        return list(self._deleted | self._written)

    def arguments(self) -> list[bytes | str | int]:
        written: list[bytes | str | int] = [len(self.names())]
        for name in self.names():
            deleted, values = self._deleted.get(name, []), self._written.get(name, [])
            which = [_ALL_OTHERS] if name in self._replaced else [len(deleted), *deleted]
            written += [*which, len(values), *values, self._expires_ms.get(name, 0)]
        return written


def commit_request(keys: Keys, commit: Commit, session_retention_ms: int) -> tuple[Request, int]:
    """Write a commit as a request; say how many bytes its entry takes."""
    partition, effects, watermark = commit.partition, commit.effects, commit.watermark
    entry = encode_entry(commit.entry)
    customers = keys.customers(partition, effects.customers)
    gone = [keys.reviews(partition, customer_id) for customer_id in effects.tombstones]
    hashes = _hashes(keys, partition, effects, session_retention_ms, gone)
    kept = {*customers, *hashes.names()}  # of who came back since
    unlinked = [key for key in keys.customers(partition, list(effects.tombstones)) + gone if key not in kept]
    names = [keys.cell(partition), keys.outbox(partition), *unlinked, *customers, *hashes.names()]
    counts = [part for name, count in effects.counts.items() for part in (COUNT + name.value.encode(), count)]
    request: Request = (
        "FCALL",
        "rp9_commit",
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


def _hashes(
    keys: Keys, partition: int, effects: Effects, session_retention_ms: int, replaced: Collection[str]
) -> _Hashes:
    hashes = _Hashes(replaced)
    for customer_id, at_ms in effects.tombstones.items():
        hashes.write(keys.tombstones(partition), tombstone_key(customer_id), at_ms)
    for key in effects.sessions_dropped - effects.sessions.keys():
        hashes.delete(keys.sessions(key), key)
    for key, session in effects.sessions.items():
        hashes.write(keys.sessions(key), key, encode_session_summary(session), session_retention_ms)
    for (customer_id, product_id), review in effects.reviews.items():
        name = keys.reviews(partition, customer_id)
        if review is None:
            hashes.delete(name, product_id)
        else:
            hashes.write(name, product_id, encode_review(review))
    return hashes
