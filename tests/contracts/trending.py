"""What every adapter of views must do: rank trending products, and expire old activity."""

from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from tests.contracts.claimed_views import ACTIVITY_HOURS, HOUR, JUG, MUG, PAN, ClaimedViews, looked_at


class TrendingContract(ClaimedViews):
    """Trending products by category, country and time."""

    def test_trending_scores_decay_by_half_lives(self) -> None:
        settings = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 12))
        self.merge(looked_at(JUG, 3, hour=HOUR), {0: (1, 2)})
        self.merge(looked_at(PAN, 99, hour=HOUR - 24), {0: (2, 3)})
        assert self.products.trending(settings, None, 9) == [TrendingProduct(JUG, 3.0, 3), TrendingProduct(MUG, 2.0, 8)]
        assert self.products.trending(settings, None, 1) == [TrendingProduct(JUG, 3.0, 3)]

    def test_the_shops_time_is_never_later_than_the_readers_clock(self) -> None:
        """Two views of a clock that was far ahead have moved the watermark."""
        settings = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 6))
        self.merge(looked_at(JUG, 2, hour=HOUR + 9_000), {1: (0, 2)}, newest_hour=HOUR + 9_000, now_hour=HOUR)
        now_ms = (HOUR + 1) * HOUR_MS - 1
        assert self.products.trending(settings, None, 9, now_ms=now_ms) == [TrendingProduct(MUG, 4.0, 8)]
        assert self.products.trending(settings, None, 9) == [TrendingProduct(JUG, 2.0, 2)]

    def test_actions_after_the_shops_time_count_as_present(self) -> None:
        settings = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 6))
        self.merge(looked_at(JUG, 3, hour=HOUR + 2), {0: (1, 2)})
        self.merge(looked_at(PAN, 2, hour=HOUR + 500), {0: (2, 3)})
        both = [TrendingProduct(MUG, 4.0, 8), TrendingProduct(JUG, 3.0, 3)]
        assert self.products.trending(settings, None, 9) == [*both, TrendingProduct(PAN, 2.0, 2)]
        assert self.products.trending(settings, None, 9, now_ms=(HOUR + 2) * HOUR_MS) == both
        assert self.products.trending(settings, None, 9, now_ms=(HOUR + 1) * HOUR_MS) == both[:1]

    def test_single_events_move_the_shops_time_where_no_partition_has_two(self) -> None:
        settings = TrendingSettings(window_hours=24, half_life_hours=6.0)

        def single(hour: int) -> Watermark:
            return Watermark(largest_ms=hour * HOUR_MS)

        self.merge(looked_at(MUG, 8, hour=HOUR), watermark=single(HOUR))
        assert self.products.trending(settings, None, 9) == [TrendingProduct(MUG, 8.0, 8)]
        self.merge(looked_at(JUG, 2, hour=HOUR + 900), {1: (0, 1)}, watermark=single(HOUR + 900))
        assert self.products.trending(settings, None, 1) == [TrendingProduct(MUG, 8.0, 8)]
        self.merge(looked_at(MUG, 2, hour=HOUR + 6), {0: (1, 2)}, newest_hour=HOUR + 6)
        assert self.products.trending(settings, None, 1) == [TrendingProduct(MUG, 6.0, 10)]

    def test_no_activity_expires_by_an_event_time_later_than_the_clock(self) -> None:
        self.merge(looked_at(MUG, 8))
        ahead = HOUR + 10 * ACTIVITY_HOURS
        self.merge(looked_at(JUG, 2, hour=ahead), {1: (0, 2)}, newest_hour=ahead, now_hour=HOUR)
        assert self.products.trending(TrendingSettings(), None, 9, now_ms=HOUR * HOUR_MS) == [
            TrendingProduct(MUG, 8.0, 8)
        ]

    def test_old_activity_expires(self) -> None:
        settings = TrendingSettings(window_hours=10 * ACTIVITY_HOURS, half_life_hours=1e9)
        done = Activity(views=1)
        for number, hour in enumerate((HOUR - ACTIVITY_HOURS - 1, HOUR - ACTIVITY_HOURS, HOUR)):
            deltas = Deltas({MUG: ProductState(1)}, {(hour, MUG): done}, by_country={(hour, "DE", MUG): done})
            self.merge(deltas, {0: (number, number + 1)}, newest_hour=hour)
        for country in (None, "DE"):
            assert [product.actions for product in self.products.trending(settings, None, 9, country)] == [2]
        assert self.products.interactions() == 3

    def test_trending_weighs_actions_and_subtracts_cancellations(self) -> None:
        self.merge(
            Deltas(
                {MUG: ProductState(1), JUG: ProductState(1), PAN: ProductState(1)},
                {
                    (HOUR, MUG): Activity(views=1, carts=1, purchases=1),
                    (HOUR, JUG): Activity(views=9),
                    (HOUR, PAN): Activity(views=4, purchases=-1),
                },
            )
        )
        assert self.products.trending(TrendingSettings(), None, 9) == [
            TrendingProduct(JUG, 9.0, 9),
            TrendingProduct(MUG, 9.0, 3),
        ]

    def test_trending_in_a_category_uses_the_latest_category(self) -> None:
        self.merge(looked_at(MUG, 2, "kitchen"))
        self.merge(looked_at(JUG, 3, "garden"), {0: (1, 2)})
        self.merge(Deltas({JUG: ProductState(category=("kitchen", HOUR + 1))}), {0: (2, 3)})
        kitchen = self.products.trending(TrendingSettings(), "kitchen", 9)
        assert [product.product_id for product in kitchen] == [JUG, MUG]
        assert self.products.trending(TrendingSettings(), "garden", 9) == []

    def test_trending_in_a_category_follows_products_that_get_or_change_a_category(self) -> None:
        def trending_in(category: str) -> list[ProductId]:
            return [product.product_id for product in self.products.trending(TrendingSettings(), category, 9)]

        self.merge(looked_at(MUG, 2, "kitchen"))
        self.merge(looked_at(JUG, 3, "garden"), {0: (1, 2)})
        self.merge(looked_at(PAN, 1), {0: (2, 3)})
        assert (trending_in("kitchen"), trending_in("garden")) == ([MUG], [JUG])
        self.merge(Deltas({PAN: ProductState(category=("kitchen", HOUR))}), {0: (3, 4)})
        assert (trending_in("kitchen"), trending_in("garden")) == ([MUG, PAN], [JUG])
        self.merge(Deltas({JUG: ProductState(category=("kitchen", HOUR + 1))}), {0: (4, 5)})
        assert (trending_in("kitchen"), trending_in("garden")) == ([JUG, MUG, PAN], [])
        self.merge(looked_at(PAN, 9, "kitchen"), {0: (5, 6)})
        assert (trending_in("kitchen"), trending_in("garden")) == ([PAN, JUG, MUG], [])

    def test_trending_in_a_country_counts_the_actions_there(self) -> None:
        settings = TrendingSettings(window_hours=24, half_life_hours=6.0)
        both = {MUG: ProductState(9, category=("kitchen", HOUR)), JUG: ProductState(9)}
        anywhere = {(HOUR, MUG): Activity(views=9), (HOUR, JUG): Activity(views=8)}
        at_home = {(HOUR, "DE", MUG): Activity(views=1), (HOUR, "DE", JUG): Activity(views=2, purchases=1)}
        before = {(HOUR - 6, "DE", MUG): Activity(views=4), (HOUR - 24, "DE", MUG): Activity(views=99)}
        self.merge(Deltas(both, anywhere, by_country={**at_home, **before, (HOUR, "FR", JUG): Activity(views=7)}))
        assert self.products.trending(settings, None, 9, "DE") == [
            TrendingProduct(JUG, 7.0, 3),
            TrendingProduct(MUG, 3.0, 5),
        ]
        assert self.products.trending(settings, None, 1, "DE") == [TrendingProduct(JUG, 7.0, 3)]
        assert self.products.trending(settings, "kitchen", 9, "DE") == [TrendingProduct(MUG, 3.0, 5)]
        assert self.products.trending(settings, None, 9, "AT") == []
        assert [product.product_id for product in self.products.trending(settings, None, 9)] == [MUG, JUG]
        again = Deltas({JUG: ProductState(1)}, {(HOUR, JUG): Activity(1)}, by_country={(HOUR, "DE", JUG): Activity(1)})
        self.merge(again, {0: (1, 2)})
        assert self.products.trending(settings, None, 9, "DE")[0] == TrendingProduct(JUG, 8.0, 4)
