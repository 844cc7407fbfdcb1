"""Views that a contract tests, with merges of small deltas."""

import pytest

from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.views import Merge, SourceRange, Views
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState

MUG, JUG, PAN = ProductId("mug"), ProductId("jug"), ProductId("pan")
HOUR = 1_000
ACTIVITY_HOURS = 24 * 14


def looked_at(product_id: ProductId, times: int = 1, category: str | None = None, hour: int = HOUR) -> Deltas:
    fact = None if category is None else (category, hour)
    return Deltas({product_id: ProductState(times, category=fact)}, {(hour, product_id): Activity(views=times)})


class ClaimedViews:
    """Fresh views that list the 3 newest sessions of each product; partitions 0 and 1 are claimed with epoch 1."""

    views: Views
    products: ProductQueries

    @pytest.fixture(autouse=True)
    def _claimed(self, _views: None) -> None:
        for partition in (0, 1):
            assert set(self.views.claim(partition, 1)) == {0}

    def merge(
        self,
        deltas: Deltas,
        ranges: dict[int, tuple[int, int]] | None = None,
        epoch: int = 1,
        newest_hour: int = HOUR,
        watermark: Watermark | None = None,
        now_hour: int = 10**6,
    ) -> None:
        """Merge each part of the deltas into its view cell."""
        watermark = watermark or Watermark(5, newest_hour * HOUR_MS, 9, newest_hour * HOUR_MS + 1)
        for cell, part in enumerate(deltas.parts(self.views.view_cells)):
            sources = tuple(SourceRange(p, epoch, at, to, watermark) for p, (at, to) in (ranges or {0: (0, 1)}).items())
            self.views.merge([Merge(cell, sources, part)], now_hour * HOUR_MS)
