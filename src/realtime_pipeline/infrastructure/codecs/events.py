"""Decoding and validating events, and encoding events."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from realtime_pipeline.application.ports.decoding import Route
from realtime_pipeline.domain.shop.events import NOTHING, CustomerId, EventKind, routing_key
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Rejected
from realtime_pipeline.infrastructure.codecs.catalogue import STATED, CatalogueReader
from realtime_pipeline.infrastructure.codecs.event_builder import SIGNED_IN, EventBuilder
from realtime_pipeline.infrastructure.codecs.event_reader import read_custom, read_event
from realtime_pipeline.infrastructure.codecs.fields import find_owner
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from realtime_pipeline.infrastructure.codecs.messages import (
    MESSAGE_FORMAT,
    PROFILE_MERGED,
    decode_profile,
    newer_message,
)
from realtime_pipeline.infrastructure.codecs.nesting import check_depth
from realtime_pipeline.infrastructure.codecs.spelling import check_spelling
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS, decode_tick
from realtime_pipeline.infrastructure.codecs.unmapped import check_unmapped
from realtime_pipeline.infrastructure.codecs.upcasters import Document, event_type_of
from realtime_pipeline.infrastructure.codecs.wire import CanonicalWire

__all__ = (
    "TYPE_NAMES",
    "EventDecoder",
    "EventLimits",
    "encode_event",
    "kind_named",
)

TYPE_NAMES: Final[Mapping[EventKind, tuple[str, ...]]] = {
    EventKind.PRODUCT_VIEWED: ("product_viewed", "product_view", "view", "viewed", "click"),
    EventKind.PRODUCT_CARTED: ("product_carted", "add_to_cart", "cart"),
    EventKind.PRODUCT_UNCARTED: ("product_uncarted", "remove_from_cart"),
    EventKind.PRODUCT_PURCHASED: ("product_purchased", "purchase", "purchased", "transaction"),
    EventKind.PURCHASE_CANCELLED: ("purchase_cancelled", "cancellation", "cancel", "refund"),
    EventKind.PRODUCT_REVIEWED: ("product_reviewed", "review"),
    EventKind.RECOMMENDATIONS_SHOWN: ("recommendations_shown", "exposure", "impression"),
    EventKind.CUSTOMER_SIGNED_IN: ("customer_signed_in", "sign_in", "login"),
    EventKind.CUSTOMER_FORGOTTEN: ("customer_forgotten", "forget"),
    EventKind.PRODUCT_UPDATED: ("product_updated",),
    EventKind.PRODUCT_REMOVED: ("product_removed",),
    EventKind.STOCK_SET: ("stock_set",),
}
"""The built-in event types; a shop adds its own in the settings (`event_types`)."""

_WORKER_MARKERS: Final = f'"{PROFILE_MERGED}"'.encode(), f'"{MESSAGE_FORMAT}"'.encode()
"""Only messages that contain one of these may have more bytes than an event."""
_ALWAYS_ENCODED: Final = frozenset((str, int, bool, type(None)))
_encode_document: Final = msgspec.json.Encoder(decimal_format="number").encode


def encode_event(document: Mapping[str, object]) -> bytes:
    """Encode an event document as JSON; a `Decimal` becomes a number with the same digits.

    Raises:
        ValueError: a value is not finite, which JSON cannot represent.
        TypeError: a value has a type that cannot be encoded.
    """
    _check_values(document, "")
    return _encode_document(document)


def _check_values(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if type(inner) not in _ALWAYS_ENCODED:
                _check_values(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_values(inner, path)
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, Decimal) and not value.is_finite()
    ):
        raise ValueError(f"{path} is {value}: leave out what is not known")
    elif isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{path} is bytes: decode them first")


def kind_named(name: str) -> EventKind | None:
    """Return the kind with this type name; None if there is none."""
    return next((kind for kind, names in TYPE_NAMES.items() if name in names), None)


class EventDecoder:
    """Decodes and validates events of every schema, in time linear in the bytes. Called with a record, it never raises.

    `event_types` maps a shop's own type names to kinds, and overrides the built-in names. `log_name` is part of the ids
    given to events that have none.
    """

    def __init__(
        self, limits: EventLimits, event_types: Mapping[str, EventKind], log_name: str = "user_events"
    ) -> None:
        self._limits = limits
        self._build = EventBuilder(limits, self.default_event_id)
        self._log_name = log_name
        self._bytes_max = limits.bytes_max(has_user=True)
        self._kinds = {name: kind for kind, names in TYPE_NAMES.items() for name in names} | dict(event_types)
        self._canonical_kinds = {name: kind for name, kind in self._kinds.items() if kind not in STATED}
        self._read_catalogue = CatalogueReader(limits, self._build, self.default_event_id)
        self._custom = {name: EventKind.custom(name) for name in limits.custom if name not in self._kinds}
        self._parse = msgspec.json.Decoder().decode
        self._parse_canonical = msgspec.json.Decoder(CanonicalWire).decode

    def __call__(self, record: Record) -> Decoded:
        """Decode a record into an event, a tick, a worker's message, or a reason why it is none of them."""
        value = record.value
        if record.key is not None and record.key.startswith(KEY_OF_TICKS):
            return decode_tick(record.key, value)
        if len(value) > self._bytes_max and not any(name in value for name in _WORKER_MARKERS):
            return self._reject_too_large(value)
        try:
            wire = self._parse_canonical(value)
            kind = self._canonical_kinds.get(wire.event_type)
            if kind is not None and (len(value) <= self._limits.record_bytes_max or wire.user_id is not None):
                return self._build(record, kind, wire)
        except (ValueError, RecursionError, Invalid):
            pass  # another schema, unknown fields, or an invalid event: decoded below
        return self._decode_any_schema(record)

    def _decode_any_schema(self, record: Record) -> Decoded:
        document: Document = {}
        try:
            document = self._parse_document(record.value)
            type_ = event_type_of(document)
            if type_ is None:
                check_unmapped(document)
                check_spelling(document, ("event_type", "action"), with_properties=False)
            if not isinstance(type_, str):
                raise Invalid("invalid_event_type: an event needs an event_type (or action) that is text")
            newer = newer_message(document)
            if newer is not None:
                return newer
            if type_ == PROFILE_MERGED:  # of a worker: as large as the limits of a profile allow
                return decode_profile(document)
            if len(record.value) > self._limits.bytes_max(has_user=document.get("user_id") is not None):
                raise Invalid(self._too_large(record.value))
            kind = self._kinds.get(type_) or self._custom.get(type_)
            if kind is None:
                return Ignored(type_[: self._limits.label_length_max])
            if kind in STATED:
                return self._read_catalogue(record, kind, document)
            wire, others = read_custom(document) if kind.is_custom else read_event(document, kind)
            return self._build(
                record, kind, wire, self._build.check_bounds(others, "properties") if others else NOTHING
            )
        except (Invalid, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, Invalid) else f"not_json: {error}"[:200]
            return Rejected(reason, self._owner(document))

    def default_event_id(self, partition: int, position: int) -> str:
        """Return the id of an event that has none, from its partition and position in the log."""
        return f"{self._log_name}-{partition}-{position}"

    def route(self, value: bytes) -> Route:
        """Return the routing key of event bytes, and whether they are a message that a worker wrote.

        The event need not be valid or of a known type: producer and worker may know different types.
        """
        try:
            document = self._parse_document(value)
        except (Invalid, ValueError, RecursionError):
            return Route(None)
        owner = self._owner(document)
        is_of_worker = (
            document.get("forwarded") is not None
            or event_type_of(document) == PROFILE_MERGED
            or newer_message(document) is not None
        )
        return Route(None if owner is None else routing_key(owner), is_of_worker)

    def routing_key_of(self, document: Mapping[str, object]) -> str | None:
        """Return the routing key of an event document; None without a customer."""
        owner = self._owner(dict(document))
        return None if owner is None else routing_key(owner)

    def routing_key(self, value: bytes) -> str | None:
        """Return the routing key of event bytes; None without a customer, or if they are not JSON."""
        return self.route(value).key

    def _owner(self, document: Document) -> CustomerId | None:
        """Return the customer that an event belongs to, if its ids can be read; for a sign-in the visitor, if any."""
        type_ = event_type_of(document)
        is_sign_in = isinstance(type_, str) and self._kinds.get(type_) is SIGNED_IN
        return find_owner(document, ("session_id", "user_id") if is_sign_in else ("user_id", "session_id"))

    def parse(self, value: bytes) -> Document:
        """Parse the JSON object in the bytes of a record.

        Raises:
            ValueError: there is none; the message is the reason of a dead letter.
        """
        try:
            return self._parse_document(value)
        except (Invalid, ValueError, RecursionError) as error:
            raise ValueError(str(error) if isinstance(error, Invalid) else f"not_json: {error}"[:200]) from None

    def _parse_document(self, value: bytes) -> Document:
        check_depth(value)
        document = self._parse(value)
        if not isinstance(document, dict):
            raise Invalid("not_an_event: an event is a JSON object")
        return document

    def _reject_too_large(self, value: bytes) -> Rejected:
        """Reject a value that is larger than any event. It names its owner, so that it is forgotten with them."""
        try:
            owner = self._owner(self._parse_document(value))
        except (Invalid, ValueError, RecursionError):
            owner = None
        return Rejected(self._too_large(value), owner)

    def _too_large(self, value: bytes) -> str:
        return f"too_large: {len(value)} bytes are more than {self._limits.record_bytes_max}"
