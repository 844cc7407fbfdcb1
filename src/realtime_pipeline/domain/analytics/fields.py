"""The fields of an event that windows can read: by name, as text or as a whole number of a unit."""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from math import isfinite
from typing import Final

import attrs

from realtime_pipeline.domain.paths import compile_path
from realtime_pipeline.domain.shop.events import ANONYMOUS, CUSTOM, Event, EventKind
from realtime_pipeline.domain.shop.money import PER_UNIT

Get = Callable[[Event], object]
"""Reads a field of an event; None where it is absent."""

TEXT_LENGTH_MAX: Final = 200
"""Characters of a text; the rest is cut off."""
MILLIONTHS: Final = 1_000_000
"""The unit of numbers that an event's properties have: six decimals are exact."""
NUMBER_MAX: Final = 10**12
"""A number of a property beyond ± this is no number."""
_DIGITS: Final = 10**30
_EXPONENT_MAX: Final = 12
_MILLIONTH: Final = Decimal("0.000001")
_EXACT: Final = Context(prec=TEXT_LENGTH_MAX + 20, rounding=ROUND_HALF_EVEN)


def _event_type(event: Event) -> str:
    return event.kind.removeprefix(CUSTOM)


def _net_amount(event: Event) -> int | None:
    if event.kind is EventKind.PURCHASE_CANCELLED:
        return -event.amount
    return event.amount if event.kind is EventKind.PRODUCT_PURCHASED else None


def _user_id(event: Event) -> str | None:
    customer_id = event.customer_id
    return None if customer_id is None or customer_id.startswith(ANONYMOUS) else customer_id


_SALES: Final = (EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED)
_FIELDS: Final[Mapping[str, tuple[Get, int]]] = {
    "event_type": (_event_type, 0),
    "event_id": (lambda event: event.event_id, 0),
    "customer_id": (lambda event: event.customer_id, 0),
    "user_id": (_user_id, 0),
    "session_id": (lambda event: event.session_id, 0),
    "product_id": (lambda event: event.product_id, 0),
    "category": (lambda event: event.category, 0),
    "name": (lambda event: event.name, 0),
    "order_id": (lambda event: event.order_id, 0),
    "text": (lambda event: event.text or None, 0),
    "country": (lambda event: event.country, 0),
    "price": (lambda event: event.price, PER_UNIT),
    "amount": (lambda event: event.amount if event.kind in _SALES else None, PER_UNIT),
    "net_amount": (_net_amount, PER_UNIT),
    "quantity": (lambda event: event.quantity if event.kind in _SALES else None, 1),
    "rating": (lambda event: event.rating, 1),
}
"""Each field with the unit of its numbers: how many of them are 1; 0 where it has none."""

PERSONAL: Final = frozenset(("customer_id", "user_id", "session_id", "event_id", "text"))
"""What names a customer, or is theirs: only counted as distinct values, of which digests are kept."""


@attrs.frozen
class Field:
    """A field: how to read it, and its unit (how many of its numbers are 1; 0: its numbers are read as millionths)."""

    name: str
    get: Get
    unit: int

    @property
    def scale(self) -> int:
        """How many of the numbers that `number` returns are 1."""
        return self.unit or MILLIONTHS

    def number(self) -> Callable[[Event], int | None]:
        """A function that reads the field as a whole number in its unit; None where it has no number."""
        get = self.get
        if self.unit:
            return get  # type: ignore[return-value]  # fields with a unit are whole numbers or absent
        return lambda event: millionths(get(event))

    def text(self) -> Callable[[Event], str | None]:
        """A function that reads the field as text; None where it has no value."""
        get, unit = self.get, self.unit
        if unit > 1:
            return lambda event: as_text(value / unit) if isinstance(value := get(event), int) else None
        return lambda event: as_text(get(event))


def field_named(name: str) -> Field:
    """Find a field of events by its name: ours, or a path as `properties.experiment.name` or `context.device`.

    Raises:
        ValueError: there is none.
    """
    if name in _FIELDS:
        get, unit = _FIELDS[name]
        return Field(name, get, unit)
    within, dot, path = name.partition(".")
    if not (dot and within in ("properties", "context")):
        raise ValueError(
            f'there is no field "{name}": write {", ".join(sorted(_FIELDS))}, or a path such as properties.device, '
            "context.device"
        )
    read = compile_path(path)
    if within == "properties":
        return Field(name, _property(read, path), 0)
    return Field(name, lambda event: read((event.context,)) if event.context else None, 0)


def _property(read: Callable[[tuple[object, ...]], object], path: str) -> Get:
    """A property; of those that are fields of ours, the field, in whole units, where the event has no such property."""
    known, unit = _FIELDS.get(path, (None, 0))

    def get(event: Event) -> object:
        value = read((event.properties,)) if event.properties else None
        if value is None and known is not None:
            value = known(event)
            return value / unit if unit > 1 and isinstance(value, int) else value
        return value

    return get


def as_text(value: object) -> str | None:
    """Write a single value as text: true and false, whole numbers without decimals; None where it is none."""
    if isinstance(value, str):
        return value[:TEXT_LENGTH_MAX] or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value)) if -_DIGITS <= value <= _DIGITS else None
    return repr(value) if isinstance(value, float) and isfinite(value) else None


def millionths(value: object) -> int | None:
    """Read a number, also written as text, as millionths, rounded to the even; None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value * MILLIONTHS if -NUMBER_MAX <= value <= NUMBER_MAX else None
    if not isinstance(value, float | str) or (isinstance(value, str) and len(value) > TEXT_LENGTH_MAX):
        return None
    try:
        number = Decimal(value.strip() if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > _EXPONENT_MAX or abs(number) > NUMBER_MAX:
        return None
    return int(number.quantize(_MILLIONTH, context=_EXACT).scaleb(6, context=_EXACT))
