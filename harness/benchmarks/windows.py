"""The windows that benchmarks count: none, unless an option asks for some."""

from collections.abc import Mapping
from typing import Final

import attrs

from realtime_pipeline import Measure, Settings, Window, WindowedAggregate
from realtime_pipeline.domain.analytics.shipped import ON_BY_DEFAULT, shipped_aggregates

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
_SALES: Final = ("product_purchased", "purchase_cancelled")
_REVENUE: Final = {
    "orders": Measure("count", where={"event_type": "product_purchased"}),
    "units": Measure("sum", "quantity"),
    "net": Measure("sum", "net_amount"),
}

FOUR_WINDOWS: Final = (
    WindowedAggregate("by_category", Window(MINUTE_MS), {"events": Measure("count")}, key=("category",)),
    WindowedAggregate("users", Window(5 * MINUTE_MS, MINUTE_MS), {"users": Measure("distinct", "user_id")}),
    WindowedAggregate(
        "by_country", Window(HOUR_MS), _REVENUE, key=("country",), where={"event_type": _SALES}, lateness_ms=0
    ),
    WindowedAggregate("revenue", Window(MINUTE_MS), _REVENUE, where={"event_type": _SALES}),
)
"""What a shop's dashboard shows: a minute by category; 5 minutes by 1 with distinct users; a country and hour; and the
revenue of the whole shop."""

SHIPPED: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "default": ON_BY_DEFAULT,
    "all": tuple(shipped_aggregates("UTC")),
}
"""Which of the library's definitions are counted, by the value of `--shipped`."""


def with_shipped(settings: Settings, names: tuple[str, ...] = ()) -> Settings:
    """Settings by which these of the library's definitions are counted, and no others of the library's."""
    return attrs.evolve(settings, analytics=attrs.evolve(settings.analytics, shipped=names))
