"""The windows that `replay --windows` counts: all that ship with the library, and what a wholesaler reports of them."""

from typing import Final

import attrs

from realtime_pipeline import Measure, Settings, Window, WindowedAggregate
from realtime_pipeline.domain.analytics.shipped import shipped_aggregates

_PURCHASE: Final = {"event_type": "product_purchased"}

REPORTED: Final = (
    WindowedAggregate(
        "revenue_by_country_day",
        Window(calendar="day"),
        {
            "orders": Measure("distinct", "order_id", where={**_PURCHASE}),
            "units": Measure("sum", "quantity", where={**_PURCHASE}),
            "gross": Measure("sum", "amount", where={**_PURCHASE}),
            "net": Measure("sum", "net_amount"),
        },
        key=("context.country",),
        where={"event_type": ("product_purchased", "purchase_cancelled")},
        description="sales by the country as it is written, and refunds at their own time; days of UTC",
    ),
    WindowedAggregate(
        "customers_per_hour",
        Window(3_600_000),
        {"customers": Measure("distinct", "user_id")},
        description="distinct customers with a user id who had any event",
    ),
)
"""Countries of real files are names and not codes, so the shipped windows by country do not tell them apart."""


def with_all_windows(settings: Settings) -> Settings:
    """Settings by which all windows of the library are counted, those of a report, and a shop's own."""
    own = (*settings.analytics.windows, *REPORTED)
    shipped = tuple(shipped_aggregates(settings.analytics.timezone))
    return attrs.evolve(settings, analytics=attrs.evolve(settings.analytics, windows=own, shipped=shipped))
