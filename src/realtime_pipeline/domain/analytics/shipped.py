"""Definitions of windows that ship with the library, as data: what most shops ask first of their events.

They count persons by two names. A *user* is a customer with a user id or, without one, the session of a visitor; who
signs in within a window is a user before and another one after. A *customer* is a user with a user id. An order is what
has one order id: a purchase without one is in units and money, and in no order. Money is in the shop's currency.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import Condition
from realtime_pipeline.domain.shop.events import EventKind

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_EXACT_MAX: Final = 1_000
"""So many orders, users and customers are counted exactly; more of them with a standard error of 1.6 %."""
_PRODUCTS_MAX: Final = 10_000
"""A product beyond this number may be missing among the top ones, however frequent it is."""

_VIEW: Final[dict[str, Condition]] = {"event_type": EventKind.PRODUCT_VIEWED.value}
_CART: Final[dict[str, Condition]] = {"event_type": EventKind.PRODUCT_CARTED.value}
_PURCHASE: Final[dict[str, Condition]] = {"event_type": EventKind.PRODUCT_PURCHASED.value}
_SALES: Final[dict[str, Condition]] = {
    "event_type": (EventKind.PRODUCT_PURCHASED.value, EventKind.PURCHASE_CANCELLED.value)
}
_OWN_ACTIONS: Final[dict[str, Condition]] = {
    "event_type": (
        EventKind.PRODUCT_VIEWED.value,
        EventKind.PRODUCT_CARTED.value,
        EventKind.PRODUCT_UNCARTED.value,
        EventKind.PRODUCT_PURCHASED.value,
        EventKind.PRODUCT_REVIEWED.value,
        EventKind.CUSTOMER_SIGNED_IN.value,
    )
}
"""What a user does. A list is shown to them, and a refund is booked by the shop."""

_USERS: Final = Measure("distinct", "customer_id", entries_max=_EXACT_MAX)
_CUSTOMERS: Final = Measure("distinct", "user_id", entries_max=_EXACT_MAX)
_REVENUE: Final = {
    "orders": Measure("distinct", "order_id", where=_PURCHASE, entries_max=_EXACT_MAX),
    "units": Measure("sum", "quantity", where=_PURCHASE),
    "gross": Measure("sum", "amount", where=_PURCHASE),
    "net": Measure("sum", "net_amount"),
}
"""A refund reduces `net` alone, at its own time."""

_GMV_PER_MINUTE: Final = WindowedAggregate(
    "gmv_per_minute",
    Window(_MINUTE_MS),
    _REVENUE,
    where=_SALES,
    description="sales of the whole shop: orders (distinct order ids), units and gross of purchases; net: gross less "
    "the refunds given back in the window",
)
_EVENTS_BY_TYPE_AND_DEVICE: Final = WindowedAggregate(
    "events_by_type_and_device",
    Window(5 * _MINUTE_MS, _MINUTE_MS),
    {"events": Measure("count"), "users": _USERS},
    key=("event_type", "context.device"),
    description="all events, custom types too, and their distinct users (customers, and sessions of visitors), by type "
    "and context.device",
)
_FUNNEL: Final = WindowedAggregate(
    "funnel",
    Window(10 * _MINUTE_MS),
    {
        f"{step}{suffix}": attrs.evolve(measure, where=where)
        for step, where in (("view", _VIEW), ("cart", _CART), ("purchase", _PURCHASE))
        for suffix, measure in (("s", Measure("count")), ("_users", _USERS))
    },
    where={"event_type": tuple(str(where["event_type"]) for where in (_VIEW, _CART, _PURCHASE))},
    description="events (of purchases: order lines) and distinct users (customers, and sessions of visitors) of each "
    "step within the window, in whatever order",
)
_REVENUE_BY_CATEGORY_COUNTRY_HOUR: Final = WindowedAggregate(
    "revenue_by_category_country_hour",
    Window(_HOUR_MS),
    {**_REVENUE, "customers": attrs.evolve(_CUSTOMERS, where=_PURCHASE)},
    key=("category", "country"),
    where=_SALES,
    description="sales by the product's category and the event's country: as gmv_per_minute, and the distinct "
    "customers with a user id who bought",
)
_TRENDING_PRODUCTS_10MIN: Final = WindowedAggregate(
    "trending_products_10min",
    Window(10 * _MINUTE_MS, _MINUTE_MS),
    {
        name: Measure("top", "product_id", where=where, limit=20, entries_max=_PRODUCTS_MAX)
        for name, where in (("viewed", _VIEW), ("purchased", _PURCHASE))
    },
    where={"event_type": (EventKind.PRODUCT_VIEWED.value, EventKind.PRODUCT_PURCHASED.value)},
    description="the 20 products with the most views, and the 20 with the most purchases (order lines, not units), of "
    "the last ten minutes",
)

ON_BY_DEFAULT: Final = ("gmv_per_minute", "revenue_by_category_country_hour")
"""Those of sales alone: these are rare among events, and all other events cost nothing."""


def _active_users(unit: str, window: Window) -> WindowedAggregate:
    return WindowedAggregate(
        f"active_users_{unit}",
        window,
        {"users": _USERS, "customers": _CUSTOMERS},
        where=_OWN_ACTIONS,
        description="distinct users (customers, and sessions of visitors), and of these customers with a user id, who "
        "viewed, put into the cart or removed from it, bought, reviewed or signed in",
    )


def shipped_aggregates(timezone: str) -> Mapping[str, WindowedAggregate]:
    """Return all definitions that ship with the library, by name.

    Args:
        timezone: the shop's time zone, in which days begin.
    """
    aggregates = (
        _GMV_PER_MINUTE,
        _EVENTS_BY_TYPE_AND_DEVICE,
        _active_users("minute", Window(_MINUTE_MS)),
        _active_users("hour", Window(_HOUR_MS)),
        _active_users("day", Window(calendar="day", timezone=timezone)),
        _FUNNEL,
        _REVENUE_BY_CATEGORY_COUNTRY_HOUR,
        _TRENDING_PRODUCTS_10MIN,
    )
    return {aggregate.name: aggregate for aggregate in aggregates}


def chosen_aggregates(
    names: Sequence[str], own: Sequence[WindowedAggregate], timezone: str
) -> tuple[WindowedAggregate, ...]:
    """Return the shipped definitions of these names, then a shop's own. One of its own replaces a shipped one of its
    name.

    Raises:
        ValueError: there is no such definition, or no such time zone, or a name is given twice.
        TypeError: the names are a text.
    """
    if isinstance(names, str):
        raise TypeError(f'shipped must be a list of names, not "{names}"')
    try:
        shipped = shipped_aggregates(timezone)
    except ValueError as error:
        raise ValueError(f"timezone: {error}") from None
    for name in names:
        if name not in shipped:
            raise ValueError(f'shipped: there is no window "{name}"; there are: {", ".join(sorted(shipped))}')
        if names.count(name) > 1:
            raise ValueError(f"shipped: {name} is there twice")
    replaced = {aggregate.name for aggregate in own}
    return (*(shipped[name] for name in names if name not in replaced), *own)
