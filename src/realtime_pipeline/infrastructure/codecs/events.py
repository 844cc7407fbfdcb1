"""Event bytes to events: the one decoder, for everything that ever takes an event in."""

import math
from collections.abc import Mapping
from typing import Final

import attrs
import msgspec

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.shop.events import (
    NOTHING,
    CustomerId,
    Event,
    EventKind,
    ProductId,
    anonymous,
    routing_key,
)
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Rejected, Tick
from realtime_pipeline.infrastructure.codecs.fields import (
    Invalid,
    check_depth,
    customer_in,
    id_in,
    nesting,
    owner_in,
    time_in,
)
from realtime_pipeline.infrastructure.codecs.messages import HISTORY_MERGED, decode_history
from realtime_pipeline.infrastructure.codecs.upcasters import Document, upcast
from realtime_pipeline.infrastructure.codecs.wire import Plain, Properties, Wire

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
"""The key of ticks. No event can have it, since ids are printable."""


FORWARDED_BYTES: Final = 2_048
"""What forwarding adds to an event: two ids with their names, of characters of up to four bytes, or escaped."""

_CONTAINERS: Final = (dict, list)
_NO_PROPERTIES: Final = Properties()
_KNOWN_PROPERTIES: Final = frozenset(Properties.__struct_fields__)


AMOUNT_LIMIT: Final = 2**53 // PER_UNIT
"""In units: up to here a JSON number holds every ten-thousandth."""


@attrs.frozen
class EventLimits:
    """What an event may measure, beside its ids' 128 characters. Amounts in units of the currency."""

    record_bytes_max: int = 65_536
    label_length_max: int = 256
    text_length_max: int = 2_000
    properties_max: int = 64
    nesting_max: int = 4
    quantity_max: int = 1_000_000
    amount_max: int = 1_000_000_000

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        if self.amount_max > AMOUNT_LIMIT:
            raise ValueError(f"amount_max must be at most {AMOUNT_LIMIT}, so that amounts stay exact")


REVIEWED: Final = EventKind.PRODUCT_REVIEWED
FORGOTTEN: Final = EventKind.CUSTOMER_FORGOTTEN
SIGNED_IN: Final = EventKind.CUSTOMER_SIGNED_IN
SHOWN: Final = EventKind.RECOMMENDATIONS_SHOWN


def encode_tick(floor_ms: int | None) -> bytes:
    """Write a tick: its floor in decimal, or nothing."""
    return b"" if floor_ms is None else str(floor_ms).encode()


def encode_event(document: Mapping[str, object]) -> bytes:
    """Write an event document as JSON.

    Raises:
        ValueError: it holds what JSON has no words for, and the encoder would write something else in its place.
        TypeError: a value is of a type that cannot be written.
    """
    _check_values(document, "")
    return msgspec.json.encode(document)


def _check_values(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for name, one in value.items():
            _check_values(one, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for one in value:
            _check_values(one, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: leave out what is not known")
    elif isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{where} is bytes: decode them first")


def kind_named(name: str) -> EventKind | None:
    """Find a kind by any of its type names."""
    return next((kind for kind, names in TYPE_NAMES.items() if name in names), None)


class EventDecoder:
    """Decodes, upcasts and validates events. Called with a record, it never raises.

    `event_types` maps a shop's own type names to kinds, and wins over the built-in names. `log_name` goes into the
    ids given to events that have none.
    """

    def __init__(
        self, limits: EventLimits, event_types: Mapping[str, EventKind], log_name: str = "user_events"
    ) -> None:
        self._limits = limits
        self._log_name = log_name
        self._kinds = {name: kind for kind, names in TYPE_NAMES.items() for name in names} | dict(event_types)
        self._parse = msgspec.json.Decoder().decode
        self._parse_plain = msgspec.json.Decoder(Plain).decode

    def __call__(self, record: Record) -> Decoded:
        """Make of a record what it says."""
        if record.key == TICK_KEY:
            return _tick(record.value)
        try:
            plain = self._parse_plain(record.value)
            kind = self._kinds.get(plain.event_type)
            if kind is not None and len(record.value) <= self._bytes_max(has_user=plain.user_id is not None):
                return self._event(record, kind, plain, NOTHING, NOTHING)
        except (ValueError, RecursionError, Invalid):
            pass  # another schema, more than is known here, or something wrong: what follows finds out
        return self._decoded(record)

    def _decoded(self, record: Record) -> Decoded:
        document: Document = {}
        try:
            document = self._document(record.value)
            type_ = document.get("event_type")
            if not isinstance(type_, str):
                raise Invalid("invalid_event_type: an event needs an event_type (or action) that is text")
            if type_ == HISTORY_MERGED:  # a worker's own, as large as the profile's limits let it be
                return decode_history(document)
            self._check_size(record.value, document)
            kind = self._kinds.get(type_)
            if kind is not None:
                wire = self._validate(document)
                return self._event(
                    record,
                    kind,
                    wire,
                    self._others(document.get("properties")),
                    self._bounded(wire.context, "context") if wire.context else NOTHING,
                )
            return Ignored(type_[: self._limits.label_length_max])
        except (Invalid, ValueError, RecursionError) as error:
            return Rejected(self._reason(error, record.value, document), self._owner(document))

    def _reason(self, error: Exception, value: bytes, document: Document) -> str:
        if not document and len(value) > self._bytes_max(has_user=True):
            return self._too_large(value)
        return str(error) if isinstance(error, Invalid) else f"not_json: {error}"[:200]

    def routing_key(self, value: bytes) -> str | None:
        """Find the key by which event bytes are routed; None for those without a customer and for garbage.

        It does not matter whether the event is valid or of a known type: producer and worker may know other types.
        """
        try:
            owner = self._owner(self._document(value))
        except (Invalid, ValueError, RecursionError):
            return None
        return None if owner is None else routing_key(owner)

    def _owner(self, document: Document) -> CustomerId | None:
        """Whose event this is, as far as its ids can be read at all; a sign-in is the visitor's, where it names one."""
        type_ = document.get("event_type")
        is_visitors = isinstance(type_, str) and self._kinds.get(type_) is SIGNED_IN
        return owner_in(document, ("session_id", "user_id") if is_visitors else ("user_id", "session_id"))

    def _document(self, value: bytes) -> Document:
        check_depth(value)
        document = self._parse(value)
        if not isinstance(document, dict):
            raise Invalid("not_an_event: an event is a JSON object")
        return upcast(document)

    def _bytes_max(self, *, has_user: bool) -> int:
        """How large an event may be; a visitor's was sent on with whose it is, and with an id."""
        return self._limits.record_bytes_max + (FORWARDED_BYTES if has_user else 0)

    def _check_size(self, value: bytes, document: Document) -> None:
        if len(value) > self._bytes_max(has_user=document.get("user_id") is not None):
            raise Invalid(self._too_large(value))

    def _too_large(self, value: bytes) -> str:
        return f"too_large: {len(value)} bytes are more than {self._limits.record_bytes_max}"

    def _event(
        self,
        record: Record,
        kind: EventKind,
        wire: Wire | Plain,
        others: Mapping[str, object],
        context: Mapping[str, object],
    ) -> Event:
        limits = self._limits
        stated = wire.properties or _NO_PROPERTIES
        event_id, user_id, session_id = id_in(wire.event_id), id_in(wire.user_id), id_in(wire.session_id)
        product_id, order_id = id_in(stated.product_id), id_in(stated.order_id)
        if not f"{event_id}{user_id}{session_id}{product_id}{order_id}".isprintable():
            raise Invalid("invalid_id: ids are made of printable characters")
        price, quantity = stated.price, stated.quantity or 1
        if quantity > limits.quantity_max:
            raise Invalid(f"invalid_quantity: {quantity} is more than {limits.quantity_max}")
        if price is not None and price * quantity > limits.amount_max:
            raise Invalid(f"invalid_amount: price times quantity is more than {limits.amount_max}")
        customer_id = customer_in(user_id, session_id)
        event_id = event_id or f"{self._log_name}-{record.partition}-{record.position}"
        if kind is SIGNED_IN:
            return _sign_in(event_id, customer_id, user_id, session_id, time_in(wire.timestamp), wire.replayed)
        shown = self._shown(stated, customer_id) if kind is SHOWN else ()
        if kind is REVIEWED and (product_id is None or stated.rating is None or customer_id is None):
            raise Invalid("incomplete_review: it needs a product_id, a rating from 1 to 5, and somebody whose it is")
        if kind is FORGOTTEN and customer_id is None:
            raise Invalid("incomplete_forgetting: it needs the user_id (or session_id) to forget")
        return Event(
            event_id,
            kind,
            customer_id,
            time_in(wire.timestamp),
            session_id,
            None if product_id is None else ProductId(product_id),
            stated.category[: limits.label_length_max] if stated.category else None,
            stated.name[: limits.label_length_max] if stated.name else None,
            None if price is None else Amount(round(price * PER_UNIT)),
            0 if price is None else round(price * quantity * PER_UNIT),
            quantity,
            order_id,
            stated.rating,
            stated.text[: limits.text_length_max] if stated.text else "",
            wire.replayed,
            others,
            context,
            shown,
            forwarded=wire.forwarded,
        )

    def _shown(self, stated: Properties, customer_id: CustomerId | None) -> tuple[ProductId, ...]:
        """The products of a list that was shown, each once."""
        shown = tuple(dict.fromkeys(ProductId(id_) for one in stated.products or () if (id_ := id_in(one)) is not None))
        if not shown or customer_id is None:
            raise Invalid("incomplete_exposure: it needs the products that were shown, and somebody who saw them")
        if not "".join(shown).isprintable():
            raise Invalid("invalid_id: ids are made of printable characters")
        return shown

    def _validate(self, document: Document) -> Wire:
        try:
            wire = msgspec.convert(document, Wire)
        except msgspec.ValidationError as error:
            said, _, place = str(error).partition(" - at `$")
            names = [name for name in place.rstrip("`").split(".") if name]
            raise Invalid(f"invalid_{names[-1] if names else 'event'}: {said}") from None
        return wire

    def _others(self, properties: object) -> Mapping[str, object]:
        """Keep the properties that mean nothing here but may mean something to windows and patterns."""
        if not isinstance(properties, dict) or properties.keys() <= _KNOWN_PROPERTIES:
            return NOTHING
        unknown = {name: value for name, value in properties.items() if name not in _KNOWN_PROPERTIES}
        return self._bounded(unknown, "properties")

    def _bounded(self, values: Mapping[str, object], name: str) -> Mapping[str, object]:
        if len(values) > self._limits.properties_max:
            raise Invalid(f"too_many_{name}: {len(values)} are more than {self._limits.properties_max}")
        for value in values.values():
            if isinstance(value, _CONTAINERS) and nesting(value) > self._limits.nesting_max:
                raise Invalid(f"nested_{name}: deeper than {self._limits.nesting_max} levels")
        return values


def _tick(value: bytes) -> Tick | Rejected:
    try:
        return Tick(int(value) if value else None)
    except ValueError:
        return Rejected("invalid_tick: its floor is a whole number of milliseconds, or nothing")


def _sign_in(
    event_id: str, customer_id: CustomerId | None, user_id: str | None, session_id: str | None, at_ms: int, again: bool
) -> Event:
    """A sign-in is the visitor's, and says no more than who they turned out to be."""
    if user_id is None or session_id is None:
        raise Invalid("incomplete_sign_in: it needs the session_id, and the user_id that it turned out to be")
    return Event(event_id, SIGNED_IN, anonymous(session_id), at_ms, session_id, replayed=again, becomes=customer_id)
