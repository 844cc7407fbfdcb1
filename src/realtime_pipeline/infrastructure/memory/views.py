"""Views in memory."""

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import attrs

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, Views
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import FUTURE_SKEW_MAX_MS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.sales import by_product, first_needed_ms, merge_listing


@attrs.define
class Source:
    """A source partition of a view cell: epoch, the position merged so far, and watermark."""

    epoch: int = 0
    position: int = 0
    watermark: Watermark = attrs.Factory(Watermark)


@attrs.define
class ViewCell:
    """A view cell: its source partitions, and the products that belong to it."""

    sources: dict[int, Source] = attrs.Factory(dict)
    state: Deltas = attrs.Factory(Deltas)
    lists: dict[ProductId, dict[SessionKey, int]] = attrs.Factory(dict)
    sums: dict[str, dict[ProductId, dict[str, int]]] = attrs.Factory(dict)
    listings: dict[ProductId, Listing] = attrs.Factory(dict)
    sales: dict[ProductId, dict[int, int]] = attrs.Factory(dict)
    oldest_hour: int = 0
    first_sale_ms: int = 0

    def sales_of(self, product_id: ProductId) -> Mapping[int, int]:
        """The stored sales of a product: units by time."""
        return self.sales.get(product_id, {})

    def source(self, partition: int) -> Source:
        """Return the entry of a source partition; make it where there is none."""
        return self.sources.setdefault(partition, Source())


class MemoryViews(Views):
    """Keeps dictionaries of products, their hourly activity and their newest sessions, in any number of view cells.

    Only this class writes `cells`; `MemoryProductQueries` reads it. Without `partitions`, the number of partitions of
    the log, sales are never deleted.
    """

    def __init__(
        self,
        view_cells: int,
        listed_sessions_max: int,
        activity_retention_hours: int,
        stock_lateness_ms: int = FoldSettings().stock_lateness_ms,
        partitions: int = sys.maxsize,
    ) -> None:
        self.cells = [ViewCell() for _ in range(view_cells)]
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours
        self._stock_lateness_ms = stock_lateness_ms
        self._partitions = partitions

    @property
    def view_cells(self) -> int:
        """The number of view cells."""
        return len(self.cells)

    @property
    def merge_records_max(self) -> int:
        """Unbounded: a merge blocks nobody."""
        return sys.maxsize

    @property
    def linger_ms(self) -> int:
        """0: a merge is cheap."""
        return 0

    def epoch(self, partition: int) -> int:
        """Read the largest epoch that any view cell has of a partition."""
        return max(cell.source(partition).epoch for cell in self.cells)

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, which fences earlier owners, then read the positions."""
        if epoch <= self.epoch(partition):
            raise Fenced(f"the views have epoch {self.epoch(partition)} from partition {partition} already")
        for cell in self.cells:
            cell.source(partition).epoch = epoch
        return self.positions([partition])[partition]

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read the position of each view cell in each partition."""
        return {partition: tuple(cell.source(partition).position for cell in self.cells) for partition in partitions}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Merge deltas into view cells, each all or nothing."""
        for merge in merges:
            self._merge(merge, now_ms)

    def _merge(self, merge: Merge, now_ms: int) -> None:
        cell = self.cells[merge.view_cell]
        for range_ in merge.ranges:
            if range_.epoch != cell.source(range_.partition).epoch:
                raise Fenced(f"the views have another epoch from partition {range_.partition}")
        positions = {range_.partition: cell.source(range_.partition).position for range_ in merge.ranges}
        if any(positions[range_.partition] != range_.from_position for range_ in merge.ranges):
            raise PositionMismatch(positions)
        for range_ in merge.ranges:
            source = cell.source(range_.partition)
            source.position, source.watermark = range_.to_position, range_.watermark
        cell.state.merge(
            attrs.evolve(merge.deltas, index={}, sums={}, listings={}, sales={}), now_ms + FUTURE_SKEW_MAX_MS
        )
        for (product_id, key), at_ms in merge.deltas.index.items():
            listed = cell.lists.setdefault(product_id, {})
            listed[key] = max(at_ms, listed.get(key, at_ms))
            if len(listed) > self._listed_sessions_max:
                del listed[min(listed, key=lambda session: (listed[session], session))]
        for (projection, product_id, measure), number in merge.deltas.sums.items():
            sums = cell.sums.setdefault(projection, {}).setdefault(product_id, {})
            sums[measure] = sums.get(measure, 0) + number
        self._merge_listings(cell, merge.deltas, now_ms + FUTURE_SKEW_MAX_MS)
        self._delete_old_hours(cell, now_ms)

    def _merge_listings(self, cell: ViewCell, deltas: Deltas, latest_ms: int) -> None:
        """Add sales and facts, and delete the sales that no stock level can be older than."""
        sales = by_product(deltas.sales)
        for product_id, sold in sales.items():
            stored = cell.sales.setdefault(product_id, {})
            for at_ms, units in sold.items():
                stored[at_ms] = stored.get(at_ms, 0) + units
        for product_id in {*deltas.listings, *(sales.keys() & cell.listings.keys())}:
            merge_listing(
                cell.listings.setdefault(product_id, Listing()),
                deltas.listings.get(product_id, Listing()),
                sales.get(product_id, {}),
                partial(cell.sales_of, product_id),
                latest_ms,
            )
        watermarks_ms = [source.watermark.at_ms for source in cell.sources.values()]
        first_ms = first_needed_ms(watermarks_ms, self._partitions, self._stock_lateness_ms)
        if first_ms > cell.first_sale_ms:
            cell.first_sale_ms = first_ms
            for product_id, stored in list(cell.sales.items()):
                cell.sales[product_id] = {at_ms: units for at_ms, units in stored.items() if at_ms >= first_ms}
                if not cell.sales[product_id]:
                    del cell.sales[product_id]

    def _delete_old_hours(self, cell: ViewCell, now_ms: int) -> None:
        newest_ms = shop_time_ms((source.watermark for source in cell.sources.values()), now_ms)
        oldest_hour = newest_ms // HOUR_MS - self._activity_hours
        if oldest_hour != cell.oldest_hour:  # smaller where a clock was ahead and is right again
            cell.oldest_hour, state = oldest_hour, cell.state
            state.activity = {key: counted for key, counted in state.activity.items() if key[0] >= oldest_hour}
            state.by_country = {key: counted for key, counted in state.by_country.items() if key[0] >= oldest_hour}

    def erase(self) -> None:
        """Delete all view cells."""
        self.cells = [ViewCell() for _ in self.cells]
