"""pgoutput's messages: those of an independent encoder, and bytes that are none."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.infrastructure.postgres.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Insert,
    Malformed,
    Message,
    Origin,
    Relation,
    Truncate,
    Type,
    Update,
    Value,
    decode,
)


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big", signed=value < 0)


def string(text: str) -> bytes:
    return text.encode() + b"\0"


def tuple_data(values: tuple[Value, ...]) -> bytes:
    parts = [number(len(values), 2)]
    for value in values:
        if isinstance(value, str):
            parts += [b"t", number(len(value.encode()), 4), value.encode()]
        else:
            parts.append(b"n" if value is None else b"u")
    return b"".join(parts)


def old_data(values: tuple[Value, ...], is_key: bool) -> bytes:
    return (b"K" if is_key else b"O") + tuple_data(values)


def encode(message: Message) -> bytes:  # noqa: PLR0911  one for each kind
    """Written from the tables of Postgres's documentation."""
    if isinstance(message, Begin):
        return b"B" + number(message.commit_lsn, 8) + number(message.committed_us, 8) + number(message.xid, 4)
    if isinstance(message, Commit):
        numbers = (message.commit_lsn, message.end_lsn, message.committed_us)
        return b"C\0" + b"".join(number(value, 8) for value in numbers)
    if isinstance(message, Origin):
        return b"O" + number(message.lsn, 8) + string(message.name)
    if isinstance(message, Relation):
        head = b"R" + number(message.oid, 4) + string("" if message.schema == "pg_catalog" else message.schema)
        columns = (
            number(column.in_key, 1)
            + string(column.name)
            + number(column.type_oid, 4)
            + number(column.type_modifier, 4)
            for column in message.columns
        )
        identity = message.replica_identity.encode()
        return head + string(message.name) + identity + number(len(message.columns), 2) + b"".join(columns)
    if isinstance(message, Type):
        return b"Y" + number(message.oid, 4) + string(message.schema) + string(message.name)
    if isinstance(message, Insert):
        return b"I" + number(message.relation, 4) + b"N" + tuple_data(message.new)
    if isinstance(message, Update):
        old = b"" if message.old is None else old_data(message.old, message.old_is_key)
        return b"U" + number(message.relation, 4) + old + b"N" + tuple_data(message.new)
    if isinstance(message, Delete):
        return b"D" + number(message.relation, 4) + old_data(message.old, message.old_is_key)
    relations = b"".join(number(oid, 4) for oid in message.relations)
    return b"T" + number(len(message.relations), 4) + number(message.options, 1) + relations


OIDS = st.integers(0, 2**32 - 1)
LSNS = st.integers(0, 2**64 - 1)
TIMES = st.integers(0, 2**60)
NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.lists(
    st.one_of(st.none(), st.just(UNCHANGED), st.text(st.characters(blacklist_categories=["Cs"]))), max_size=6
).map(tuple)
COLUMNS = st.lists(st.builds(Column, NAMES, OIDS, st.integers(-1, 2**31 - 1), st.booleans()), max_size=5).map(tuple)
UPDATES = st.one_of(
    st.builds(Update, OIDS, st.none(), st.just(False), VALUES), st.builds(Update, OIDS, VALUES, st.booleans(), VALUES)
)
MESSAGES = st.one_of(
    st.builds(Begin, LSNS, TIMES, OIDS),
    st.builds(Commit, LSNS, LSNS, TIMES),
    st.builds(Origin, LSNS, NAMES),
    st.builds(Relation, OIDS, NAMES, NAMES, st.sampled_from("dnfi"), COLUMNS),
    st.builds(Type, OIDS, NAMES, NAMES),
    st.builds(Insert, OIDS, VALUES),
    UPDATES,
    st.builds(Delete, OIDS, VALUES, st.booleans()),
    st.builds(Truncate, st.lists(OIDS, max_size=4).map(tuple), st.integers(0, 3)),
)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_off_or_has_more_is_refused(message: Message, data: st.DataObject) -> None:
    encoded = encode(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for bad in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(Malformed):
            decode(bad)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except Malformed:
        return
    assert isinstance(message, tuple)


@pytest.mark.parametrize(
    "make", [lambda: b"", lambda: b"Z", lambda: b"I\0\0\0\1X\0\0", lambda: b"I\0\0\0\1N\0\1b\0\0\0\1x"]
)
def test_what_version_1_does_not_have_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(Malformed, match="pgoutput"):
        decode(make())


def test_a_relation_of_the_catalogue_has_no_schema_in_the_message() -> None:
    relation = Relation(1, "pg_catalog", "t", "d", ())
    assert decode(encode(relation)) == relation
