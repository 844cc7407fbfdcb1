"""What stores keep, as MessagePack.

Maps have the value's own field names, and begin with their format (`formats.py`): readable, and open to new fields.
Trails, of which a hundred are read at once, are arrays: elements may be added behind. An array is format 1; a later
format that changes more than that is a map that says so.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import Session, SessionSummary
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.infrastructure.codecs.customer_map import CustomerMap, customer_of, map_of
from realtime_pipeline.infrastructure.codecs.formats import (
    CUSTOMER,
    FORMAT,
    PLAIN_CUSTOMER,
    REVIEW,
    SESSION_SUMMARY,
    MarkedMaps,
    fields_of,
    format_in,
)
from realtime_pipeline.infrastructure.codecs.unknown_fields import overlaid, unknown_in

_NIL: Final = b"\xc0"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_decode_map = msgspec.msgpack.Decoder(CustomerMap).decode
_decode_review = msgspec.msgpack.Decoder(Review).decode
_decode_summary = msgspec.msgpack.Decoder(SessionSummary).decode
_decode_summaries = msgspec.msgpack.Decoder(list[SessionSummary | None]).decode
_customers: Final = MarkedMaps(PLAIN_CUSTOMER, map_of(Customer(CustomerId(""))))
_encode_plain = _customers.encoder()
_WITH_EXCLUDED: Final = map_of(Customer(CustomerId(""), Visits(excluded=1)))
_encode_with_excluded = MarkedMaps(CUSTOMER, _WITH_EXCLUDED).encoder()
_reviews: Final = MarkedMaps(REVIEW, Review(CustomerId(""), ProductId(""), 1, "", 0))
encode_review = _reviews.encoder()
"""Write a review."""
_TRAIL_PARTS: Final = len(SessionSummary._fields)


def _encode_map(customer: CustomerMap) -> bytes:
    return (_encode_plain if customer.excluded is msgspec.UNSET else _encode_with_excluded)(customer)


def encode_customer(customer: Customer) -> bytes:
    """Write a customer, with what a newer release noted; in this release's format, as what it changes may lack more."""
    if customer.unknown is None:
        return _encode_map(map_of(customer))
    return _encode(overlaid(_decode(_encode_map(map_of(customer))), customer.unknown))


def decode_customer(value: bytes, customer_id: CustomerId | None = None) -> Customer:
    """Read a customer; what a newer release noted is carried along. The id is for the message where that fails.

    Raises:
        NewerRelease: a newer release wrote it in a way that this one cannot carry along.
        Damaged: no release wrote it.
    """
    try:
        read = _decode_map(value)
        if not read.customer_id:
            raise ValueError("it lacks customer_id")
        customer = customer_of(read)
        if _encode_map(read) != value:  # quicker than to look for unknown fields in it
            customer.carry(_unknown(value, read))
    except (ValueError, RecursionError) as error:
        raise _refused(CUSTOMER.refused(error, format_in(value)), customer_id) from None
    except (NewerRelease, Damaged) as refusal:
        raise _refused(refusal, customer_id) from None
    return customer


def _refused(refusal: NewerRelease | Damaged, customer_id: CustomerId | None) -> NewerRelease | Damaged:
    return refusal if customer_id is None else type(refusal)(f"customer {ascii(customer_id)[1:-1]}: {refusal}")


def _unknown(value: bytes, read: CustomerMap) -> dict[str, Any] | None:
    if _customers.is_bare(value, read):
        return None
    fields = fields_of(CUSTOMER, value)
    written = CUSTOMER.check(fields.pop(FORMAT, None))
    known = _decode(_encode(read))
    if written == CUSTOMER.written:  # such a value has all fields, whatever they hold
        known = _decode(_encode(_WITH_EXCLUDED)) | known
    return unknown_in(fields, known, may_lack=written < PLAIN_CUSTOMER.written) or None


def decode_review(value: bytes) -> Review:
    """Read a review. What a newer release noted is passed over: a review is never changed, but replaced whole.

    Raises:
        NewerRelease: a newer release wrote it in a way that this one cannot read.
        Damaged: no release wrote it.
    """
    found = fields_of(REVIEW, value).get(FORMAT)
    REVIEW.check(found)
    try:
        return _decode_review(value)
    except ValueError as error:
        raise REVIEW.refused(error, found) from None


def encode_session_summary(session: Session) -> bytes:
    """Write what a session leaves for others."""
    return _encode(session.summary())


def decode_session_summary(value: bytes) -> SessionSummary:
    """Read what a session leaves for others.

    Raises:
        NewerRelease: a newer release wrote it in a way that this one cannot read.
        Damaged: no release wrote it.
    """
    try:
        return _decode_summary(value)
    except ValueError:
        return _longer_summary(value)


def decode_session_summaries(values: Sequence[bytes | None]) -> Sequence[SessionSummary | None]:
    """Read many at once, which costs half of one by one; None for one that is not there.

    Raises:
        NewerRelease, Damaged: as `decode_session_summary`.
    """
    joined = b"".join([_NIL if value is None else value for value in values])
    try:
        trails = _decode_summaries(b"\xdd%b%b" % (len(values).to_bytes(4, "big"), joined))
    except ValueError:
        return [None if value is None else decode_session_summary(value) for value in values]
    return trails


def _longer_summary(value: bytes) -> SessionSummary:
    """Read a trail to which a newer release has added elements: the first are those that are known."""
    try:
        parts = _decode(value)
        if not isinstance(parts, list) or len(parts) <= _TRAIL_PARTS:
            raise ValueError("it is no such array")
        return msgspec.convert(parts[:_TRAIL_PARTS], SessionSummary)
    except (ValueError, RecursionError) as error:
        raise SESSION_SUMMARY.refused(error, format_in(value)) from None
