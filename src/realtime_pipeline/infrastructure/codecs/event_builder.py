"""Building events from their fields: ids, money, and the fields that each kind requires."""

from collections.abc import Callable, Mapping
from typing import Final

from realtime_pipeline.domain.shop.events import (
    ANONYMOUS,
    NOTHING,
    CustomerId,
    Event,
    EventKind,
    ProductId,
    anonymous,
)
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.domain.shop.money import Amount, is_over, line_total, price_of_one
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.fields import to_id
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from realtime_pipeline.infrastructure.codecs.nesting import DEPTH_MAX, nesting
from realtime_pipeline.infrastructure.codecs.times import read_time
from realtime_pipeline.infrastructure.codecs.wire import Properties, Wire

PURCHASED: Final = EventKind.PRODUCT_PURCHASED
CANCELLED: Final = EventKind.PURCHASE_CANCELLED
REVIEWED: Final = EventKind.PRODUCT_REVIEWED
FORGOTTEN: Final = EventKind.CUSTOMER_FORGOTTEN
SIGNED_IN: Final = EventKind.CUSTOMER_SIGNED_IN
SHOWN: Final = EventKind.RECOMMENDATIONS_SHOWN

_CONTAINERS: Final = (dict, list)
_NO_PROPERTIES: Final = Properties()
_ALMOST_1: Final = 1 - 2.0**-40
"""A factor that keeps a product of floats below a limit in spite of rounding errors."""


class EventBuilder:
    """Builds events. Fields without a meaning for the kind are not read, and may hold any value."""

    def __init__(self, limits: EventLimits, default_id: Callable[[int, int], str]) -> None:
        self._limits = limits
        self._refused = frozenset(limits.refused_user_ids)
        self._default_id = default_id
        self._safe_amount = limits.amount_max * _ALMOST_1

    def __call__(self, record: Record, kind: EventKind, wire: Wire, others: Mapping[str, object] = NOTHING) -> Event:
        """Build the event of a record.

        Raises:
            Invalid: a field that the kind requires is missing, or a value exceeds a limit.
        """
        event_id, user_id, session_id = to_id(wire.event_id), to_id(wire.user_id), to_id(wire.session_id)
        if user_id is None:
            customer_id = self._visitor(wire, session_id)
        else:
            customer_id = self._user(user_id)
            if session_id in self._refused:
                session_id = None
        if not f"{event_id}{user_id}{session_id}".isprintable():
            _check_printable(event_id, user_id, session_id)
        if event_id is None:
            event_id = self._default_id(record.partition, record.position)
        at_ms = read_time(wire.timestamp)
        if kind is SIGNED_IN:
            return _build_sign_in(event_id, customer_id, user_id, session_id, at_ms, wire.replayed)
        if kind is FORGOTTEN:
            return _build_forgetting(event_id, customer_id, at_ms, wire.replayed)
        properties = wire.properties or _NO_PROPERTIES
        shown: tuple[ProductId, ...] = ()
        if kind is SHOWN:
            shown, properties = _shown_products(properties, customer_id), _NO_PROPERTIES
        product_id = _printable_id(properties.product_id)
        if customer_id is None and product_id is None and not kind.is_custom:
            raise Invalid("incomplete_event: it has no user_id, session_id or product_id")
        price, amount, quantity = self._money(kind, properties)
        rating, text = (None, "") if kind is not REVIEWED else self._review(customer_id, product_id, properties)
        label_length_max = self._limits.label_length_max
        return Event(
            event_id,
            kind,
            customer_id,
            at_ms,
            session_id,
            None if product_id is None else ProductId(product_id),
            properties.category[:label_length_max] if properties.category else None,
            properties.name[:label_length_max] if properties.name else None,
            price,
            amount,
            quantity,
            _printable_id(properties.order_id) if kind is PURCHASED or kind is CANCELLED else None,
            rating,
            text,
            wire.replayed,
            others,
            self.check_bounds(wire.context, "context") if wire.context else NOTHING,
            shown,
            None,
            wire.forwarded,
        )

    def check_bounds(self, values: Mapping[str, object], name: str) -> Mapping[str, object]:
        """Check the number of names in an object with free names, and its nesting depth; return the object.

        Raises:
            Invalid: it has too many names, or is nested too deep.
        """
        limits = self._limits
        if len(values) > limits.properties_max:
            raise Invalid(f"too_many_{name}: {len(values)} are more than {limits.properties_max}")
        for value in values.values():
            if isinstance(value, _CONTAINERS) and nesting(value) > min(limits.nesting_max, DEPTH_MAX - 2):
                raise Invalid(f"nested_{name}: deeper than {limits.nesting_max} levels")
        return values

    def _user(self, user_id: str) -> CustomerId:
        if user_id in self._refused:
            raise Invalid(f'invalid_user_id: "{user_id}" is not a user (see the setting events.refused_user_ids)')
        if user_id.startswith(ANONYMOUS):
            raise Invalid(f"invalid_user_id: ids that begin with {ANONYMOUS} are reserved for visitors")
        return CustomerId(user_id)

    def _visitor(self, wire: Wire, session_id: str | None) -> CustomerId | None:
        """Return the anonymous customer of an event without a user id, by its session id; None without a session."""
        if wire.user_id == "" and "" in self._refused:
            raise Invalid("invalid_user_id: it is empty; leave it out if no user is signed in")
        if session_id is None:
            return None
        if session_id in self._refused:
            raise Invalid(
                f'invalid_session_id: "{session_id}" is not a session (see the setting events.refused_user_ids)'
            )
        return anonymous(session_id)

    def _money(self, kind: EventKind, properties: Properties) -> tuple[Amount | None, int, int]:
        """Return the unit price, the amount and the quantity; the amount is 0 unless it is a purchase or a refund."""
        if kind is PURCHASED or kind is CANCELLED:
            return self._sale(properties)
        price = properties.price
        if price is None or price > self._limits.amount_max or kind is REVIEWED:
            return None, 0, 1
        return line_total(price), 0, 1

    def _sale(self, properties: Properties) -> tuple[Amount | None, int, int]:
        limits = self._limits
        price, amount, quantity = properties.price, properties.amount, properties.quantity or 1
        if quantity > limits.quantity_max:
            raise Invalid(f"invalid_quantity: {quantity} is more than {limits.quantity_max}")
        unit_price, total = None, 0
        if price is not None:
            if price * quantity > self._safe_amount and is_over(price, quantity, limits.amount_max):
                raise Invalid(f"invalid_amount: price times quantity is more than {limits.amount_max}")
            unit_price = total = line_total(price)
            if quantity != 1:
                total = line_total(price, quantity)
        if amount is not None:
            if amount > limits.amount_max:
                raise Invalid(f"invalid_amount: {amount:g} is more than {limits.amount_max}")
            total = line_total(amount)
            unit_price = price_of_one(amount, quantity) if unit_price is None else unit_price
        return unit_price, total, quantity

    def _review(
        self, customer_id: CustomerId | None, product_id: str | None, properties: Properties
    ) -> tuple[int, str]:
        """Return the rating and the text of a review."""
        rating = properties.rating
        if product_id is None or rating is None or customer_id is None:
            raise Invalid("incomplete_review: it needs a product_id, a rating from 1 to 5, and a user_id or session_id")
        return rating, properties.text[: self._limits.text_length_max] if properties.text else ""


def _printable_id(value: str | int | None) -> str | None:
    found = to_id(value)
    if found is not None and not found.isprintable():
        _check_printable(found)
    return found


def _check_printable(*ids: str | None) -> None:
    if not all(id_ is None or is_printable_id(id_) for id_ in ids):
        raise Invalid("invalid_id: ids are made of printable characters")


def _build_forgetting(event_id: str, customer_id: CustomerId | None, at_ms: int, replayed: bool) -> Event:
    """Build a forgetting, which has a customer and nothing else."""
    if customer_id is None:
        raise Invalid("incomplete_forgetting: it needs the user_id (or session_id) to forget")
    return Event(event_id, FORGOTTEN, customer_id, at_ms, replayed=replayed)


def _build_sign_in(
    event_id: str,
    customer_id: CustomerId | None,
    user_id: str | None,
    session_id: str | None,
    at_ms: int,
    replayed: bool,
) -> Event:
    """Build a sign-in: an event of the visitor, with the customer that they are identified as."""
    if user_id is None or session_id is None:
        raise Invalid(
            "incomplete_sign_in: it needs the session_id of the visitor and the user_id that they signed in with"
        )
    return Event(
        event_id, SIGNED_IN, anonymous(session_id), at_ms, session_id, replayed=replayed, identified_as=customer_id
    )


def _shown_products(properties: Properties, customer_id: CustomerId | None) -> tuple[ProductId, ...]:
    """Return the distinct products of a shown list, in order."""
    shown = tuple(
        dict.fromkeys(
            ProductId(id_) for product_id in properties.products or () if (id_ := to_id(product_id)) is not None
        )
    )
    if not shown or customer_id is None:
        raise Invalid("incomplete_exposure: it needs the products that were shown, and a user_id or session_id")
    _check_printable(*shown)
    return shown
