"""What stores keep, as MessagePack. A customer is a map with the value's own field names: readable, and open to new
fields. Trails, of which a hundred are read at once, are arrays."""

from collections.abc import Sequence

import msgspec

from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.session import Session, Trail

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


def decode_trails(values: bytes, count: int) -> Sequence[Trail | None]:
    """Read so many, written one behind the other; nil for one that is not there. At once is half of one by one."""
    return _decode_trails(b"\xdd%b%b" % (count.to_bytes(4, "big"), values))
