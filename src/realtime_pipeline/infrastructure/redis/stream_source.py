"""Streams of others in Redis as a source."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis

from realtime_pipeline.application.errors import PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_positions import StreamPosition, StreamState, made_again, to_id

BATCH_BYTES: Final = 8 << 20
CHUNK_ENTRIES: Final = 500
"""How many entries are requested at once, of all streams together; less where the largest entry so far is large."""
FIRST_ENTRIES: Final = 10
POLL_S: Final = 0.02
"""How long to wait for entries before streams are asked again."""
STATE_S: Final = 1.0
"""How often the states of the streams are read, for the lag."""

_COMMANDS: Final = ("type", "exists", "xinfo", "xrange")
_Entry = tuple[bytes, Mapping[bytes, bytes]]


class RedisStreamSource(Source):
    """Reads streams by the ids of their entries, of a single server or of a cluster; it joins no consumer group.

    Parts are the streams' keys. Each request begins with the entry at the position: while that is there, nothing behind
    it was trimmed. Where it is not there, the counts of the stream tell whether an entry was deleted unread.
    """

    def __init__(self, name: str, settings: RedisStreamSettings) -> None:
        self._name = name
        self._settings = settings
        self._client: RedisClient | None = None
        self._positions: dict[str, StreamPosition] = {}
        self._added: dict[str, int] = {}
        self._deleted = 0
        self._field = settings.field.encode()
        self._entry_bytes = BATCH_BYTES // FIRST_ENTRIES
        self._first = 0
        self._stated_s = 0.0

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def open(self, positions: Positions) -> None:
        """Check that the streams have what is behind the positions."""
        self.close()
        self._client = RedisClient(self._settings.client())
        keys = self._settings.keys
        for key, kind in zip(keys, self._execute([(key, ("TYPE", key)) for key in keys]), strict=True):
            if kind not in {b"stream", b"none"}:
                raise Unavailable(f"{key} in Redis is a {kind.decode()}, and no stream: correct the settings")
        states = self._states(keys)
        self._positions = {
            key: self._start(key, StreamPosition.decode(key, positions[key]) if key in positions else None, state)
            for key, state in states.items()
        }
        self._note(states)

    def _start(self, key: str, position: StreamPosition | None, state: StreamState | None) -> StreamPosition:
        """Find where to begin in a stream."""
        start = StreamPosition() if state is None else state.start()
        if position is None:
            return start
        try:
            if state is not None:
                state.check(key, position)
            elif position.added:
                raise made_again(key)
        except UnrecoverableState:
            if not self._settings.skip_lost:
                raise
            is_trimmed = state is not None and state.last >= position.last
            return StreamPosition(position.last, start.added) if is_trimmed else start
        return position

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read entries of all streams in turn; ask again every 20 ms while there are none."""
        deadline_s = time.monotonic() + timeout_s
        while not (batch := self._read(records_max)).records:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            time.sleep(min(POLL_S, left_s))
        if time.monotonic() - self._stated_s >= STATE_S:
            self._note(self._states(self._settings.keys))
        return batch if batch.records else None

    def acknowledge(self, positions: Positions) -> None:
        """Delete the entries before the positions, if the settings say so; the last one that was read stays."""
        if self._settings.trim:
            ids = {
                key: StreamPosition.decode(key, position).id
                for key, position in positions.items()
                if key in self._positions  # others were taken out of the settings
            }
            self._execute([(key, ("XTRIM", key, "MINID", entry_id)) for key, entry_id in ids.items()])

    def lag(self) -> str:
        """The entries that the streams had been given behind the positions, a second ago or less."""
        behind = sum(
            max(added - self._positions[key].added, 0) for key, added in self._added.items() if key in self._positions
        )
        return f"{behind:,} entries"

    def warning(self) -> str:
        """How many entries somebody has deleted one by one, before they were read."""
        if not self._deleted:
            return ""
        return f"{self._deleted:,} entries were deleted one by one (XDEL) before they were read"

    def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _read(self, records_max: int) -> SourceBatch:
        """Read chunks until the batch is full, or no stream has more."""
        records, moved, size, silent = list[SourceRecord](), set[str](), 0, 0
        while len(records) < records_max and size < BATCH_BYTES and silent < len(self._settings.keys):
            keys, limit = self._next_keys(records_max - len(records))
            read: list[tuple[str, Request]] = [
                (key, ("XRANGE", key, self._positions[key].id, "+", "COUNT", limit + 1)) for key in keys
            ]
            for key, entries in zip(keys, self._execute(read), strict=True):
                unread = self._unread(key, entries)[:limit]
                silent = 0 if unread else silent + 1
                if unread:
                    moved.add(key)
                    size += self._measure(unread)
                    records += [self._record(key, entry_id, fields) for entry_id, fields in unread]
                    last = to_id(unread[-1][0].decode())
                    self._positions[key] = StreamPosition(last, self._positions[key].added + len(unread))
        return SourceBatch(tuple(records), {key: self._positions[key].encode() for key in moved})

    def _next_keys(self, records_max: int) -> tuple[Sequence[str], int]:
        """The streams to read next, in turn, and how many entries of each: an equal share."""
        keys = self._settings.keys
        limit = min(CHUNK_ENTRIES, records_max, max(BATCH_BYTES // self._entry_bytes, 1))
        if limit >= len(keys):
            return keys, limit // len(keys)
        begin, self._first = self._first, (self._first + limit) % len(keys)
        return (keys + keys)[begin : begin + limit], 1

    def _unread(self, key: str, entries: Sequence[_Entry]) -> Sequence[_Entry]:
        """The entries behind the position; the reply begins with the entry at the position while it is there."""
        position = self._positions[key]
        if entries and entries[0][0] == position.id.encode():
            return entries[1:]
        start = self._start(key, position, self._states([key])[key])
        if start != position:  # something is lost, and the settings say to go on
            self._positions[key] = start
            return []
        return entries

    def _measure(self, entries: Sequence[_Entry]) -> int:
        """Return the bytes of entries, and note the largest, by which the size of the next request is chosen."""
        sizes = [sum(map(len, fields)) + sum(map(len, fields.values())) for _, fields in entries]
        self._entry_bytes = max(*sizes, self._entry_bytes // 2, 1)
        return sum(sizes)

    def _record(self, key: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> SourceRecord:
        origin = f"{key}:{entry_id.decode()}"
        if self._field:
            value = fields.get(self._field)
            if value is not None:
                return SourceRecord(origin, value, origin)
            return SourceRecord(
                origin, Unreadable(f"the entry has no field {self._settings.field}", _raw(fields)), origin
            )
        try:
            return SourceRecord(origin, {name.decode(): value.decode() for name, value in fields.items()}, origin)
        except UnicodeDecodeError:
            return SourceRecord(origin, Unreadable("a field of the entry is not UTF-8", _raw(fields)), origin)

    def _states(self, keys: Sequence[str]) -> dict[str, StreamState | None]:
        """Read the states of streams; None for a stream that does not exist."""
        states: dict[str, StreamState | None] = dict.fromkeys(keys)
        existing = self._execute([(key, ("EXISTS", key)) for key in keys])
        there = [key for key, exists in zip(keys, existing, strict=True) if exists]
        for key, reply in zip(there, self._execute([(key, ("XINFO", "STREAM", key)) for key in there]), strict=True):
            states[key] = StreamState.decode(key, reply)
        return states

    def _note(self, states: Mapping[str, StreamState | None]) -> None:
        """Note how many entries the streams were given, and at a stream's end correct the count of the position."""
        self._stated_s = time.monotonic()
        for key, state in states.items():
            self._added[key] = 0 if state is None else state.added
            position = self._positions[key]
            if state is not None and state.last == position.last and state.added > position.added:
                self._deleted += state.added - position.added
                self._positions[key] = StreamPosition(position.last, state.added)

    def _execute(self, requests: Sequence[tuple[str, Request]]) -> list[Any]:
        if self._client is None:
            raise UnrecoverableState(f"{self._name} is not open")
        try:
            return self._client.execute(requests) if requests else []
        except PipelineError as error:
            cause = error.__context__  # what a worker would need is not what a reader needs
            if isinstance(cause, redis.exceptions.NoPermissionError):
                raise Unavailable(self._missing_right(cause)) from None
            if isinstance(cause, redis.exceptions.ResponseError) and str(cause).startswith("WRONGTYPE"):
                raise Unavailable(f"a key of {self._name} in Redis is no stream: correct the settings") from None
            raise

    def _missing_right(self, refusal: Exception) -> str:
        user = self._settings.username or "default"
        commands = " ".join(f"+{name}" for name in (*_COMMANDS, *(["xtrim"] if self._settings.trim else [])))
        keys = " ".join(f"~{key}" for key in self._settings.keys)
        return f"Redis does not let the user {user} read ({refusal}): grant it by ACL SETUSER {user} {commands} {keys}"


def _raw(fields: Mapping[bytes, bytes]) -> bytes:
    """An entry as bytes, for people: a line for each field."""
    return b"\n".join(name + b"=" + value for name, value in fields.items())
