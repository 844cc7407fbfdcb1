"""The windows that the benchmark of the worker counts: what a shop's dashboard shows."""

from typing import Final

from realtime_pipeline import Measure, Window, WindowedAggregate

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
"""A minute by category; 5 minutes by 1 with distinct users; a country and hour; and the revenue of the whole shop."""
