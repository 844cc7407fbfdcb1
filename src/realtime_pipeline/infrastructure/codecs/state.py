"""What stores keep, as MessagePack maps with the values' own field names: readable, and open to new fields."""

import msgspec

from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.session import Session

_encode = msgspec.msgpack.Encoder().encode
_decode_customer = msgspec.msgpack.Decoder(Customer).decode
_decode_session = msgspec.msgpack.Decoder(Session).decode


def encode_customer(customer: Customer) -> bytes:
    """Write a customer."""
    return _encode(customer)


def decode_customer(value: bytes) -> Customer:
    """Read a customer."""
    return _decode_customer(value)


def encode_session(session: Session) -> bytes:
    """Write a session."""
    return _encode(session)


def decode_session(value: bytes) -> Session:
    """Read a session."""
    return _decode_session(value)
