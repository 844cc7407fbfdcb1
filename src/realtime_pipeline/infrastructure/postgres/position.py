"""How far a database was captured: the position that is stored in the log with the records."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import attrs

from realtime_pipeline.application.errors import Damaged
from realtime_pipeline.infrastructure.postgres.session import lsn_number, lsn_text

Key: TypeAlias = tuple[int | str, ...]
"""A primary key: integers as such, all else as Postgres writes it. Python orders it as `COLLATE "C"` does in UTF-8."""

XIDS: Final = 1 << 32
"""Transaction ids in the WAL have 32 bits and wrap around; snapshots have them with their epoch."""


@attrs.frozen
class VisibleTransactions:
    """The transactions that a snapshot of Postgres sees: all before `xmin`, and those before `xmax` not in progress."""

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "VisibleTransactions":
        """Read the text of a `pg_snapshot`, `xmin:xmax:xip,…`."""
        xmin, xmax, in_progress = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, in_progress.split(",")))))

    def text(self) -> str:
        """Write it as Postgres does."""
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.in_progress)))}"

    def sees(self, xid: int) -> bool:
        """Whether the snapshot sees a committed transaction by its id of 32 bits.

        Ids that are in use differ by less than 2^31, so the one that is nearest to the snapshot is meant.
        """
        full = self.xmax + (xid - self.xmax + XIDS // 2) % XIDS - XIDS // 2
        return full < self.xmin or (full < self.xmax and full not in self.in_progress)


@attrs.frozen
class KeyRange:
    """Keys of a table: behind `after` (None: from the first), up to `through` (None: to the last)."""

    table: str
    after: Key | None
    through: Key | None

    def has(self, table: str, key: Key) -> bool:
        """Whether a row is in the range."""
        return (
            table == self.table
            and (self.after is None or key > self.after)
            and (self.through is None or key <= self.through)
        )


@attrs.frozen
class SnapshotPart:
    """Rows that were read in one snapshot. Transactions that it sees have committed before `until`, an LSN."""

    visible: VisibleTransactions
    until: int
    ranges: tuple[KeyRange, ...]


class TableIdentity(NamedTuple):
    """The object ids of a table, and of its entry in the publication: another one has another id."""

    table: int
    published: int


@attrs.frozen
class Position:
    """What the log has: of which database and tables, and up to where.

    The log has every transaction that committed before `lsn`, and the first `rows` changes of that which commits at
    `commit`, where it is not 0. `tables` are those whose rows have all been read. `parts` say
    which rows were read in which snapshot, until `lsn` is past all of them.
    """

    system: str
    timeline: int
    lsn: int
    commit: int = 0
    rows: int = 0
    tables: Mapping[str, TableIdentity] = attrs.field(factory=dict)
    parts: tuple[SnapshotPart, ...] = ()

    def encode(self) -> str:
        """Write it as text."""
        return json.dumps(
            {
                "system": self.system,
                "timeline": self.timeline,
                "lsn": lsn_text(self.lsn),
                "commit": lsn_text(self.commit),
                "rows": self.rows,
                "tables": dict(self.tables),
                "parts": [
                    [part.visible.text(), lsn_text(part.until), [[r.table, r.after, r.through] for r in part.ranges]]
                    for part in self.parts
                ],
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def decode(cls, text: str) -> "Position":
        """Read it.

        Raises:
            Damaged: no release wrote it.
        """
        try:
            read = json.loads(text)
            return cls(
                read["system"],
                read["timeline"],
                lsn_number(read["lsn"]),
                lsn_number(read["commit"]),
                read["rows"],
                {table: TableIdentity(*identity) for table, identity in read["tables"].items()},
                tuple(
                    SnapshotPart(
                        VisibleTransactions.parse(visible),
                        lsn_number(until),
                        tuple(KeyRange(table, _key(after), _key(through)) for table, after, through in ranges),
                    )
                    for visible, until, ranges in read["parts"]
                ),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Damaged(f"the log has a position of Postgres that no release wrote: {text[:200]}") from None

    def at(self, lsn: int) -> "Position":
        """Return the position after all transactions that committed before an LSN, without parts that it is past."""
        parts = () if all(part.until <= lsn for part in self.parts) else self.parts
        if self.commit >= lsn:  # the transaction that is cut comes again
            return attrs.evolve(self, lsn=lsn, parts=parts)
        return attrs.evolve(self, lsn=lsn, commit=0, rows=0, parts=parts)

    def has_read(self, table: str, key: Key, xid: int) -> bool:
        """Whether the log has a row as the transaction left it, since a snapshot that saw it has read the row."""
        return any(part.visible.sees(xid) for part in self.parts if any(r.has(table, key) for r in part.ranges))

    def has_read_some(self, table: str, xid: int) -> tuple[bool, bool]:
        """Whether some snapshot that read rows of a table saw a transaction, and whether some did not."""
        seen = [part.visible.sees(xid) for part in self.parts for r in part.ranges if r.table == table]
        return any(seen), not all(seen)


def _key(read: Sequence[int | str] | None) -> Key | None:
    return None if read is None else tuple(read)
