"""What all views keep their word on."""

import pytest

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.views import Merge, RatedProduct, SourceRange, Views
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import LARGEST
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStats

MUG, JUG, PAN = ProductId("mug"), ProductId("jug"), ProductId("pan")
HOUR = 1_000
ACTIVITY_HOURS = 24 * 14


def looked_at(product_id: ProductId, times: int = 1, category: str | None = None, hour: int = HOUR) -> Deltas:
    fact = None if category is None else (category, hour)
    return Deltas({product_id: ProductState(times, category=fact)}, {(hour, product_id): Activity(views=times)})


class ViewsContract:
    """Fresh views that keep the 3 newest sessions of each product; partitions 0 and 1 are claimed with epoch 1."""

    views: Views

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
        """Merge into every view cell what belongs to it."""
        watermark = watermark or Watermark(5, newest_hour * HOUR_MS, 9, newest_hour * HOUR_MS + 1)
        for cell, part in enumerate(deltas.parts(self.views.view_cells)):
            sources = tuple(SourceRange(p, epoch, at, to, watermark) for p, (at, to) in (ranges or {0: (0, 1)}).items())
            self.views.merge([Merge(cell, sources, part)], now_hour * HOUR_MS)

    def test_a_merge_is_read_back(self) -> None:
        self.merge(looked_at(MUG, 3, "kitchen"))
        assert self.views.products([MUG, JUG]) == {MUG: ProductState(3, category=("kitchen", HOUR))}
        assert self.views.tallies([MUG, JUG]) == {MUG: ProductStats(3)}
        assert self.views.interactions_of([MUG, JUG]) == {MUG: 3}
        assert self.views.interactions() == 3
        assert dict(self.views.scan()) == {MUG: ProductState(3, category=("kitchen", HOUR))}
        assert self.views.watermarks()[0] == Watermark(5, HOUR * HOUR_MS, 9, HOUR * HOUR_MS + 1)

    def test_merges_add_up(self) -> None:
        self.merge(looked_at(MUG, 3))
        self.merge(looked_at(MUG, 4), ranges={0: (1, 2), 1: (0, 9)})
        assert self.views.products([MUG]) == {MUG: ProductState(7)}
        assert self.views.interactions() == 7
        assert [(one.product_id, one.actions) for one in self.views.trending(TrendingSettings(), None, 9)] == [(MUG, 7)]

    def test_a_repeated_merge_is_refused_and_changes_nothing(self) -> None:
        self.merge(looked_at(MUG, 3), ranges={0: (0, 10)})
        with pytest.raises(PositionMismatch) as refused:
            self.merge(looked_at(MUG, 3), ranges={0: (0, 10)})
        assert refused.value.positions == {0: 10}
        assert self.views.products([MUG]) == {MUG: ProductState(3)}

    def test_one_range_out_of_place_refuses_the_whole_call(self) -> None:
        self.merge(looked_at(MUG), ranges={0: (0, 5)})
        with pytest.raises(PositionMismatch) as refused:
            self.merge(looked_at(JUG), ranges={0: (4, 6), 1: (0, 2)})
        assert refused.value.positions == {0: 5, 1: 0}
        assert self.views.products([JUG]) == {}
        self.merge(looked_at(JUG), ranges={0: (5, 6), 1: (0, 2)})

    @pytest.mark.parametrize("epoch", [0, 2])
    def test_a_merge_of_another_epoch_is_refused(self, epoch: int) -> None:
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), epoch=epoch)
        assert self.views.products([MUG]) == {}

    def test_a_claim_shuts_the_earlier_owner_out(self) -> None:
        self.merge(looked_at(MUG), ranges={0: (0, 5)})
        assert set(self.views.claim(0, 4)) == {5}
        assert self.views.epoch(0) == 4
        with pytest.raises(Fenced):
            self.views.claim(0, 4)
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), ranges={0: (5, 6)})
        self.merge(looked_at(MUG), ranges={0: (5, 6)}, epoch=4)

    def test_a_product_is_described_as_it_was_last_whatever_came_last(self) -> None:
        self.merge(Deltas({MUG: ProductState(name=("new", 9), category=("cups", 5), price=(3, 9))}))
        self.merge(Deltas({MUG: ProductState(name=("old", 8), category=("mugs", 6), price=(2, 9))}), {0: (1, 2)})
        state = self.views.products([MUG])[MUG]
        assert (state.name, state.category, state.price) == (("new", 9), ("mugs", 6), (3, 9))

    def test_what_a_clock_that_was_ahead_said_of_a_product_gives_way(self) -> None:
        """Whether it came before or after; as long as nothing else was said, it holds."""
        ahead, now = (HOUR + 2) * HOUR_MS, HOUR * HOUR_MS
        wrong = Deltas({MUG: ProductState(name=("wrong", ahead), category=("wrong", ahead), price=(9, ahead))})
        self.merge(wrong, now_hour=HOUR)
        assert self.views.products([MUG])[MUG].name == ("wrong", ahead)
        self.merge(Deltas({MUG: ProductState(1)}), {0: (1, 2)}, now_hour=HOUR)  # says nothing
        assert self.views.products([MUG])[MUG].price == (9, ahead)
        right = ProductState(name=("right", now), category=("right", now), price=(3, now))
        self.merge(Deltas({MUG: right}), {0: (2, 3)}, now_hour=HOUR)
        for number in (3, 4):
            state = self.views.products([MUG])[MUG]
            assert (state.name, state.category, state.price) == (("right", now), ("right", now), (3, now))
            self.merge(wrong, {0: (number, number + 1)}, now_hour=HOUR)
        assert self.views.trending(TrendingSettings(), "wrong", 9) == []
        self.merge(wrong, {0: (5, 6)}, now_hour=HOUR + 1)  # an hour later that may be so
        assert self.views.products([MUG])[MUG].name == ("wrong", ahead)

    def test_of_what_is_said_at_the_same_time_the_larger_holds(self) -> None:
        said = [("pot", "b", LARGEST - 1), ("mug", "c", LARGEST), ("jar", "a", 9)]
        for number, (name, category, price) in enumerate(said):
            facts = ProductState(name=(name, 5), category=(category, 5), price=(price, 5))
            self.merge(Deltas({MUG: facts}), {0: (number, number + 1)})
        state = self.views.products([MUG])[MUG]
        assert (state.name, state.category, state.price) == (("pot", 5), ("c", 5), (LARGEST, 5))

    def test_the_newest_sessions_of_a_product_are_listed(self) -> None:
        """Whatever the order in which they come."""
        times = {1: 50, 2: 10, 3: 40, 4: 40, 5: 20, 6: 60}
        for number, (key, at_ms) in enumerate(times.items()):
            deltas = Deltas({MUG: ProductState(1)}, {}, {(MUG, SessionKey(key)): at_ms})
            self.merge(deltas, {0: (number, number + 1)})
        listed = self.views.sessions_of([MUG, JUG], 3)
        assert {one: [*sessions.items()] for one, sessions in listed.items()} == {
            MUG: [(6, 60), (1, 50), (4, 40)],
            JUG: [],
        }
        assert self.views.sessions_of([MUG], 2)[MUG] == {6: 60, 1: 50}

    def test_a_session_may_be_listed_with_a_product_of_which_nothing_else_is_said(self) -> None:
        self.merge(looked_at(MUG, 2))
        self.merge(Deltas(index={(MUG, SessionKey(1)): 10}), {0: (1, 2)})
        assert self.views.sessions_of([MUG], 5) == {MUG: {SessionKey(1): 10}}
        assert self.views.products([MUG]) == {MUG: ProductState(2)}

    def test_a_session_is_listed_once_at_its_latest_time(self) -> None:
        for number, at_ms in enumerate((50, 70, 60)):
            deltas = Deltas({MUG: ProductState(1)}, {}, {(MUG, SessionKey(1)): at_ms})
            self.merge(deltas, {0: (number, number + 1)})
        assert self.views.sessions_of([MUG], 3) == {MUG: {1: 70}}

    def test_sums_add_up_by_projection_product_and_measure(self) -> None:
        first = Deltas(
            sums={("returns", MUG, "units"): 2, ("returns", MUG, "money"): 7, ("returns", JUG, "units"): 1},
        )
        other = Deltas(sums={("returns", MUG, "units"): -3, ("looks", MUG, "units"): 5, ("returns", PAN, "lines"): 4})
        self.merge(first)
        self.merge(other, {0: (1, 2)})
        assert self.views.sums("returns", [MUG, JUG, ProductId("tent")]) == {
            MUG: {"units": -1, "money": 7},
            JUG: {"units": 1},
        }
        assert self.views.sums("returns", [PAN]) == {PAN: {"lines": 4}}
        assert self.views.sums("looks", [MUG, JUG]) == {MUG: {"units": 5}}
        assert self.views.sums("looks", []) == {}
        assert self.views.sums("nothing", [MUG]) == {}
        assert self.views.products([MUG, JUG, PAN]) == {}

    def test_sums_are_exact(self) -> None:
        large, times = 10**15 - 1, 12  # 12 of them are more than 2^53
        for number, more in enumerate([large] * times + [7] + [-large] * 2 * times):
            self.merge(Deltas(sums={("returns", MUG, "units"): more}), {0: (number, number + 1)})
            if number == times:
                assert self.views.sums("returns", [MUG]) == {MUG: {"units": times * large + 7}}
        assert self.views.sums("returns", [MUG]) == {MUG: {"units": 7 - times * large}}

    def test_a_repeated_merge_adds_no_sums(self) -> None:
        deltas = Deltas(sums={("returns", MUG, "units"): 2})
        self.merge(deltas)
        with pytest.raises(PositionMismatch):
            self.merge(deltas)
        assert self.views.sums("returns", [MUG]) == {MUG: {"units": 2}}

    def test_sums_are_erased(self) -> None:
        self.merge(Deltas(sums={("returns", MUG, "units"): 2}))
        self.views.erase()
        assert self.views.sums("returns", [MUG]) == {}

    def test_trending_forgets_by_half_lives(self) -> None:
        rules = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 12))
        self.merge(looked_at(JUG, 3, hour=HOUR), {0: (1, 2)})
        self.merge(looked_at(PAN, 99, hour=HOUR - 24), {0: (2, 3)})
        assert self.views.trending(rules, None, 9) == [TrendingProduct(JUG, 3.0, 3), TrendingProduct(MUG, 2.0, 8)]
        assert self.views.trending(rules, None, 1) == [TrendingProduct(JUG, 3.0, 3)]

    def test_now_is_never_later_than_the_clock_of_who_reads(self) -> None:
        """Two looks of a clock that was far ahead have moved the shop's time."""
        rules = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 6))
        self.merge(looked_at(JUG, 2, hour=HOUR + 9_000), {1: (0, 2)}, newest_hour=HOUR + 9_000, now_hour=HOUR)
        now_ms = (HOUR + 1) * HOUR_MS - 1
        assert self.views.trending(rules, None, 9, now_ms=now_ms) == [TrendingProduct(MUG, 4.0, 8)]
        assert self.views.trending(rules, None, 9) == [TrendingProduct(JUG, 2.0, 2)]

    def test_what_is_done_after_the_shops_time_counts_as_done_now(self) -> None:
        rules = TrendingSettings(window_hours=24, half_life_hours=6.0)
        self.merge(looked_at(MUG, 8, hour=HOUR - 6))
        self.merge(looked_at(JUG, 3, hour=HOUR + 2), {0: (1, 2)})
        self.merge(looked_at(PAN, 2, hour=HOUR + 500), {0: (2, 3)})
        both = [TrendingProduct(MUG, 4.0, 8), TrendingProduct(JUG, 3.0, 3)]
        assert self.views.trending(rules, None, 9) == [*both, TrendingProduct(PAN, 2.0, 2)]
        assert self.views.trending(rules, None, 9, now_ms=(HOUR + 2) * HOUR_MS) == both
        assert self.views.trending(rules, None, 9, now_ms=(HOUR + 1) * HOUR_MS) == both[:1]

    def test_single_events_move_the_shops_time_where_no_partition_has_two(self) -> None:
        rules = TrendingSettings(window_hours=24, half_life_hours=6.0)

        def single(hour: int) -> Watermark:
            return Watermark(largest_ms=hour * HOUR_MS)

        self.merge(looked_at(MUG, 8, hour=HOUR), watermark=single(HOUR))
        assert self.views.trending(rules, None, 9) == [TrendingProduct(MUG, 8.0, 8)]
        self.merge(looked_at(JUG, 2, hour=HOUR + 900), {1: (0, 1)}, watermark=single(HOUR + 900))
        assert self.views.trending(rules, None, 1) == [TrendingProduct(MUG, 8.0, 8)]
        self.merge(looked_at(MUG, 2, hour=HOUR + 6), {0: (1, 2)}, newest_hour=HOUR + 6)
        assert self.views.trending(rules, None, 1) == [TrendingProduct(MUG, 6.0, 10)]

    def test_no_activity_is_deleted_by_a_time_later_than_the_clock(self) -> None:
        self.merge(looked_at(MUG, 8))
        ahead = HOUR + 10 * ACTIVITY_HOURS
        self.merge(looked_at(JUG, 2, hour=ahead), {1: (0, 2)}, newest_hour=ahead, now_hour=HOUR)
        assert self.views.trending(TrendingSettings(), None, 9, now_ms=HOUR * HOUR_MS) == [TrendingProduct(MUG, 8.0, 8)]

    def test_old_activity_is_let_go_of(self) -> None:
        rules = TrendingSettings(window_hours=10 * ACTIVITY_HOURS, half_life_hours=1e9)
        done = Activity(views=1)
        for number, hour in enumerate((HOUR - ACTIVITY_HOURS - 1, HOUR - ACTIVITY_HOURS, HOUR)):
            deltas = Deltas({MUG: ProductState(1)}, {(hour, MUG): done}, by_country={(hour, "DE", MUG): done})
            self.merge(deltas, {0: (number, number + 1)}, newest_hour=hour)
        for country in (None, "DE"):
            assert [one.actions for one in self.views.trending(rules, None, 9, country)] == [2]
        assert self.views.interactions() == 3

    def test_trending_weighs_actions_and_takes_cancellations_back(self) -> None:
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
        assert self.views.trending(TrendingSettings(), None, 9) == [
            TrendingProduct(JUG, 9.0, 9),
            TrendingProduct(MUG, 9.0, 3),
        ]

    def test_trending_in_a_category_goes_by_the_category_said_last(self) -> None:
        self.merge(looked_at(MUG, 2, "kitchen"))
        self.merge(looked_at(JUG, 3, "garden"), {0: (1, 2)})
        self.merge(Deltas({JUG: ProductState(category=("kitchen", HOUR + 1))}), {0: (2, 3)})
        assert [one.product_id for one in self.views.trending(TrendingSettings(), "kitchen", 9)] == [JUG, MUG]
        assert self.views.trending(TrendingSettings(), "garden", 9) == []

    def test_trending_in_a_category_follows_products_whose_category_becomes_known_or_another(self) -> None:
        def trending_in(category: str) -> list[ProductId]:
            return [one.product_id for one in self.views.trending(TrendingSettings(), category, 9)]

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

    def test_trending_in_a_country_is_what_was_done_there(self) -> None:
        rules = TrendingSettings(window_hours=24, half_life_hours=6.0)
        both = {MUG: ProductState(9, category=("kitchen", HOUR)), JUG: ProductState(9)}
        anywhere = {(HOUR, MUG): Activity(views=9), (HOUR, JUG): Activity(views=8)}
        at_home = {(HOUR, "DE", MUG): Activity(views=1), (HOUR, "DE", JUG): Activity(views=2, purchases=1)}
        before = {(HOUR - 6, "DE", MUG): Activity(views=4), (HOUR - 24, "DE", MUG): Activity(views=99)}
        self.merge(Deltas(both, anywhere, by_country={**at_home, **before, (HOUR, "FR", JUG): Activity(views=7)}))
        assert self.views.trending(rules, None, 9, "DE") == [TrendingProduct(JUG, 7.0, 3), TrendingProduct(MUG, 3.0, 5)]
        assert self.views.trending(rules, None, 1, "DE") == [TrendingProduct(JUG, 7.0, 3)]
        assert self.views.trending(rules, "kitchen", 9, "DE") == [TrendingProduct(MUG, 3.0, 5)]
        assert self.views.trending(rules, None, 9, "AT") == []
        assert [one.product_id for one in self.views.trending(rules, None, 9)] == [MUG, JUG]
        again = Deltas({JUG: ProductState(1)}, {(HOUR, JUG): Activity(1)}, by_country={(HOUR, "DE", JUG): Activity(1)})
        self.merge(again, {0: (1, 2)})
        assert self.views.trending(rules, None, 9, "DE")[0] == TrendingProduct(JUG, 8.0, 4)

    def test_what_is_erased_is_as_if_it_had_never_been(self) -> None:
        self.merge(looked_at(MUG, 3, "kitchen"))
        self.merge(Deltas({MUG: ProductState(ratings=1, rating_sum=4)}, {}, {(MUG, SessionKey(1)): 5}), {0: (1, 2)})
        assert self.views.trending(TrendingSettings(), None, 9) != []
        self.views.erase()
        assert (dict(self.views.scan()), self.views.interactions(), dict(self.views.watermarks())) == ({}, 0, {})
        assert self.views.sessions_of([MUG], 9) == {MUG: {}}
        assert list(self.views.trending(TrendingSettings(), None, 9)) == []
        assert list(self.views.top_rated(5.0, 9)) == []
        assert self.views.epoch(0) == 0
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), {0: (2, 3)})

    def test_few_ratings_count_little(self) -> None:
        ratings = {MUG: ProductState(0, 1, 5), JUG: ProductState(0, 10, 46), PAN: ProductState(7)}
        self.merge(Deltas(ratings))
        mean = 51 / 11
        assert self.views.top_rated(5.0, 9) == [
            RatedProduct(MUG, (5.0 * mean + 5) / (5.0 + 1), 1),
            RatedProduct(JUG, (5.0 * mean + 46) / (5.0 + 10), 10),
        ]
        assert len(self.views.top_rated(5.0, 1)) == 1

    def test_nothing_is_rated_or_trending_at_first(self) -> None:
        assert list(self.views.top_rated(5.0, 9)) == []
        assert list(self.views.trending(TrendingSettings(), None, 9)) == []
        assert self.views.interactions() == 0

    def test_a_product_lies_in_one_view_cell(self) -> None:
        assert {view_cell_of(product, self.views.view_cells) for product in (MUG, JUG, PAN)} <= set(
            range(self.views.view_cells)
        )
