"""Which units of each product were sold when: a stock that was set counts the sales after it, whenever they come.

Sales and stock levels lie in different partitions, so either may be merged first. Sales are stored one by one until no
stock level of an earlier time can come: the fold refuses a stock level that is `stock_lateness_ms` behind the watermark
of its partition, so sales before all partitions' watermarks less that time decide nothing any more.
"""

from collections.abc import Callable, Collection, Mapping
from operator import itemgetter
from typing import Final

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.kinds import PURCHASED
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.projection import Add, Projection

SaleKey = tuple[ProductId, int]
"""A product and the time of a sale in ms."""
UNKNOWN_MS: Final = -1


class Sales(Projection[SaleKey, int]):
    """By product and time, the units sold. A cancelled purchase puts nothing back on the shelf: the shop does."""

    product_of = itemgetter(0)
    kinds = frozenset((PURCHASED,))

    def adder(self, table: dict[SaleKey, int]) -> Add:
        """Add the units of a purchase."""

        def add(event: Event, product_id: ProductId | None, _recorded: Recorded) -> None:
            if product_id is not None:
                key = (product_id, event.occurred_at_ms)
                table[key] = table.get(key, 0) + event.quantity

        return add

    def retract(self, table: dict[SaleKey, int], event: Contribution) -> None:
        """Subtract the units of a purchase."""
        if event.product_id is not None and event.kind is PURCHASED:
            key = (event.product_id, event.at_ms)
            table[key] = table.get(key, 0) - event.quantity

    def merge(self, table: dict[SaleKey, int], other: Mapping[SaleKey, int], latest_ms: int) -> None:
        """Add the units."""
        for key, units in other.items():
            table[key] = table.get(key, 0) + units


def by_product(sales: Mapping[SaleKey, int]) -> dict[ProductId, dict[int, int]]:
    """The units sold by time, of each product."""
    found: dict[ProductId, dict[int, int]] = {}
    for (product_id, at_ms), units in sales.items():
        found.setdefault(product_id, {})[at_ms] = units
    return found


def merge_listing(
    listing: Listing,
    added: Listing,
    sales: Mapping[int, int],
    all_sales: Callable[[], Mapping[int, int]],
    latest_ms: int,
) -> None:
    """Merge what a range of records adds to a listing, and count the units sold since the stock was set.

    Args:
        listing: the stored listing, which is changed.
        added: the facts that the range adds.
        sales: the units that the range adds, by time.
        all_sales: reads the stored sales, these included; called where the stock was set at another time.
        latest_ms: a fact with a later time gives way to any other.
    """
    before_ms = listing.stock_set_ms
    listing.merge_facts(added, latest_ms)
    set_ms = listing.stock_set_ms
    if set_ms is None:
        return
    if set_ms == before_ms:
        listing.sold += _units_after(sales, set_ms)
    else:
        listing.sold = _units_after(all_sales(), set_ms)


def _units_after(sales: Mapping[int, int], set_ms: int) -> int:
    return sum(units for at_ms, units in sales.items() if at_ms > set_ms)


def first_needed_ms(watermarks_ms: Collection[int], partitions: int, stock_lateness_ms: int) -> int:
    """The time before which sales can be deleted, in ms; -1 as long as the watermark of some partition is unknown (-1).

    Args:
        watermarks_ms: the watermark of each partition up to which views have merged, in ms.
        partitions: the number of partitions of the log.
        stock_lateness_ms: see `FoldSettings`.
    """
    if not watermarks_ms or len(watermarks_ms) < partitions:
        return UNKNOWN_MS
    return max(UNKNOWN_MS, min(watermarks_ms) - stock_lateness_ms)
