"""Cells in Redis."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, ClaimedCell, Commit, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, purged
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.outbox import decode_entry
from realtime_pipeline.infrastructure.codecs.panes import encode_chunk
from realtime_pipeline.infrastructure.codecs.state import decode_customer
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.commit_request import commit_request
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.panes import load_panes, pane_field
from realtime_pipeline.infrastructure.redis.settings import CLAIM_LAYOUT, LAYOUT, RedisSettings
from realtime_pipeline.infrastructure.redis.stored_log import StoredLog

OUTBOX_READ_MAX = 64
LOADED_AT_ONCE = 500
"""Keys of one `MGET`. A longer request would block every reader of its node."""


class RedisCellStore(CellStore):
    """Keeps the keys of a cell under one hash tag, so in one slot; one Function call writes a commit.

    A customer is one string: one command writes or reads many of them, which costs less than a hash for each. Sessions
    that began at about the same time share a hash with one TTL; a key with a TTL for each session cost three times as
    much.
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
        """How many records a commit may cover; a longer commit would block every reader of its node."""
        return self._settings.commit_records_max

    def bind(self, identity: LogIdentity) -> None:
        """Bind the store to a log, and check that Redis is fit for it."""
        self._client.check()
        own = str(identity)
        meta = self._keys.meta
        read: Request = ("HMGET", meta, "built_from", "layout", "view_cells")
        built_from, layout, view_cells = self._execute(meta, *read)
        if built_from is None:
            new: dict[str, str | int] = {
                "layout": LAYOUT,
                "view_cells": self._settings.view_cells,
                "built_from": own,  # last: where it is there, all fields are
            }
            writes: list[Request] = [("HSETNX", meta, field, value) for field, value in new.items()]
            replies = self._client.execute([(meta, request) for request in (*writes, read)])
            built_from, layout, view_cells = replies[-1]
        if built_from.decode() != own:
            raise WrongLog(
                f"the store {self._settings.namespace} was built from log {built_from.decode()}, this is {own}; "
                f"use another namespace and group{identity.way_out(built_from.decode())}"
            )
        self._settings.check_layout(layout, view_cells)
        self._log.is_bound_to(identity)

    def epoch(self, partition: int) -> int:
        """Read the largest epoch written to the cell."""
        key = self._keys.cell(partition)
        return int(self._execute(key, "HGET", key, "epoch") or 0)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        cells = [self._keys.cell(partition) for partition in partitions]
        replies = self._client.execute([(cell, ("HGET", cell, "position")) for cell in cells])
        return {partition: int(raw or 0) for partition, raw in zip(partitions, replies, strict=True)}

    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, which fences earlier owners, then read the position of the cell."""
        cell = self._keys.cell(partition)
        reply = self._execute(cell, "FCALL", "rp12_claim", 2, cell, self._keys.outbox(partition), epoch, CLAIM_LAYOUT)
        if reply[0] == b"NEWER":
            raise self._settings.newer(int(reply[1]))
        if reply[0] != b"OK":
            raise Fenced(f"partition {partition} has epoch {epoch} or a larger one already")
        position, number, *times = map(int, reply[1:])
        return ClaimedCell(position, number, Watermark(*times))

    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the wanted customers of each partition."""
        found: dict[CustomerId, Customer] = {}
        missing: dict[int, list[CustomerId]] = {}
        parts = [
            (partition, ids[begin : begin + LOADED_AT_ONCE])
            for partition, ids in ((partition, list(customer_ids)) for partition, customer_ids in wanted.items())
            for begin in range(0, len(ids), LOADED_AT_ONCE)
        ]
        key_lists = [self._keys.customers(partition, ids) for partition, ids in parts]
        replies = self._client.execute([(keys[0], ("MGET", *keys)) for keys in key_lists])
        for (partition, ids), values in zip(parts, replies, strict=True):
            for customer_id, value in zip(ids, values, strict=True):
                if value is None:
                    missing.setdefault(partition, []).append(customer_id)
                else:
                    found[customer_id] = decode_customer(value, customer_id)
        if missing:
            found.update(self._new_customers(missing))
        return found

    def _new_customers(self, missing: Mapping[int, Sequence[CustomerId]]) -> dict[CustomerId, Customer]:
        """Make customers for ids without a key; a tombstone says when a customer was forgotten.

        `EXISTS` checks that there is no key: `MGET` returns None for a key of another type, too.
        """
        requests: list[tuple[Key, Request]] = []
        for partition, ids in missing.items():
            tombstones, keys = self._keys.tombstones(partition), self._keys.customers(partition, ids)
            requests.append((tombstones, ("HMGET", tombstones, *map(tombstone_key, ids))))
            requests.append((keys[0], ("EXISTS", *keys)))
        replies = iter(self._client.execute(requests))
        found: dict[CustomerId, Customer] = {}
        for (partition, ids), times, existing in zip(missing.items(), replies, replies, strict=True):
            if existing:
                keys = self._keys.customers(partition, ids)
                if any(value is not None for value in self._execute(keys[0], "MGET", *keys)):
                    raise Fenced(f"partition {partition} has another owner, which has written to it meanwhile")
                raise UnrecoverableState(
                    f"a customer's key of partition {partition} is of another type; use another namespace"
                )
            for customer_id, at_ms in zip(ids, times, strict=True):
                found[customer_id] = (
                    Customer(customer_id) if at_ms is None else Customer.forgotten(customer_id, int(at_ms))
                )
        return found

    def load_panes(self, wanted: Mapping[int, Collection[PaneId]]) -> Mapping[int, Mapping[PaneId, Chunks]]:
        """Load panes, by partition."""
        return load_panes(self._client, self._keys, wanted)

    def purge_panes(
        self, partition: int, epoch: int, fingerprint: str, starts_ms: Collection[int], purged_ms: int
    ) -> None:
        """Delete panes by one Function call."""
        cell, notes = self._keys.cell(partition), PaneId(fingerprint, NOTES_MS)
        panes = [self._keys.pane(partition, fingerprint, start_ms) for start_ms in starts_ms]
        names = [cell, self._keys.windows(partition), self._keys.panes(partition, fingerprint), *panes]
        ((chunk_id, chunk),) = purged(purged_ms).items()
        field, value = pane_field(notes, chunk_id), encode_chunk(chunk)
        reply = self._execute(cell, "FCALL", "rp12_purge", len(names), *names, epoch, field, value, *starts_ms)
        if reply[0] != b"OK":
            raise Fenced(f"{cell} has another owner")

    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the outbox entries that end after a position, in parts."""
        outbox, count = self._keys.outbox(partition), 1  # grows: most callers read one entry
        while entries := self._execute(outbox, "XRANGE", outbox, f"({after}-0", "+", "COUNT", count):
            for _, fields in entries:
                yield decode_entry(fields[b"entry"])
            after = int(entries[-1][0].partition(b"-")[0])
            count = min(4 * count, OUTBOX_READ_MAX)

    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit by one Function call; a round trip carries up to `commits_per_request` of them."""
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
        for (cell, _), reply in zip(requests, self._client.execute(requests, wait=True), strict=True):
            if reply[0] != b"OK":
                raise Fenced(f"{cell} has another owner or is at another position")

    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Delete the outbox entries that end at or before a position."""
        cell = self._keys.cell(partition)
        self._execute(cell, "FCALL", "rp12_trim", 2, cell, self._keys.outbox(partition), epoch, to_position + 1)

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write the notes of owners. A note is one field of its cell, so its numbers change together."""
        requests: list[tuple[Key, Request]] = []
        for partition, note in notes.items():
            cell = self._keys.cell(partition)
            requests.append((cell, ("HSET", cell, "noted", f"{note.emitted} {note.empty_from} {note.empty_to}")))
        self._client.execute(requests)

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read the notes that an owner wrote last."""
        cell = self._keys.cell(partition)
        raw = self._execute(cell, "HGET", cell, "noted")
        return OwnerNotes() if raw is None else OwnerNotes(*map(int, raw.split()))

    def erase(self) -> None:
        """Delete all cells. The hash of each cell goes first, so that nobody finds a cell half erased."""
        cells = [self._keys.cell(partition) for partition in range(self._log.partitions)]
        self._client.execute([(cell, ("UNLINK", cell)) for cell in cells])
        self._client.erase(self._keys.cell_pattern)

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        return self._client.execute([(key, request)])[0]
