"""The leaderboard of trending products that a reader keeps in memory."""

import weakref
from collections.abc import Collection, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings, ranked, trending
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.infrastructure.redis.leaderboard import CategoryIndex, Leaderboard

RULES = TrendingSettings(window_hours=3, half_life_hours=1)
PRODUCTS = tuple(f"p{number}" for number in range(10))
Views = dict[tuple[int, str], int]

KITCHEN, GARDEN = "kitchen", "garden"

looks = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(PRODUCTS), st.integers(-3, 9)), max_size=12)
moves = st.dictionaries(st.sampled_from(PRODUCTS), st.sampled_from([KITCHEN, GARDEN]), max_size=3)
asked = st.dictionaries(st.sampled_from([None, KITCHEN, GARDEN]), st.integers(1, 3))
rounds = st.lists(st.tuples(looks, moves, st.sampled_from([0, 0, 0, 1]), asked), min_size=1, max_size=15)


class Shop:
    """Views by hour and product, as they are merged, and a leaderboard that follows them."""

    def __init__(self) -> None:
        self.views: Views = {}
        self.newest_hour = 3
        self.categories_of: dict[str, str] = {}
        self._versions: dict[int, int] = {}
        self._moved: dict[bytes, int] = {}
        self.leaderboard = Leaderboard()
        self.categories = CategoryIndex()

    def merge(self, looks: Sequence[tuple[int, str, int]]) -> None:
        """Merge views of so many hours ago; negative counts are cancellations."""
        for ago, product, count in looks:
            hour = self.newest_hour - ago
            self.views[hour, product] = self.views.get((hour, product), 0) + count
            self._versions[hour] = self._versions.get(hour, 0) + 1

    def move(self, moves: Mapping[str, str]) -> None:
        """Move products into categories."""
        self.categories_of |= moves
        for product in moves:
            self._moved[product.encode()] = max(self._moved.values(), default=0) + 1

    def follow(self) -> None:
        """Update the leaderboard and its categories."""
        self.leaderboard.follow(RULES, self.newest_hour, self.newest_hour + 1, self._versions, self._read)
        lately = {product for product, number in self._moved.items() if number > self.categories.last_moved}
        self.categories.sort(self.leaderboard, lately, max(self._moved.values(), default=0), self._sorted)

    def first(self, count: int, category: str | None = None) -> list[TrendingProduct]:
        """Rank by the leaderboard."""
        members = None if category is None else self.categories.members(category)
        return ranked(self.leaderboard.first(count, members))[:count]

    def expected(self, count: int, category: str | None = None) -> list[TrendingProduct]:
        """Rank all views by the domain's function."""
        activity = {
            (hour, ProductId(product)): Activity(views=views)
            for (hour, product), views in self.views.items()
            if category in {None, self.categories_of.get(product)}
        }
        return trending(activity, self.newest_hour, self.newest_hour + 1, RULES)[:count]

    def _read(self, hours: Sequence[int]) -> list[dict[bytes, bytes]]:
        return [
            {f"v:{product}".encode(): str(views).encode() for (at, product), views in self.views.items() if at == hour}
            for hour in hours
        ]

    def _sorted(self, products: Collection[bytes]) -> dict[bytes, str]:
        named = {product: self.categories_of.get(product.decode()) for product in products}
        return {product: category for product, category in named.items() if category is not None}


@given(rounds)
def test_a_leaderboard_that_follows_changes_equals_a_full_ranking(
    rounds: Sequence[tuple[Sequence[tuple[int, str, int]], Mapping[str, str], int, Mapping[str | None, int]]],
) -> None:
    shop = Shop()
    for looks, moves, hours, asked in rounds:
        shop.newest_hour += hours
        shop.move(moves)
        shop.merge(looks)
        shop.follow()
        for category, count in asked.items():
            assert shop.first(count, category) == shop.expected(count, category)


def test_nothing_is_trending_in_an_unknown_category() -> None:
    shop = Shop()
    shop.merge([(0, "p01", 3)])
    shop.follow()
    assert shop.first(9, "garden") == []


class TestCategories:
    """The categories of trending products."""

    def test_a_read_that_fails_changes_no_category(self) -> None:
        leaderboard, categories = Leaderboard(unsorted={b"mug", b"jug"}), CategoryIndex()
        categories.sort(leaderboard, {}, 0, lambda products: dict.fromkeys(products, "kitchen"))

        def fail(products: Collection[bytes]) -> dict[bytes, str]:
            raise Unreachable("Redis does not answer")

        with pytest.raises(Unreachable):
            categories.sort(leaderboard, {b"jug": 1}, 1, fail)
        assert set(categories.members("kitchen").products) == {b"mug", b"jug"}
        categories.sort(leaderboard, {b"jug": 1}, 1, lambda products: dict.fromkeys(products, "garden"))
        assert (set(categories.members("kitchen").products), set(categories.members("garden").products)) == (
            {b"mug"},
            {b"jug"},
        )

    def test_all_categories_are_read_again_after_an_erasure(self) -> None:
        leaderboard, categories = Leaderboard(unsorted={b"mug", b"jug"}), CategoryIndex()
        categories.sort(leaderboard, {}, 7, lambda products: dict.fromkeys(products, "kitchen"))
        categories.sort(leaderboard, {}, 0, lambda _: {b"mug": "garden"})
        assert (list(categories.members("kitchen").products), list(categories.members("garden").products)) == (
            [],
            [b"mug"],
        )
        assert leaderboard.unsorted == {b"jug"}

    def test_products_that_trend_no_more_are_evicted(self) -> None:
        categories = CategoryIndex()
        categories.sort(
            Leaderboard(unsorted={b"mug", b"jug"}), {}, 0, lambda products: dict.fromkeys(products, "kitchen")
        )
        categories.evict_others({b"mug"})
        assert list(categories.members("kitchen").products) == [b"mug"]


def test_categories_without_products_take_no_memory() -> None:
    leaderboard, categories, refs = Leaderboard(), CategoryIndex(), []
    for number in range(3):
        product, category = b"p%d" % number, f"new {number}"
        leaderboard.unsorted = {product}
        categories.sort(leaderboard, (), 0, lambda _, known=(product, category): dict([known]))  # type: ignore[misc]
        refs.append(weakref.ref(categories.members(category)))
        categories.evict_others({product})
    assert [ref() is None for ref in refs] == [True, True, False]
