"""The Redis adapters keep the contracts of their ports, on a single server and on a cluster."""

from collections.abc import Sequence

import pytest

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Reply, Request
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.panes import RedisWindowQueries
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from realtime_pipeline.infrastructure.redis.window_results import RedisWindowResults
from tests.contracts.cell_store import OutboxContract
from tests.contracts.listings import IDENTITY
from tests.contracts.views import ACTIVITY_HOURS, HOUR, ViewsContract
from tests.contracts.window_results import WindowResultsContract
from tests.contracts.windows import WindowsContract
from tests.support.redis_dump import dump

MUG, JUG = ProductId("mug"), ProductId("jug")


class TestRedisCellStore(OutboxContract):
    @pytest.fixture(autouse=True)
    def _cells(self, redis_client: RedisClient, redis_settings: RedisSettings) -> None:
        self.cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
        self.customers = RedisCustomerQueries(redis_client, redis_settings, 1_000)


class TestRedisWindows(WindowsContract):
    @pytest.fixture(autouse=True)
    def _windows(self, redis_client: RedisClient, redis_settings: RedisSettings) -> None:
        self.cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
        self.windows = RedisWindowQueries(redis_client, redis_settings)


class TestRedisWindowResults(WindowResultsContract):
    @pytest.fixture(autouse=True)
    def _results(self, redis_client: RedisClient, redis_settings: RedisSettings) -> None:
        self.results = RedisWindowResults(redis_client, redis_settings)


class TestRedisViews(ViewsContract):
    @pytest.fixture(autouse=True)
    def _views(self, redis_client: RedisClient, redis_settings: RedisSettings) -> None:
        self.views = RedisViews(
            redis_client, redis_settings, listed_sessions_max=3, activity_retention_hours=ACTIVITY_HOURS
        )
        self.products = RedisProductQueries(redis_client, redis_settings, listed_sessions_max=3)
        self.client, self.settings, self.namespace = redis_client, redis_settings, redis_settings.namespace
        RedisCellStore(redis_client, redis_settings, 1_000, NoObserver()).bind(IDENTITY)

    def sales_stored(self) -> int:
        keys = [key for key in dump(self.client, self.namespace) if b":sales:" in key]
        return sum(self.client.execute([(key.decode(), ("HLEN", key)) for key in keys])) if keys else 0

    def test_old_hours_expire_also_those_of_countries(self) -> None:
        for number, hour in enumerate((HOUR - ACTIVITY_HOURS - 1, HOUR - 1, HOUR)):
            source = SourceRange(0, 1, number, number + 1, Watermark(0, hour * HOUR_MS, 0))
            done = {country: Activity(views=1) for country in ("DE", "FR")}
            deltas = Deltas(
                {MUG: ProductState(1)},
                {(hour, MUG): Activity(views=2)},
                by_country={(hour, country, MUG): counted for country, counted in done.items()},
            )
            self.views.merge(
                [Merge(cell, (source,), part) for cell, part in enumerate(deltas.parts(self.views.view_cells))]
            )
        kept = {name.decode().rpartition("}:")[2] for name in dump(self.client, self.namespace)}
        assert {name for name in kept if name.startswith("activity")} == {
            f"activity:{hour}{country}" for hour in (HOUR - 1, HOUR) for country in ("", ":DE", ":FR")
        }
        trending = self.products.trending(TrendingSettings(), None, 9, "FR")
        assert [(product.product_id, product.actions) for product in trending] == [(MUG, 2)]

    def test_the_calls_of_one_merge_delete_many_expired_hours(self) -> None:
        done = {(hour, f"C{number}", MUG): Activity(views=1) for hour in range(100) for number in range(40)}
        late = Deltas({MUG: ProductState(1)}, {(HOUR, MUG): Activity(views=1)})
        for number, (deltas, hour) in enumerate(((Deltas({MUG: ProductState(1)}, by_country=done), 99), (late, HOUR))):
            source = SourceRange(0, 1, number, number + 1, Watermark(0, hour * HOUR_MS, 0))
            parts = deltas.parts(self.views.view_cells)
            self.views.merge([Merge(cell, (source,), part) for cell, part in enumerate(parts)])
        kept = {name.decode().rpartition("}:")[2] for name in dump(self.client, self.namespace)}
        assert {name for name in kept if name.startswith(("activity", "hours"))} == {f"activity:{HOUR}", "hours"}

    def test_a_reader_resets_its_leaderboards_when_the_store_is_erased(self) -> None:
        reader = RedisProductQueries(self.client, self.settings, listed_sessions_max=3)
        for product, views in (
            (MUG, 3),
            (JUG, 50),
        ):  # each time by a single merge, so with the same version of the hour
            self.views.erase()
            self.views.claim(0, 1)
            source = SourceRange(0, 1, 0, 1, Watermark(0, HOUR * HOUR_MS, 0))
            deltas = Deltas({product: ProductState(1)}, {(HOUR, product): Activity(views=views)})
            for cell, part in enumerate(deltas.parts(self.views.view_cells)):
                self.views.merge([Merge(cell, (source,), part)])
            (found,) = reader.trending(TrendingSettings(), None, 9)
            assert (found.product_id, found.actions) == (product, views)

    def test_a_leaderboard_that_is_half_read_is_read_again(self) -> None:
        source = SourceRange(0, 1, 0, 1, Watermark(0, HOUR * HOUR_MS, 0))
        deltas = Deltas({MUG: ProductState(1)}, {(HOUR, MUG): Activity(views=3)})
        for cell, part in enumerate(deltas.parts(self.views.view_cells)):
            self.views.merge([Merge(cell, (source,), part)])
        client = Failing(self.settings)
        reader = RedisProductQueries(client, self.settings, listed_sessions_max=3)

        def actions(settings: TrendingSettings) -> list[int]:
            return [product.actions for product in reader.trending(settings, None, 9, max_staleness_ms=60_000)]

        assert actions(TrendingSettings()) == [3]
        client.fails = True
        with pytest.raises(Unreachable):
            actions(TrendingSettings(view_weight=2))
        client.fails = False
        assert actions(TrendingSettings()) == [3]
        client.close()


class Failing(RedisClient):
    """Fails when it is asked for activity, as if some nodes did not answer."""

    fails = False

    def execute(self, requests: Sequence[tuple[Key, Request]], wait: bool = False) -> list[Reply]:
        """Fail when told to."""
        if self.fails and any(":activity:" in key for key, _ in requests):
            raise Unreachable("Redis does not answer")
        return super().execute(requests, wait)
