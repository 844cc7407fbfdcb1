"""Messages of pgoutput, Postgres's plugin of logical replication, in version 1 of its protocol.

The formats are those of "Logical Replication Message Formats" in Postgres's documentation.
"""

import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, TypeAlias


class Malformed(ValueError):
    """Bytes that are no message of this protocol."""


class Absent(Enum):
    """A value that a message does not carry, because the update left it unchanged in its TOAST table."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Absent.UNCHANGED
Value: TypeAlias = str | Absent | None
Values: TypeAlias = tuple[Value, ...]


class Begin(NamedTuple):
    """A transaction begins; its changes follow, up to its `Commit`. The time is in µs since 2000."""

    commit_lsn: int
    committed_us: int
    xid: int


class Commit(NamedTuple):
    """A transaction ends."""

    commit_lsn: int
    end_lsn: int
    committed_us: int


class Origin(NamedTuple):
    """The transaction was replicated from elsewhere."""

    lsn: int
    name: str


class Column(NamedTuple):
    """A column of a relation; `in_key` says whether old rows carry it."""

    name: str
    type_oid: int
    type_modifier: int
    in_key: bool


class Relation(NamedTuple):
    """A table as the following changes have it."""

    oid: int
    schema: str
    name: str
    replica_identity: str
    columns: tuple[Column, ...]


class Type(NamedTuple):
    """A type that is not built in."""

    oid: int
    schema: str
    name: str


class Insert(NamedTuple):
    """A new row."""

    relation: int
    new: Values


class Update(NamedTuple):
    """A changed row. `old` are the values of its key, if that changed, or of all columns; None if it has neither."""

    relation: int
    old: Values | None
    old_is_key: bool
    new: Values


class Delete(NamedTuple):
    """A deleted row: the values of its key, or of all columns."""

    relation: int
    old: Values
    old_is_key: bool


class Truncate(NamedTuple):
    """Emptied tables; bit 1 of the options is CASCADE, bit 2 is RESTART IDENTITY."""

    relations: tuple[int, ...]
    options: int


Change: TypeAlias = Insert | Update | Delete | Truncate
Message: TypeAlias = Begin | Commit | Origin | Relation | Type | Change

_BEGIN: Final = struct.Struct(">QqI")
_COMMIT: Final = struct.Struct(">BQQq")
_COLUMN: Final = struct.Struct(">Ii")
_INT64: Final = struct.Struct(">Q")
_INT32: Final = struct.Struct(">I")
_INT16: Final = struct.Struct(">H")


def decode(data: bytes) -> Message:
    """Decode a message.

    Raises:
        Malformed: the bytes are none, are cut off, or have more after the message's end.
    """
    try:
        message, end = _DECODERS[data[:1]](data)
    except (KeyError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"no message of pgoutput ({type(error).__name__}): {data[:40]!r}") from None
    if end != len(data):
        raise Malformed(f"a message of pgoutput with {len(data) - end} bytes too many: {data[:40]!r}")
    return message


def _begin(data: bytes) -> tuple[Begin, int]:
    return Begin(*_BEGIN.unpack_from(data, 1)), 21


def _commit(data: bytes) -> tuple[Commit, int]:
    _, commit_lsn, end_lsn, committed_us = _COMMIT.unpack_from(data, 1)
    return Commit(commit_lsn, end_lsn, committed_us), 26


def _origin(data: bytes) -> tuple[Origin, int]:
    (lsn,) = _INT64.unpack_from(data, 1)
    name, at = _text(data, 9)
    return Origin(lsn, name), at


def _relation(data: bytes) -> tuple[Relation, int]:
    (oid,) = _INT32.unpack_from(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    identity = chr(data[at])
    (count,) = _INT16.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        in_key = data[at] & 1 == 1
        column, at = _text(data, at + 1)
        type_oid, type_modifier = _COLUMN.unpack_from(data, at)
        columns.append(Column(column, type_oid, type_modifier, in_key))
        at += 8
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns)), at


def _type(data: bytes) -> tuple[Type, int]:
    (oid,) = _INT32.unpack_from(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    return Type(oid, schema or "pg_catalog", name), at


def _insert(data: bytes) -> tuple[Insert, int]:
    _expect(data, 5, b"N")
    new, at = _values(data, 6)
    return Insert(_INT32.unpack_from(data, 1)[0], new), at


def _update(data: bytes) -> tuple[Update, int]:
    (oid,) = _INT32.unpack_from(data, 1)
    kind, at, old = data[5:6], 5, None
    if kind != b"N":
        _expect(data, 5, b"KO")
        old, at = _values(data, 6)
    _expect(data, at, b"N")
    new, at = _values(data, at + 1)
    return Update(oid, old, kind == b"K", new), at


def _delete(data: bytes) -> tuple[Delete, int]:
    _expect(data, 5, b"KO")
    old, at = _values(data, 6)
    return Delete(_INT32.unpack_from(data, 1)[0], old, data[5:6] == b"K"), at


def _truncate(data: bytes) -> tuple[Truncate, int]:
    (count,) = _INT32.unpack_from(data, 1)
    relations = struct.unpack_from(f">{count}I", data, 6)
    return Truncate(relations, data[5]), 6 + 4 * count


def _expect(data: bytes, at: int, kinds: bytes) -> None:
    if data[at] not in kinds:
        raise Malformed(f"a message of pgoutput with tuple {data[at : at + 1]!r}: {data[:40]!r}")


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise Malformed(f"a message of pgoutput whose text has no end: {data[:40]!r}")
    return data[at:end].decode(), end + 1


def _values(data: bytes, at: int) -> tuple[Values, int]:
    (count,) = _INT16.unpack_from(data, at)
    at += 2
    values: list[Value] = []
    for _ in range(count):
        kind = data[at]
        at += 1
        if kind == 116:  # t: text
            begin = at + 4
            at = begin + _INT32.unpack_from(data, at)[0]
            if at > len(data):
                raise Malformed(f"a message of pgoutput that is cut off: {data[:40]!r}")
            values.append(data[begin:at].decode())
        elif kind == 110:  # n: null
            values.append(None)
        elif kind == 117:  # u: unchanged
            values.append(UNCHANGED)
        else:
            raise Malformed(f"a message of pgoutput with a value of kind {chr(kind)!r}: {data[:40]!r}")
    return tuple(values), at


_DECODERS: Final[dict[bytes, Callable[[bytes], tuple[Message, int]]]] = {
    b"B": _begin,
    b"C": _commit,
    b"O": _origin,
    b"R": _relation,
    b"Y": _type,
    b"I": _insert,
    b"U": _update,
    b"D": _delete,
    b"T": _truncate,
}
