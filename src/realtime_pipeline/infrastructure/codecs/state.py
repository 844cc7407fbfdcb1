"""What stores keep, as MessagePack. A customer is a map with the value's own field names: readable, and open to new
fields. Trails, of which a hundred are read at once, are arrays."""

from collections.abc import Sequence
from typing import Final

import msgspec

from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.session import Session, Trail

_NIL: Final = b"\xc0"

_encode = msgspec.msgpack.Encoder().encode
_decode_customer = msgspec.msgpack.Decoder(Customer).decode
_decode_trail = msgspec.msgpack.Decoder(Trail).decode
_decode_trails = msgspec.msgpack.Decoder(list[Trail | None]).decode


def encode_customer(customer: Customer) -> bytes:
    """Write a customer."""
    return _encode(customer)


def decode_customer(value: bytes) -> Customer:
    """Read a customer."""
    return _decode_customer(value)


def encode_trail(session: Session) -> bytes:
    """Write what a session leaves for others."""
    return _encode(session.trail())


def decode_trail(value: bytes) -> Trail:
    """Read what a session leaves for others."""
    return _decode_trail(value)


def decode_trails(values: Sequence[bytes | None]) -> Sequence[Trail | None]:
    """Read many at once, which costs half of one by one; None for one that is not there."""
    joined = b"".join([_NIL if value is None else value for value in values])
    return _decode_trails(b"\xdd%b%b" % (len(values).to_bytes(4, "big"), joined))
