"""What every adapter of views must do: merge deltas once, fence earlier owners, and answer the product queries."""

import pytest

from realtime_pipeline.application.errors import Fenced, PositionMismatch
from realtime_pipeline.application.ports.product_queries import RatedProduct
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import LARGEST
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState
from tests.contracts.claimed_views import ACTIVITY_HOURS, HOUR, JUG, MUG, PAN, looked_at
from tests.contracts.listings import ListingsContract
from tests.contracts.trending import TrendingContract

__all__ = ["ACTIVITY_HOURS", "HOUR", "ViewsContract"]


class ViewsContract(ListingsContract, TrendingContract):
    """Claims, merges and queries of views."""

    def test_a_merge_is_read_back(self) -> None:
        self.merge(looked_at(MUG, 3, "kitchen"))
        assert self.products.products([MUG, JUG]) == {MUG: ProductState(3, category=("kitchen", HOUR))}
        assert self.products.interactions_of([MUG, JUG]) == {MUG: 3}
        assert self.products.interactions() == 3
        assert dict(self.products.scan()) == {MUG: ProductState(3, category=("kitchen", HOUR))}
        assert self.products.watermarks()[0] == Watermark(5, HOUR * HOUR_MS, 9, HOUR * HOUR_MS + 1)

    def test_merges_add_up(self) -> None:
        self.merge(looked_at(MUG, 3))
        self.merge(looked_at(MUG, 4), ranges={0: (1, 2), 1: (0, 9)})
        assert self.products.products([MUG]) == {MUG: ProductState(7)}
        assert self.products.interactions() == 7
        trending = self.products.trending(TrendingSettings(), None, 9)
        assert [(product.product_id, product.actions) for product in trending] == [(MUG, 7)]

    def test_a_repeated_merge_is_refused_and_changes_nothing(self) -> None:
        self.merge(looked_at(MUG, 3), ranges={0: (0, 10)})
        with pytest.raises(PositionMismatch) as refused:
            self.merge(looked_at(MUG, 3), ranges={0: (0, 10)})
        assert refused.value.positions == {0: 10}
        assert self.products.products([MUG]) == {MUG: ProductState(3)}

    def test_one_range_with_another_position_refuses_the_whole_merge(self) -> None:
        self.merge(looked_at(MUG), ranges={0: (0, 5)})
        with pytest.raises(PositionMismatch) as refused:
            self.merge(looked_at(JUG), ranges={0: (4, 6), 1: (0, 2)})
        assert refused.value.positions == {0: 5, 1: 0}
        assert self.products.products([JUG]) == {}
        self.merge(looked_at(JUG), ranges={0: (5, 6), 1: (0, 2)})

    @pytest.mark.parametrize("epoch", [0, 2])
    def test_a_merge_of_another_epoch_is_refused(self, epoch: int) -> None:
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), epoch=epoch)
        assert self.products.products([MUG]) == {}

    def test_a_claim_fences_the_earlier_owner_of_views(self) -> None:
        self.merge(looked_at(MUG), ranges={0: (0, 5)})
        assert set(self.views.claim(0, 4)) == {5}
        assert self.views.epoch(0) == 4
        with pytest.raises(Fenced):
            self.views.claim(0, 4)
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), ranges={0: (5, 6)})
        self.merge(looked_at(MUG), ranges={0: (5, 6)}, epoch=4)

    def test_the_latest_fact_of_a_product_wins_in_any_order_of_merges(self) -> None:
        self.merge(Deltas({MUG: ProductState(name=("new", 9), category=("cups", 5), price=(3, 9))}))
        self.merge(Deltas({MUG: ProductState(name=("old", 8), category=("mugs", 6), price=(2, 9))}), {0: (1, 2)})
        state = self.products.products([MUG])[MUG]
        assert (state.name, state.category, state.price) == (("new", 9), ("mugs", 6), (3, 9))

    def test_a_fact_from_a_clock_that_was_ahead_loses_against_any_other(self) -> None:
        """In any order of merges. Without another fact, it stays."""
        ahead, now = (HOUR + 2) * HOUR_MS, HOUR * HOUR_MS
        wrong = Deltas({MUG: ProductState(name=("wrong", ahead), category=("wrong", ahead), price=(9, ahead))})
        self.merge(wrong, now_hour=HOUR)
        assert self.products.products([MUG])[MUG].name == ("wrong", ahead)
        self.merge(Deltas({MUG: ProductState(1)}), {0: (1, 2)}, now_hour=HOUR)  # without facts
        assert self.products.products([MUG])[MUG].price == (9, ahead)
        right = ProductState(name=("right", now), category=("right", now), price=(3, now))
        self.merge(Deltas({MUG: right}), {0: (2, 3)}, now_hour=HOUR)
        for number in (3, 4):
            state = self.products.products([MUG])[MUG]
            assert (state.name, state.category, state.price) == (("right", now), ("right", now), (3, now))
            self.merge(wrong, {0: (number, number + 1)}, now_hour=HOUR)
        assert self.products.trending(TrendingSettings(), "wrong", 9) == []
        self.merge(wrong, {0: (5, 6)}, now_hour=HOUR + 1)  # an hour later, that time is possible
        assert self.products.products([MUG])[MUG].name == ("wrong", ahead)

    def test_of_facts_with_the_same_time_the_larger_value_wins(self) -> None:
        facts = [("pot", "b", LARGEST - 1), ("mug", "c", LARGEST), ("jar", "a", 9)]
        for number, (name, category, price) in enumerate(facts):
            state = ProductState(name=(name, 5), category=(category, 5), price=(price, 5))
            self.merge(Deltas({MUG: state}), {0: (number, number + 1)})
        state = self.products.products([MUG])[MUG]
        assert (state.name, state.category, state.price) == (("pot", 5), ("c", 5), (LARGEST, 5))

    def test_the_newest_sessions_of_a_product_are_listed(self) -> None:
        """In any order of merges."""
        times = {1: 50, 2: 10, 3: 40, 4: 40, 5: 20, 6: 60}
        for number, (key, at_ms) in enumerate(times.items()):
            deltas = Deltas({MUG: ProductState(1)}, {}, {(MUG, SessionKey(key)): at_ms})
            self.merge(deltas, {0: (number, number + 1)})
        listed = self.products.sessions_of([MUG, JUG], 3)
        assert {product: [*sessions.items()] for product, sessions in listed.items()} == {
            MUG: [(6, 60), (1, 50), (4, 40)],
            JUG: [],
        }
        assert self.products.sessions_of([MUG], 2)[MUG] == {6: 60, 1: 50}

    def test_a_merge_may_list_a_session_without_other_changes_of_the_product(self) -> None:
        self.merge(looked_at(MUG, 2))
        self.merge(Deltas(index={(MUG, SessionKey(1)): 10}), {0: (1, 2)})
        assert self.products.sessions_of([MUG], 5) == {MUG: {SessionKey(1): 10}}
        assert self.products.products([MUG]) == {MUG: ProductState(2)}

    def test_a_session_is_listed_once_at_its_latest_time(self) -> None:
        for number, at_ms in enumerate((50, 70, 60)):
            deltas = Deltas({MUG: ProductState(1)}, {}, {(MUG, SessionKey(1)): at_ms})
            self.merge(deltas, {0: (number, number + 1)})
        assert self.products.sessions_of([MUG], 3) == {MUG: {1: 70}}

    def test_what_is_erased_is_as_if_it_had_never_been(self) -> None:
        self.merge(looked_at(MUG, 3, "kitchen"))
        self.merge(Deltas({MUG: ProductState(ratings=1, rating_sum=4)}, {}, {(MUG, SessionKey(1)): 5}), {0: (1, 2)})
        assert self.products.trending(TrendingSettings(), None, 9) != []
        self.views.erase()
        assert (dict(self.products.scan()), self.products.interactions(), dict(self.products.watermarks())) == (
            {},
            0,
            {},
        )
        assert self.products.sessions_of([MUG], 9) == {MUG: {}}
        assert list(self.products.trending(TrendingSettings(), None, 9)) == []
        assert list(self.products.top_rated(5.0, 9)) == []
        assert self.views.epoch(0) == 0
        with pytest.raises(Fenced):
            self.merge(looked_at(MUG), {0: (2, 3)})

    def test_few_ratings_count_little(self) -> None:
        ratings = {MUG: ProductState(0, 1, 5), JUG: ProductState(0, 10, 46), PAN: ProductState(7)}
        self.merge(Deltas(ratings))
        mean = 51 / 11
        assert self.products.top_rated(5.0, 9) == [
            RatedProduct(MUG, (5.0 * mean + 5) / (5.0 + 1), 1),
            RatedProduct(JUG, (5.0 * mean + 46) / (5.0 + 10), 10),
        ]
        assert len(self.products.top_rated(5.0, 1)) == 1

    def test_nothing_is_rated_or_trending_at_first(self) -> None:
        assert list(self.products.top_rated(5.0, 9)) == []
        assert list(self.products.trending(TrendingSettings(), None, 9)) == []
        assert self.products.interactions() == 0

    def test_every_product_belongs_to_a_view_cell(self) -> None:
        assert {view_cell_of(product, self.views.view_cells) for product in (MUG, JUG, PAN)} <= set(
            range(self.views.view_cells)
        )

    def test_sums_add_up_by_projection_product_and_measure(self) -> None:
        first = Deltas(
            sums={("returns", MUG, "units"): 2, ("returns", MUG, "money"): 7, ("returns", JUG, "units"): 1},
        )
        other = Deltas(sums={("returns", MUG, "units"): -3, ("looks", MUG, "units"): 5, ("returns", PAN, "lines"): 4})
        self.merge(first)
        self.merge(other, {0: (1, 2)})
        assert self.products.sums("returns", [MUG, JUG, ProductId("tent")]) == {
            MUG: {"units": -1, "money": 7},
            JUG: {"units": 1},
        }
        assert self.products.sums("returns", [PAN]) == {PAN: {"lines": 4}}
        assert self.products.sums("looks", [MUG, JUG]) == {MUG: {"units": 5}}
        assert self.products.sums("looks", []) == {}
        assert self.products.sums("nothing", [MUG]) == {}
        assert self.products.products([MUG, JUG, PAN]) == {}

    def test_sums_are_exact(self) -> None:
        large, times = 10**15 - 1, 12  # 12 of them are more than 2^53
        for number, more in enumerate([large] * times + [7] + [-large] * 2 * times):
            self.merge(Deltas(sums={("returns", MUG, "units"): more}), {0: (number, number + 1)})
            if number == times:
                assert self.products.sums("returns", [MUG]) == {MUG: {"units": times * large + 7}}
        assert self.products.sums("returns", [MUG]) == {MUG: {"units": 7 - times * large}}

    def test_a_repeated_merge_adds_no_sums(self) -> None:
        deltas = Deltas(sums={("returns", MUG, "units"): 2})
        self.merge(deltas)
        with pytest.raises(PositionMismatch):
            self.merge(deltas)
        assert self.products.sums("returns", [MUG]) == {MUG: {"units": 2}}

    def test_sums_are_erased(self) -> None:
        self.merge(Deltas(sums={("returns", MUG, "units"): 2}))
        self.views.erase()
        assert self.products.sums("returns", [MUG]) == {}
