"""The fields of an event, once they are read, to the event: ids, money and what each kind must have."""

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
from realtime_pipeline.infrastructure.codecs.fields import id_in
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from realtime_pipeline.infrastructure.codecs.nesting import DEPTH_MAX, nesting
from realtime_pipeline.infrastructure.codecs.times import time_in
from realtime_pipeline.infrastructure.codecs.wire import Properties, Wire

PURCHASED: Final = EventKind.PRODUCT_PURCHASED
CANCELLED: Final = EventKind.PURCHASE_CANCELLED
REVIEWED: Final = EventKind.PRODUCT_REVIEWED
FORGOTTEN: Final = EventKind.CUSTOMER_FORGOTTEN
SIGNED_IN: Final = EventKind.CUSTOMER_SIGNED_IN
SHOWN: Final = EventKind.RECOMMENDATIONS_SHOWN

_CONTAINERS: Final = (dict, list)
_NO_PROPERTIES: Final = Properties()
_ALMOST: Final = 1 - 2.0**-40
"""Far enough below a limit that floats cannot be wrong about it."""


class EventBuilder:
    """Builds events. Fields that do not matter for a kind may hold anything: they are not looked at."""

    def __init__(self, limits: EventLimits, name_of: Callable[[int, int], str]) -> None:
        self._limits = limits
        self._refused = frozenset(limits.refused_user_ids)
        self._name_of = name_of
        self._safe_amount = limits.amount_max * _ALMOST

    def __call__(self, record: Record, kind: EventKind, wire: Wire, others: Mapping[str, object] = NOTHING) -> Event:
        """Build the event of a record.

        Raises:
            Invalid: it lacks what its kind must have, or a value is out of bounds.
        """
        event_id, user_id, session_id = id_in(wire.event_id), id_in(wire.user_id), id_in(wire.session_id)
        if user_id is None:
            customer_id = self._visitor(wire, session_id)
        else:
            customer_id = self._user(user_id)
            if session_id in self._refused:
                session_id = None
        if not f"{event_id}{user_id}{session_id}".isprintable():
            _check_printable(event_id, user_id, session_id)
        if event_id is None:
            event_id = self._name_of(record.partition, record.position)
        at_ms = time_in(wire.timestamp)
        if kind is SIGNED_IN:
            return _sign_in(event_id, customer_id, user_id, session_id, at_ms, wire.replayed)
        if kind is FORGOTTEN:
            return _forgetting(event_id, customer_id, at_ms, wire.replayed)
        stated = wire.properties or _NO_PROPERTIES
        shown: tuple[ProductId, ...] = ()
        if kind is SHOWN:
            shown, stated = _shown(stated, customer_id), _NO_PROPERTIES
        product_id = _printable_id(stated.product_id)
        if customer_id is None and product_id is None:
            raise Invalid("incomplete_event: it has no user_id, session_id or product_id")
        price, amount, quantity = self._money(kind, stated)
        rating, text = (None, "") if kind is not REVIEWED else self._opinion(customer_id, product_id, stated)
        label_length_max = self._limits.label_length_max
        return Event(
            event_id,
            kind,
            customer_id,
            at_ms,
            session_id,
            None if product_id is None else ProductId(product_id),
            stated.category[:label_length_max] if stated.category else None,
            stated.name[:label_length_max] if stated.name else None,
            price,
            amount,
            quantity,
            _printable_id(stated.order_id) if kind is PURCHASED or kind is CANCELLED else None,
            rating,
            text,
            wire.replayed,
            others,
            self.bounded(wire.context, "context") if wire.context else NOTHING,
            shown,
            None,
            wire.forwarded,
        )

    def bounded(self, values: Mapping[str, object], name: str) -> Mapping[str, object]:
        """See that an object with any names has not too many of them, and is not nested too deep.

        Raises:
            Invalid: it is.
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
            raise Invalid(f'invalid_user_id: "{user_id}" is nobody (see the setting events.refused_user_ids)')
        if user_id.startswith(ANONYMOUS):
            raise Invalid(f"invalid_user_id: ids that begin with {ANONYMOUS} are kept for visitors")
        return CustomerId(user_id)

    def _visitor(self, wire: Wire, session_id: str | None) -> CustomerId | None:
        """Whose an event without a user id is: the visitor's, who is known by the session alone, else nobody's."""
        if wire.user_id == "" and "" in self._refused:
            raise Invalid("invalid_user_id: it is empty; leave it out where nobody is signed in")
        if session_id is None:
            return None
        if session_id in self._refused:
            raise Invalid(f'invalid_session_id: "{session_id}" is nobody (see the setting events.refused_user_ids)')
        return anonymous(session_id)

    def _money(self, kind: EventKind, stated: Properties) -> tuple[Amount | None, int, int]:
        """The price of one, the total and the quantity; of what was neither bought nor given back a price at most."""
        if kind is PURCHASED or kind is CANCELLED:
            return self._sale(stated)
        price = stated.price
        if price is None or price > self._limits.amount_max or kind is REVIEWED:
            return None, 0, 1
        return line_total(price), 0, 1

    def _sale(self, stated: Properties) -> tuple[Amount | None, int, int]:
        limits = self._limits
        price, amount, quantity = stated.price, stated.amount, stated.quantity or 1
        if quantity > limits.quantity_max:
            raise Invalid(f"invalid_quantity: {quantity} is more than {limits.quantity_max}")
        one, total = None, 0
        if price is not None:
            if price * quantity > self._safe_amount and is_over(price, quantity, limits.amount_max):
                raise Invalid(f"invalid_amount: price times quantity is more than {limits.amount_max}")
            one = total = line_total(price)
            if quantity != 1:
                total = line_total(price, quantity)
        if amount is not None:
            if amount > limits.amount_max:
                raise Invalid(f"invalid_amount: {amount:g} is more than {limits.amount_max}")
            total = line_total(amount)
            one = price_of_one(amount, quantity) if one is None else one
        return one, total, quantity

    def _opinion(self, customer_id: CustomerId | None, product_id: str | None, stated: Properties) -> tuple[int, str]:
        """The rating and the text of a review."""
        rating = stated.rating
        if product_id is None or rating is None or customer_id is None:
            raise Invalid("incomplete_review: it needs a product_id, a rating from 1 to 5, and somebody whose it is")
        return rating, stated.text[: self._limits.text_length_max] if stated.text else ""


def _printable_id(value: str | int | None) -> str | None:
    found = id_in(value)
    if found is not None and not found.isprintable():
        _check_printable(found)
    return found


def _check_printable(*ids: str | None) -> None:
    if not all(id_ is None or is_printable_id(id_) for id_ in ids):
        raise Invalid("invalid_id: ids are made of printable characters")


def _forgetting(event_id: str, customer_id: CustomerId | None, at_ms: int, again: bool) -> Event:
    """A forgetting says whose, and nothing else."""
    if customer_id is None:
        raise Invalid("incomplete_forgetting: it needs the user_id (or session_id) to forget")
    return Event(event_id, FORGOTTEN, customer_id, at_ms, replayed=again)


def _sign_in(
    event_id: str, customer_id: CustomerId | None, user_id: str | None, session_id: str | None, at_ms: int, again: bool
) -> Event:
    """A sign-in is the visitor's, and says no more than the customer they signed in as."""
    if user_id is None or session_id is None:
        raise Invalid("incomplete_sign_in: it needs the session_id, and the user_id that it turned out to be")
    return Event(
        event_id, SIGNED_IN, anonymous(session_id), at_ms, session_id, replayed=again, identified_as=customer_id
    )


def _shown(stated: Properties, customer_id: CustomerId | None) -> tuple[ProductId, ...]:
    """The products of a list that was shown, each once."""
    shown = tuple(dict.fromkeys(ProductId(id_) for one in stated.products or () if (id_ := id_in(one)) is not None))
    if not shown or customer_id is None:
        raise Invalid("incomplete_exposure: it needs the products that were shown, and somebody who saw them")
    _check_printable(*shown)
    return shown
