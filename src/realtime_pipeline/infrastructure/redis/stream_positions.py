"""Positions in a stream of Redis, and what a stream has lost behind them."""

from collections.abc import Sequence

import attrs

from realtime_pipeline.application.errors import Damaged, Unavailable, UnrecoverableState

EntryId = tuple[int, int]

_START: EntryId = (0, 0)


def to_id(text: str) -> EntryId:
    """Read an entry's id, `milliseconds-number`."""
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


@attrs.frozen
class StreamPosition:
    """The id of the last entry that was read, and how many entries the stream had been given up to it.

    By the count, entries that were deleted unread can be told from those that were deleted after they were read. It is
    too small by the entries that were deleted alone (XDEL) before they were read.
    """

    last: EntryId = _START
    added: int = 0

    @property
    def id(self) -> str:
        """The id as Redis writes it."""
        return f"{self.last[0]}-{self.last[1]}"

    def encode(self) -> str:
        """Return the position as text."""
        return f"{self.id}/{self.added}"

    @classmethod
    def decode(cls, key: str, position: str) -> "StreamPosition":
        """Read a position from text.

        Raises:
            Damaged: no release wrote it.
        """
        entry_id, _, added = position.partition("/")
        try:
            return cls(to_id(entry_id), int(added))
        except ValueError:
            raise Damaged(f"no release wrote the position {position} of the stream {key}") from None


@attrs.frozen
class StreamState:
    """What Redis reports of a stream (XINFO STREAM): its length, its first and last id, how many entries it was given.

    `first` is None where the stream has no entries; `last` is the largest id that it ever had.
    """

    length: int
    first: EntryId | None
    last: EntryId
    added: int

    @classmethod
    def decode(cls, key: str, reply: Sequence[object]) -> "StreamState":
        """Read a reply to XINFO STREAM.

        Raises:
            Unavailable: the server is older than Redis 7, which does not count the entries that a stream was given.
        """
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        length, last, added = fields[b"length"], fields[b"last-generated-id"], fields.get(b"entries-added")
        first = fields[b"first-entry"]
        if not isinstance(added, int):
            raise Unavailable(f"the server of the stream {key} is too old: use Redis 7 or newer, or Valkey")
        if not isinstance(length, int) or not isinstance(last, bytes):
            raise Damaged(f"Redis describes the stream {key} in an unknown way")
        return cls(length, to_id(first[0].decode()) if isinstance(first, list) else None, to_id(last.decode()), added)

    @property
    def deleted(self) -> int:
        """How many entries were deleted."""
        return self.added - self.length

    def start(self) -> StreamPosition:
        """The position before the first entry there is."""
        return StreamPosition(_START, self.deleted)

    def check(self, key: str, position: StreamPosition) -> None:
        """Check that every entry behind a position is still there.

        Raises:
            UnrecoverableState: entries behind the position were deleted unread, or this is another stream.
        """
        if self.last < position.last or self.added < position.added:
            raise made_again(key)
        if self.first is not None and self.first <= position.last:
            return  # Redis trims the oldest entries first: nothing behind the position was trimmed
        if self.deleted < position.added:
            raise made_again(key)
        if self.deleted > position.added:
            raise UnrecoverableState(
                f"the stream {key} was trimmed before it was read: {self.deleted - position.added:,} entries after "
                f"{position.id} are lost; read more often than it is trimmed; skip_lost = true goes on with what is "
                "there"
            )


def made_again(key: str) -> UnrecoverableState:
    """Make the error for a stream that has less than was read of it."""
    return UnrecoverableState(
        f"the stream {key} has less than was read of it: it was deleted and made again, or a failover has lost its "
        "end; skip_lost = true goes on with what is there"
    )
