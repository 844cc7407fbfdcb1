"""The fields of events that windows read, and conditions on them."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from harness.oracle.profile import country_of
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.conditions import Condition, FieldTest
from realtime_pipeline.domain.shop.events import Event, EventKind

SALES = (EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED)
TEXT_MAX = 200
OURS = ("product_id", "category", "name", "price", "amount", "quantity", "order_id", "rating", "text")
"""Properties that the decoder takes out of an event's properties."""


def field_of(definition: WindowedAggregate, event: Event, name: str) -> object:
    """The value of a field; money in units of the currency. None where it is absent."""
    if name in definition.derive:
        return _derived(definition, event, name)
    if "." in name:
        value = _nested(event, name)
        ours = name.removeprefix("properties.")
        return field_of(definition, event, ours) if value is None and ours in OURS else value
    return _FIELDS[name](event) if name in _FIELDS else getattr(event, name)


def _net_amount(event: Event) -> float | None:
    if event.kind not in SALES:
        return None
    return (-1 if event.kind is EventKind.PURCHASE_CANCELLED else 1) * event.amount / 10_000


def _user_id(event: Event) -> str | None:
    is_visitor = event.customer_id is not None and event.customer_id.startswith("anonymous:")
    return None if is_visitor else event.customer_id


_FIELDS: Final[Mapping[str, Callable[[Event], object]]] = {
    "event_type": lambda event: event.kind.split(":", 1)[-1] if event.kind.is_custom else event.kind.value,
    "user_id": _user_id,
    "text": lambda event: event.text or None,
    "country": country_of,
    "price": lambda event: None if event.price is None else event.price / 10_000,
    "amount": lambda event: event.amount / 10_000 if event.kind in SALES else None,
    "net_amount": _net_amount,
    "quantity": lambda event: event.quantity if event.kind in SALES else None,
}
"""The fields that are not an event's own attributes, or not of all its types."""


def text_of(definition: WindowedAggregate, event: Event, name: str) -> str | None:
    """A field as text; None where it has no single value."""
    value = field_of(definition, event, name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value) and value == math.floor(value):
        value = int(value)
    if isinstance(value, int | float):
        return str(value) if math.isfinite(value) else None
    return value[:TEXT_MAX] or None if isinstance(value, str) else None


def holds(value: object, condition: Condition) -> bool:
    """Whether a condition on a field's value holds."""
    if not isinstance(condition, FieldTest):
        wanted = condition if isinstance(condition, tuple) else (condition,)
        return any(_is(value, one) for one in wanted)
    is_present = value not in (None, "", [], {})
    return (
        condition.present in (None, is_present)
        and (not condition.one_of or any(_is(value, one) for one in condition.one_of))
        and (not condition.prefix or str(value).startswith(condition.prefix))
        and (condition.at_least is None or _number(value) >= condition.at_least)
        and (condition.at_most is None or _number(value) <= condition.at_most)
    )


def _number(value: object) -> float:
    """A number as it is written; else one that is neither small nor large."""
    try:
        return math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        return math.nan


def _is(value: object, wanted: object) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value == wanted or str(value) == str(wanted)


def _nested(event: Event, name: str) -> object:
    within, *names = name.split(".")
    value: object = event.properties if within == "properties" else event.context
    for part in names:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _derived(definition: WindowedAggregate, event: Event, name: str) -> object:
    derived = definition.derive[name]
    if derived.constant is not None:
        return derived.constant
    if derived.hour_of_day:
        zone = UTC if derived.hour_of_day == "UTC" else ZoneInfo(derived.hour_of_day)
        return f"{datetime.fromtimestamp(event.occurred_at_ms / 1_000, zone):%H}"
    numbers = [field_of(definition, event, field) for field in derived.fields]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return None
    left, right = (Decimal(str(number)) for number in numbers)
    if derived.product:
        return float(round(left * right, 6))
    if derived.difference:
        return float(round(left - right, 6))
    return float(round(left / right, 6)) if right else None
