"""Panes of windows in Redis: a hash for each pane, and one for a cell's notes on all its definitions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from realtime_pipeline.application.ports.window_queries import CellNotes, CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME
from realtime_pipeline.domain.analytics.panes import ChunkId, Chunks, PaneId
from realtime_pipeline.infrastructure.codecs.panes import decode_chunks, encode_chunk_id
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.stored_log import StoredLog

READ_AT_ONCE: Final = 64
"""Panes of one round trip."""


def pane_key(keys: Keys, partition: int, pane_id: PaneId) -> Key:
    """The hash that has a pane's chunks."""
    if pane_id.start_ms == NOTES_MS:
        return keys.windows(partition)
    return keys.pane(partition, *pane_id)


def pane_field(pane_id: PaneId, chunk_id: ChunkId) -> bytes:
    """The field that has a chunk: notes of all definitions share a hash."""
    prefix = pane_id.fingerprint.encode() if pane_id.start_ms == NOTES_MS else b""
    return prefix + encode_chunk_id(chunk_id)


def load_panes(
    client: RedisClient, keys: Keys, wanted: Mapping[int, Collection[PaneId]]
) -> dict[int, dict[PaneId, Chunks]]:
    """Read panes of partitions; those of a partition by few round trips."""
    pairs = [(partition, pane_id) for partition, pane_ids in wanted.items() for pane_id in pane_ids]
    found: dict[int, dict[PaneId, Chunks]] = {}
    for begin in range(0, len(pairs), READ_AT_ONCE):
        part = pairs[begin : begin + READ_AT_ONCE]
        requests: list[tuple[Key, Request]] = []
        for partition, pane_id in part:
            key = pane_key(keys, partition, pane_id)
            requests.append((key, ("HGETALL", key)))
        for (partition, pane_id), reply in zip(part, client.execute(requests), strict=True):
            found.setdefault(partition, {})[pane_id] = _chunks(pane_id, reply)
    return found


def _chunks(pane_id: PaneId, reply: Sequence[bytes] | Mapping[bytes, bytes]) -> Chunks:
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    if pane_id.start_ms != NOTES_MS:
        return decode_chunks(pairs)
    prefix = pane_id.fingerprint.encode()
    length = len(prefix)
    # MessagePack of a chunk id begins with the byte of a list, which no fingerprint has.
    return decode_chunks(
        (field[length:], value) for field, value in pairs if field[:length] == prefix and field[length] >= _LIST
    )


_LIST: Final = 0x90


class RedisWindowQueries(WindowQueries):
    """Reads windows by plain commands, of all partitions in one round trip for each node."""

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._log = StoredLog(client, settings)

    def notes(self, fingerprints: Collection[str]) -> Mapping[int, CellNotes]:
        """Read the notes of every partition: one hash each."""
        names = [self._keys.windows(partition) for partition in range(self._log.partitions)]
        replies = self._client.execute([(name, ("HGETALL", name)) for name in names])
        found: dict[int, CellNotes] = {}
        for partition, reply in enumerate(replies):
            pairs = reply if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))
            wanted = (TIME.fingerprint, *fingerprints)
            found[partition] = CellNotes.of({name: _chunks(PaneId(name, NOTES_MS), pairs) for name in wanted})
        return found

    def starts(self, fingerprint: str) -> Mapping[int, Collection[int]]:
        """The starts of all panes of a definition."""
        names = [self._keys.panes(partition, fingerprint) for partition in range(self._log.partitions)]
        replies = self._client.execute([(name, ("HKEYS", name)) for name in names])
        return {partition: set(map(int, reply)) for partition, reply in enumerate(replies)}

    def read(self, fingerprint: str, starts_ms: Mapping[int, Collection[int]]) -> Mapping[int, CellPanes]:
        """Read panes: the time before them, since they have every event that it has counted; and the notes after them,
        which say of which windows panes were deleted."""
        wanted = {
            partition: [TIME, *(PaneId(fingerprint, start) for start in starts), PaneId(fingerprint, NOTES_MS)]
            for partition, starts in starts_ms.items()
        }
        found = load_panes(self._client, self._keys, wanted)
        return {partition: CellPanes.of(panes, fingerprint) for partition, panes in found.items()}
