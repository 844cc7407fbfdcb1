"""Views in memory."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, RatedProduct, Views
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings, latest_hour, trending
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import AHEAD_MAX_MS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStats, bayesian_average


@attrs.define
class _Source:
    epoch: int = 0
    position: int = 0
    watermark: Watermark = attrs.Factory(Watermark)


@attrs.define
class _ViewCell:
    sources: dict[int, _Source] = attrs.Factory(dict)
    state: Deltas = attrs.Factory(Deltas)
    lists: dict[ProductId, dict[SessionKey, int]] = attrs.Factory(dict)
    sums: dict[str, dict[ProductId, dict[str, int]]] = attrs.Factory(dict)
    oldest_hour: int = 0

    def source(self, partition: int) -> _Source:
        return self.sources.setdefault(partition, _Source())


class MemoryViews(Views):
    """Dictionaries of products, their hourly activity and their newest sessions, in any number of view cells.

    One thread merges; others may read meanwhile (what is walked through is copied first), and see part of a merge.
    """

    def __init__(self, view_cells: int, listed_sessions_max: int, activity_retention_hours: int) -> None:
        self._cells = [_ViewCell() for _ in range(view_cells)]
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours

    @property
    def view_cells(self) -> int:
        """How many view cells there are."""
        return len(self._cells)

    @property
    def merge_records_max(self) -> int:
        """Nobody waits for a merge here."""
        return sys.maxsize

    @property
    def linger_ms(self) -> int:
        """A merge is cheap."""
        return 0

    def epoch(self, partition: int) -> int:
        """The largest epoch any view cell has from a partition."""
        return max(cell.source(partition).epoch for cell in self._cells)

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, then read positions."""
        if epoch <= self.epoch(partition):
            raise Fenced(f"the views have epoch {self.epoch(partition)} from partition {partition} already")
        for cell in self._cells:
            cell.source(partition).epoch = epoch
        return self.positions([partition])[partition]

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read positions."""
        return {partition: tuple(cell.source(partition).position for cell in self._cells) for partition in partitions}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add deltas to view cells, each all or nothing."""
        for merge in merges:
            self._merge(merge, now_ms)

    def _merge(self, merge: Merge, now_ms: int) -> None:
        cell = self._cells[merge.view_cell]
        for source_range in merge.ranges:
            if source_range.epoch != cell.source(source_range.partition).epoch:
                raise Fenced(f"the views have another epoch from partition {source_range.partition}")
        positions = {one.partition: cell.source(one.partition).position for one in merge.ranges}
        if any(positions[one.partition] != one.from_position for one in merge.ranges):
            raise PositionMismatch(positions)
        for one in merge.ranges:
            source = cell.source(one.partition)
            source.position, source.watermark = one.to_position, one.watermark
        cell.state.merge(attrs.evolve(merge.deltas, index={}, sums={}), now_ms + AHEAD_MAX_MS)
        for (product_id, key), at_ms in merge.deltas.index.items():
            listed = cell.lists.setdefault(product_id, {})
            listed[key] = max(at_ms, listed.get(key, at_ms))
            if len(listed) > self._listed_sessions_max:
                del listed[min(listed, key=lambda one: (listed[one], one))]
        for (projection, product_id, measure), number in merge.deltas.sums.items():
            sums = cell.sums.setdefault(projection, {}).setdefault(product_id, {})
            sums[measure] = sums.get(measure, 0) + number
        self._delete_old_hours(cell, now_ms)

    def _delete_old_hours(self, cell: _ViewCell, now_ms: int) -> None:
        newest_ms = shop_time_ms((source.watermark for source in cell.sources.values()), now_ms)
        oldest_hour = newest_ms // HOUR_MS - self._activity_hours
        if oldest_hour != cell.oldest_hour:  # it may be less where a clock was ahead, and is right again
            cell.oldest_hour, state = oldest_hour, cell.state
            state.activity = {key: done for key, done in state.activity.items() if key[0] >= oldest_hour}
            state.by_country = {key: done for key, done in state.by_country.items() if key[0] >= oldest_hour}

    def erase(self) -> None:
        """Delete all that was ever merged."""
        self._cells = [_ViewCell() for _ in self._cells]

    def watermarks(self) -> Mapping[int, Watermark]:
        """How far each source partition's time has come."""
        return {partition: source.watermark for partition, source in self._cells[0].sources.items()}

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
        found = {}
        for product_id in product_ids:
            listed = self._cell_of(product_id).lists.get(product_id, {})
            newest = sorted(((at_ms, key) for key, at_ms in list(listed.items())), reverse=True)[:limit]
            found[product_id] = {key: at_ms for at_ms, key in newest}
        return found

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        states = ((product_id, self._cell_of(product_id).state.products.get(product_id)) for product_id in product_ids)
        return {product_id: attrs.evolve(state) for product_id, state in states if state is not None}

    def tallies(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """Read the counts of products."""
        states = ((product_id, self._cell_of(product_id).state.products.get(product_id)) for product_id in product_ids)
        return {product_id: state.stats for product_id, state in states if state is not None}

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had."""
        return {product_id: tally.interactions for product_id, tally in self.tallies(product_ids).items()}

    def interactions(self) -> int:
        """How many views, carts and purchases there were."""
        return sum(state.interactions for _, state in self.scan())

    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of products."""
        found = ((id_, self._cell_of(id_).sums.get(projection, {}).get(id_)) for id_ in product_ids)
        return {product_id: dict(sums) for product_id, sums in found if sums is not None}

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products by what is done with them lately."""
        activity = {}
        for cell in self._cells:
            for (hour, product_id), counted in _activity(cell.state, country):
                said = cell.state.products[product_id].category
                if category is None or (said is not None and said[0] == category):
                    activity[hour, product_id] = counted
        newest_ms = shop_time_ms(self.watermarks().values(), now_ms)
        return trending(activity, newest_ms // HOUR_MS, latest_hour(now_ms), settings)[:limit]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings."""
        rated = [(product_id, state) for product_id, state in self.scan() if state.ratings]
        total = sum(state.ratings for _, state in rated)
        mean = sum(state.rating_sum for _, state in rated) / total if total else 0.0
        averages = [
            RatedProduct(id_, bayesian_average(state.ratings, state.rating_sum, mean, prior_ratings), state.ratings)
            for id_, state in rated
        ]
        return sorted(averages, key=lambda one: (-one.average, one.product_id))[:limit]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product."""
        for cell in self._cells:
            for product_id, state in list(cell.state.products.items()):
                yield product_id, attrs.evolve(state)

    def _cell_of(self, product_id: ProductId) -> _ViewCell:
        return self._cells[view_cell_of(product_id, self.view_cells)]


def _activity(state: Deltas, country: str | None) -> list[tuple[tuple[int, ProductId], Activity]]:
    """What was done in each hour, anywhere or in a country."""
    if country is None:
        return list(state.activity.items())
    entries = list(state.by_country.items())
    return [((hour, product_id), counted) for (hour, where, product_id), counted in entries if where == country]
