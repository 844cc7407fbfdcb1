"""Event bytes to events: the one decoder, for everything that ever takes an event in."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from realtime_pipeline.application.ports.decoding import Route
from realtime_pipeline.domain.shop.events import NOTHING, CustomerId, EventKind, routing_key
from realtime_pipeline.domain.streams.records import Decoded, FromNewer, Ignored, Record, Rejected, Tick
from realtime_pipeline.infrastructure.codecs.event_builder import SIGNED_IN, EventBuilder
from realtime_pipeline.infrastructure.codecs.event_reader import read_event
from realtime_pipeline.infrastructure.codecs.fields import owner_in
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
from realtime_pipeline.infrastructure.codecs.upcasters import Document, type_in
from realtime_pipeline.infrastructure.codecs.wire import Plain

__all__ = (
    "TICK_KEY",
    "TYPE_NAMES",
    "EventDecoder",
    "EventLimits",
    "encode_event",
    "encode_tick",
    "kind_named",
)

TYPE_NAMES: Final[Mapping[EventKind, tuple[str, ...]]] = {
    EventKind.PRODUCT_VIEWED: ("product_viewed", "product_view", "view", "viewed"),
    EventKind.PRODUCT_CARTED: ("product_carted", "add_to_cart", "cart"),
    EventKind.PRODUCT_UNCARTED: ("product_uncarted", "remove_from_cart"),
    EventKind.PRODUCT_PURCHASED: ("product_purchased", "purchase", "purchased", "transaction"),
    EventKind.PURCHASE_CANCELLED: ("purchase_cancelled", "cancellation", "cancel", "refund"),
    EventKind.PRODUCT_REVIEWED: ("product_reviewed", "review"),
    EventKind.RECOMMENDATIONS_SHOWN: ("recommendations_shown", "exposure", "impression"),
    EventKind.CUSTOMER_SIGNED_IN: ("customer_signed_in", "sign_in", "login"),
    EventKind.CUSTOMER_FORGOTTEN: ("customer_forgotten", "forget"),
}
"""The event types understood out of the box; a shop adds its own in the settings (`event_types`)."""

TICK_KEY: Final = b"\0tick"
"""The key of ticks, and what the key of a newer release's ticks begins with. No event can have it, since ids are
printable."""

_OF_WORKERS: Final = f'"{PROFILE_MERGED}"'.encode(), f'"{MESSAGE_FORMAT}"'.encode()
"""What may have more bytes than an event names one of these."""
_encode_document: Final = msgspec.json.Encoder(decimal_format="number").encode


def encode_tick(floor_ms: int | None) -> bytes:
    """Write a tick: its floor in decimal, or nothing."""
    return b"" if floor_ms is None else str(floor_ms).encode()


def encode_event(document: Mapping[str, object]) -> bytes:
    """Write an event document as JSON, a `Decimal` as the number it is.

    Raises:
        ValueError: it holds what JSON has no words for, and the encoder would write something else in its place.
        TypeError: a value is of a type that cannot be written.
    """
    _check_values(document, "")
    return _encode_document(document)


def _check_values(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for name, one in value.items():
            _check_values(one, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for one in value:
            _check_values(one, where)
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, Decimal) and not value.is_finite()
    ):
        raise ValueError(f"{where} is {value}: leave out what is not known")
    elif isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{where} is bytes: decode them first")


def kind_named(name: str) -> EventKind | None:
    """Find a kind by any of its type names."""
    return next((kind for kind, names in TYPE_NAMES.items() if name in names), None)


class EventDecoder:
    """Decodes and validates events of every schema. Called with a record, it never raises.

    It takes time linear in the bytes, whatever they are. `event_types` maps a shop's own type names to kinds, and wins
    over the built-in names. `log_name` goes into the ids given to events that have none.
    """

    def __init__(
        self, limits: EventLimits, event_types: Mapping[str, EventKind], log_name: str = "user_events"
    ) -> None:
        self._limits = limits
        self._build = EventBuilder(limits, self.name_of)
        self._log_name = log_name
        self._bytes_max = limits.bytes_max(has_user=True)
        self._kinds = {name: kind for kind, names in TYPE_NAMES.items() for name in names} | dict(event_types)
        self._parse = msgspec.json.Decoder().decode
        self._parse_plain = msgspec.json.Decoder(Plain).decode

    def __call__(self, record: Record) -> Decoded:
        """Make of a record what it says."""
        value = record.value
        if record.key is not None and record.key.startswith(TICK_KEY):
            return _tick(record.key, value)
        if len(value) > self._bytes_max and not any(name in value for name in _OF_WORKERS):
            return self._refuse_too_large(value)
        try:
            plain = self._parse_plain(value)
            kind = self._kinds.get(plain.event_type)
            if kind is not None and (len(value) <= self._limits.record_bytes_max or plain.user_id is not None):
                return self._build(record, kind, plain)
        except (ValueError, RecursionError, Invalid):
            pass  # another schema, more than is known here, or something wrong: what follows finds out
        return self._decoded(record)

    def _decoded(self, record: Record) -> Decoded:
        document: Document = {}
        try:
            document = self._document(record.value)
            type_ = type_in(document)
            if type_ is None:
                check_spelling(document, ("event_type", "action"), with_properties=False)
            if not isinstance(type_, str):
                raise Invalid("invalid_event_type: an event needs an event_type (or action) that is text")
            newer = newer_message(document)
            if newer is not None:
                return newer
            if type_ == PROFILE_MERGED:  # a worker's own, as large as the profile's limits let it be
                return decode_profile(document)
            if len(record.value) > self._limits.bytes_max(has_user=document.get("user_id") is not None):
                raise Invalid(self._too_large(record.value))
            kind = self._kinds.get(type_)
            if kind is None:
                return Ignored(type_[: self._limits.label_length_max])
            wire, others = read_event(document, kind)
            return self._build(record, kind, wire, self._build.bounded(others, "properties") if others else NOTHING)
        except (Invalid, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, Invalid) else f"not_json: {error}"[:200]
            return Rejected(reason, self._owner(document))

    def name_of(self, partition: int, position: int) -> str:
        """The id of an event that has none, by its place in the log."""
        return f"{self._log_name}-{partition}-{position}"

    def route(self, value: bytes) -> Route:
        """Find the key by which event bytes are routed, and see whether they are a copy that a worker made.

        It does not matter whether the event is valid or of a known type: producer and worker may know other types.
        """
        try:
            document = self._document(value)
        except (Invalid, ValueError, RecursionError):
            return Route(None)
        owner = self._owner(document)
        is_workers = (
            document.get("forwarded") is not None
            or type_in(document) == PROFILE_MERGED
            or newer_message(document) is not None
        )
        return Route(None if owner is None else routing_key(owner), is_workers)

    def routing_key(self, value: bytes) -> str | None:
        """The key by which event bytes are routed; None for those without a customer and for garbage."""
        return self.route(value).key

    def _owner(self, document: Document) -> CustomerId | None:
        """Whose event this is, as far as its ids can be read at all; a sign-in is the visitor's, where it names one."""
        type_ = type_in(document)
        is_visitors = isinstance(type_, str) and self._kinds.get(type_) is SIGNED_IN
        return owner_in(document, ("session_id", "user_id") if is_visitors else ("user_id", "session_id"))

    def _document(self, value: bytes) -> Document:
        check_depth(value)
        document = self._parse(value)
        if not isinstance(document, dict):
            raise Invalid("not_an_event: an event is a JSON object")
        return document

    def _refuse_too_large(self, value: bytes) -> Rejected:
        """Refuse what has more bytes than any event may have. It names its owner, to be forgotten with them."""
        try:
            owner = self._owner(self._document(value))
        except (Invalid, ValueError, RecursionError):
            owner = None
        return Rejected(self._too_large(value), owner)

    def _too_large(self, value: bytes) -> str:
        return f"too_large: {len(value)} bytes are more than {self._limits.record_bytes_max}"


def _tick(key: bytes, value: bytes) -> Tick | Rejected | FromNewer:
    if key != TICK_KEY:
        return FromNewer(f"a tick of the form {ascii(key)[2:-1]} was written by a newer release: upgrade this program")
    try:
        return Tick(int(value) if value else None)
    except ValueError:
        return Rejected("invalid_tick: its floor is a whole number of milliseconds, or nothing")
