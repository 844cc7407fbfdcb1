"""A pane: what a partition has counted of a span of time, by key."""

import heapq
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import attrs

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate, Key
from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk
from realtime_pipeline.domain.shop.events import Event

OTHERS: Final = None
"""Stands for the key of all events whose key is not among those kept."""


class PaneId(NamedTuple):
    """A pane of a partition: the definition's fingerprint, and the start of the span in ms since 1970."""

    fingerprint: str
    start_ms: int


class ChunkId(NamedTuple):
    """A chunk of a pane.

    `first_ms` is the start of the earliest window that still accepted the events; earlier windows do not have them.
    `measure` is the number of the measure, in the order of their names.
    """

    first_ms: int
    key: Key | None
    measure: int
    name: str


Chunks = Mapping[ChunkId, Chunk]
ChunkChanges = Mapping[ChunkId, Chunk | None]
"""The new values of chunks; None where a chunk is deleted."""


@attrs.define
class _Part:
    """The measures of a key, and the names of the chunks that are stored of them."""

    accumulators: list[Accumulator]
    stored: set[tuple[int, str]] = attrs.Factory(set)


class Pane:
    """What was counted of a span of time.

    Of each `first_ms` it keeps at most `keys_max` keys, those with the smallest hashes, and the events of all other
    keys together. A key that is not kept can never be kept again: the largest kept hash only falls. So what is kept of
    a key is all of it, whatever the order of events, and the same holds after panes are merged.
    """

    def __init__(self, aggregate: CompiledAggregate, start_ms: int = 0) -> None:
        self._aggregate = aggregate
        self._reads = aggregate.reads
        self.start_ms = start_ms
        self._earliest_ms = aggregate.cut.windows_of(start_ms)[0]
        self._earliest_end_ms = aggregate.cut.end_of(self._earliest_ms)
        self._keys_max = aggregate.definition.keys_max
        self._parts: dict[tuple[int, Key | None], _Part] = {}
        self._keys: dict[int, int] = {}  # by first, how many keys are kept
        self._hashes: dict[int, list[tuple[int, Key]]] = {}  # of a first that is full: a heap, the largest on top
        self._changed: set[tuple[int, Key | None]] = set()
        self._deleted: dict[ChunkId, None] = {}

    @property
    def size(self) -> int:
        """How many keys it has."""
        return len(self._parts)

    def first_open(self, limit_ms: int) -> int | None:
        """The start of the earliest of its windows that ends after a time; None where all end before it."""
        if self._earliest_end_ms > limit_ms:
            return self._earliest_ms
        return self._aggregate.cut.first_open(self.start_ms, limit_ms)

    def add(self, first_ms: int, key: Key, event: Event) -> None:
        """Count an event. An event of which nothing is measured makes no key."""
        values = [read(event) for read in self._reads]
        if values.count(None) == len(values):
            return
        part_key: tuple[int, Key | None] = (first_ms, key)
        part = self._parts.get(part_key)
        if part is None:
            part_key = (first_ms, key if self._keep(first_ms, key) else OTHERS)
            part = self._part(*part_key)
        self._changed.add(part_key)
        at_ms, event_id = event.occurred_at_ms, event.event_id
        for accumulator, value in zip(part.accumulators, values, strict=True):
            if value is not None:
                accumulator.add(value, at_ms, event_id)

    def merge(self, first_ms: int, key: Key | None, accumulators: list[Accumulator]) -> None:
        """Add what another pane has of a key; the caller gives up the accumulators."""
        if key is not OTHERS and (first_ms, key) not in self._parts and not self._keep(first_ms, key):
            key = OTHERS
        part = self._part(first_ms, key)
        for accumulator, other in zip(part.accumulators, accumulators, strict=True):
            accumulator.merge(other)
        self._changed.add((first_ms, key))

    def load(self, chunks: Chunks) -> None:
        """Take over all stored chunks, into an empty pane."""
        grouped: dict[tuple[int, Key | None], dict[int, dict[str, Chunk]]] = {}
        for chunk_id, chunk in chunks.items():
            of_part = grouped.setdefault((chunk_id.first_ms, chunk_id.key), {})
            of_part.setdefault(chunk_id.measure, {})[chunk_id.name] = chunk
        for (first_ms, key), measures in grouped.items():
            part = self._part(first_ms, key)
            if key is not OTHERS:
                self._keys[first_ms] = self._keys.get(first_ms, 0) + 1
            for number, of_measure in measures.items():
                part.accumulators[number].load(of_measure)
                part.stored.update((number, name) for name in of_measure)

    def changes(self) -> dict[ChunkId, Chunk | None]:
        """The chunks that have changed since the last call."""
        changes: dict[ChunkId, Chunk | None] = dict(self._deleted)
        for first_ms, key in self._changed:
            part = self._parts[first_ms, key]
            for number, accumulator in enumerate(part.accumulators):
                for name, chunk in accumulator.changes().items():
                    changes[ChunkId(first_ms, key, number, name)] = chunk
                    (part.stored.discard if chunk is None else part.stored.add)((number, name))
        self._changed.clear()
        self._deleted.clear()
        return changes

    def parts(self) -> Mapping[tuple[int, Key | None], list[Accumulator]]:
        """What was counted, by first window and key."""
        return {part_key: part.accumulators for part_key, part in self._parts.items()}

    def _part(self, first_ms: int, key: Key | None) -> _Part:
        part = self._parts.get((first_ms, key))
        if part is None:
            part = self._parts[first_ms, key] = _Part(self._aggregate.new())
        return part

    def _keep(self, first_ms: int, key: Key) -> bool:
        """Decide whether a new key is kept; the kept key with the largest hash may have to make room."""
        number = self._keys.get(first_ms, 0)
        if number < self._keys_max:
            self._keys[first_ms] = number + 1
            return True
        hashes = self._hashes.get(first_ms)
        if hashes is None:  # few panes are ever full, and need hashes
            kept = [of_part for first, of_part in self._parts if first == first_ms and of_part is not OTHERS]
            hashes = self._hashes[first_ms] = [(-hash_of(found), found) for found in kept]
            heapq.heapify(hashes)
        own = -hash_of(key)
        if own < hashes[0][0]:
            return False
        _, evicted = heapq.heapreplace(hashes, (own, key))
        self._move_to_others(first_ms, evicted)
        return True

    def _move_to_others(self, first_ms: int, key: Key) -> None:
        part = self._parts.pop((first_ms, key))
        self._changed.discard((first_ms, key))
        others = self._part(first_ms, OTHERS)
        for accumulator, moved in zip(others.accumulators, part.accumulators, strict=True):
            accumulator.merge(moved)
        self._changed.add((first_ms, OTHERS))
        self._deleted.update(dict.fromkeys(ChunkId(first_ms, key, *name) for name in part.stored))


def hash_of(key: Key) -> int:
    """64 bits of BLAKE2b of a key, by which it is kept or not."""
    text = "".join("-," if part is None else f"{len(part)}:{part}," for part in key)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
