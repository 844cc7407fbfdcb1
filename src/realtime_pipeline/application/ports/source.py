"""Source: where events come from beside the library's own callers, as files, databases, queues."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import attrs

Positions = Mapping[str, str]
"""By part of a source (a file, a shard, a partition), where to read on: text that only the source understands."""


class Unreadable(NamedTuple):
    """The bytes of a record that the source could not read as a document, and why."""

    reason: str
    raw: bytes


class SourceRecord(NamedTuple):  # made for every record of a source
    """A record as a source has it.

    `id` names the record within its source: who reads the record again gets the same id. `value` is the record's JSON
    object, as bytes or read already. `origin` says where it came from, to people (`orders.csv:17`).
    """

    id: str
    value: bytes | Mapping[str, object] | Unreadable
    origin: str


@attrs.frozen
class SourceBatch:
    """Records in the order of their part, and the positions after them, of the parts that have moved."""

    records: tuple[SourceRecord, ...]
    positions: Positions


class Source(ABC):
    """Reads records from some other system, from a position on.

    `RunSource` calls it from one thread: `open` once and after every failure, with the positions that the log has;
    then, in turn, `read`, and, when the log has the records and their positions durably, `acknowledge`. It reads no
    further before that, so a slow log slows the source. After a failure it calls `close`, then `open` again.

    The log alone says how far a source was read. What the source itself remembers (an offset, a replication slot) is
    behind the log's positions or equal to them, since `acknowledge` follows the publication; the records between are
    skipped by `open`. So each record is published once, whatever is killed.

    Every method may block; `read` for no longer than its timeout. Each may raise `Unreachable` (the call is repeated
    after a pause, with `close` and `open` between), `Unavailable` (a person must act: access denied, no such table) and
    `UnrecoverableState` (going on would lose or double something).
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Names the source for ever; its positions are stored by it. At most 200 printable characters."""

    @abstractmethod
    def open(self, positions: Positions) -> None:
        """Begin, or go on from the positions that the log has; a part without a position begins at its start.

        Raises:
            UnrecoverableState: the source does not have the records at a position any more.
        """

    @abstractmethod
    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read up to so many records, and up to some megabytes; wait for the first for at most the timeout.

        Returns:
            The records with the positions after them. A batch without records moves the positions alone (past what is
            of no interest). None if there is nothing more to read.
        """

    @abstractmethod
    def acknowledge(self, positions: Positions) -> None:
        """The log has everything up to these positions: the source may delete it. Losing the call loses nothing."""

    @property
    def is_ended(self) -> bool:
        """Whether `read` will never return a record again, as of a file that is read to its end."""
        return False

    def lag(self) -> str:
        """How far `read` is behind the source's end, for people: a number with its unit; "" where it is not known."""
        return ""

    def warning(self) -> str:
        """What an operator should look at although reading goes on, in a line; "" if there is nothing."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and files; `open` may follow."""
