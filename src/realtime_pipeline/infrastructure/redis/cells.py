"""Cells in Redis."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, ClaimedCell, Commit, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.outbox import decode_entry
from realtime_pipeline.infrastructure.codecs.state import decode_customer
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.commit_request import commit_request
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import LAYOUT, RedisSettings
from realtime_pipeline.infrastructure.redis.stored_log import StoredLog

OUTBOX_READ_MAX = 64
LOADED_AT_ONCE = 500
"""A longer request would hold up every reader of its node."""


class RedisCellStore(CellStore):
    """Keys under one hash tag a cell, changed by one Function call a commit.

    A customer is one string: set and read with many others by one command, that cost less than a hash each. Sessions
    lie in hashes of those begun at about the same time, which expire whole: a key each with an expiry of its own cost
    three times as much.
    """

    def __init__(
        self, client: RedisClient, settings: RedisSettings, session_retention_ms: int, observer: StageObserver
    ) -> None:
        self._client = client
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._session_retention_ms = session_retention_ms
        self._observer = observer
        self._log = StoredLog(client, settings)

    @property
    def commit_records_max(self) -> int:
        """A longer commit would hold up every reader of its node."""
        return self._settings.commit_records_max

    def bind(self, identity: LogIdentity) -> None:
        """Tie the store to a log, and see that Redis is fit for it."""
        self._client.check()
        written = str(identity)
        meta = self._keys.meta
        named: Request = ("HMGET", meta, "built_from", "layout", "view_cells")
        bound, layout, view_cells = self._execute(meta, *named)
        if bound is None:  # said last, so that a store which says what it was built from says all
            new: dict[str, str | int] = {
                "layout": LAYOUT,
                "view_cells": self._settings.view_cells,
                "built_from": written,
            }
            writes: list[Request] = [("HSETNX", meta, field, value) for field, value in new.items()]
            *_, (bound, layout, view_cells) = self._client.execute([(meta, request) for request in (*writes, named)])
        if bound.decode() != written:
            raise WrongLog(
                f"the store {self._settings.namespace} was built from log {bound.decode()}, this is {written}; "
                f"use another namespace and group{identity.way_out(bound.decode())}"
            )
        self._settings.check_layout(layout, view_cells)
        self._log.is_bound_to(identity)

    def epoch(self, partition: int) -> int:
        """The largest epoch written to the cell."""
        key = self._keys.cell(partition)
        return int(self._execute(key, "HGET", key, "epoch") or 0)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read where cells stand."""
        cells = [self._keys.cell(partition) for partition in partitions]
        answers = self._client.execute([(cell, ("HGET", cell, "position")) for cell in cells])
        return {partition: int(said or 0) for partition, said in zip(partitions, answers, strict=True)}

    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, then read where the cell stands."""
        cell = self._keys.cell(partition)
        said = self._execute(cell, "FCALL", "rp9_claim", 2, cell, self._keys.outbox(partition), epoch, LAYOUT)
        if said[0] == b"NEWER":
            raise self._settings.newer(int(said[1]))
        if said[0] != b"OK":
            raise Fenced(f"partition {partition} has epoch {epoch} or a larger one already")
        position, number, *times = map(int, said[1:])
        return ClaimedCell(position, number, Watermark(*times))

    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the customers wanted of each partition."""
        found: dict[CustomerId, Customer] = {}
        missing: dict[int, list[CustomerId]] = {}
        parts = [
            (partition, ids[begin : begin + LOADED_AT_ONCE])
            for partition, ids in ((partition, list(some)) for partition, some in wanted.items())
            for begin in range(0, len(ids), LOADED_AT_ONCE)
        ]
        keys = [self._keys.customers(partition, ids) for partition, ids in parts]
        answers = self._client.execute([(names[0], ("MGET", *names)) for names in keys])
        for (partition, ids), values in zip(parts, answers, strict=True):
            for customer_id, value in zip(ids, values, strict=True):
                if value is None:
                    missing.setdefault(partition, []).append(customer_id)
                else:
                    found[customer_id] = decode_customer(value, customer_id)
        if missing:
            found.update(self._never_seen(missing))
        return found

    def _never_seen(self, missing: Mapping[int, Sequence[CustomerId]]) -> dict[CustomerId, Customer]:
        """Make blank customers; those who were forgotten know when."""
        asked: list[tuple[Key, Request]] = []
        for partition, ids in missing.items():
            tombstones, names = self._keys.tombstones(partition), self._keys.customers(partition, ids)
            asked.append((tombstones, ("HMGET", tombstones, *map(tombstone_key, ids))))
            asked.append((names[0], ("EXISTS", *names)))
        answers = iter(self._client.execute(asked))
        found: dict[CustomerId, Customer] = {}
        for (partition, ids), times, there in zip(missing.items(), answers, answers, strict=True):
            if there:
                names = self._keys.customers(partition, ids)
                if any(value is not None for value in self._execute(names[0], "MGET", *names)):
                    raise Fenced(f"partition {partition} has another owner, who has written to it meanwhile")
                raise UnrecoverableState(
                    f"a customer's key of partition {partition} is of another type; use another namespace"
                )
            for customer_id, at_ms in zip(ids, times, strict=True):
                found[customer_id] = (
                    Customer(customer_id) if at_ms is None else Customer.forgotten(customer_id, int(at_ms))
                )
        return found

    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the entries that end after a position, some at a time."""
        outbox, count = self._keys.outbox(partition), 1  # at first: often nobody wants more
        while entries := self._execute(outbox, "XRANGE", outbox, f"({after}-0", "+", "COUNT", count):
            for _, fields in entries:
                yield decode_entry(fields[b"entry"])
            after = int(entries[-1][0].partition(b"-")[0])
            count = min(4 * count, OUTBOX_READ_MAX)

    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit by one call, some calls at a time."""
        sizes: list[int] = []
        requests: list[tuple[Key, Request]] = []
        for commit in commits:
            if len(requests) == self._settings.commits_per_request:
                self._send(requests)
                self._observer.reached(Stage.COMMITTING, len(requests))
                requests.clear()
            request, size = commit_request(self._keys, commit, self._session_retention_ms)
            requests.append((self._keys.cell(commit.partition), request))
            sizes.append(size)
        self._send(requests)
        return sizes

    def _send(self, requests: Sequence[tuple[Key, Request]]) -> None:
        for (cell, _), said in zip(requests, self._client.execute(requests, wait=True), strict=True):
            if said[0] != b"OK":
                raise Fenced(f"{cell} is another owner's or stands elsewhere")

    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Let go of entries that end at or before a position."""
        cell = self._keys.cell(partition)
        self._execute(cell, "FCALL", "rp9_trim", 2, cell, self._keys.outbox(partition), epoch, to_position + 1)

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write down what owners have seen, as one field of the cell, so that it is all of one time."""
        cells = [(self._keys.cell(partition), one) for partition, one in notes.items()]
        self._client.execute(
            [(cell, ("HSET", cell, "noted", f"{one.emitted} {one.empty_from} {one.empty_to}")) for cell, one in cells]
        )

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read what an owner wrote down last."""
        cell = self._keys.cell(partition)
        said = self._execute(cell, "HGET", cell, "noted")
        return OwnerNotes() if said is None else OwnerNotes(*map(int, said.split()))

    def erase(self) -> None:
        """Delete all cells: first what says that they are there, so that none is found half erased."""
        cells = [self._keys.cell(partition) for partition in range(self._log.partitions)]
        self._client.execute([(cell, ("UNLINK", cell)) for cell in cells])
        self._client.erase(self._keys.cell_pattern)

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        return self._client.execute([(key, request)])[0]
