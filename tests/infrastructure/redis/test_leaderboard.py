"""What a reader of Redis keeps in mind of what is trending."""

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
    """Looks by hour and product, as they are merged, and what one who follows them says."""

    def __init__(self) -> None:
        self.views: Views = {}
        self.newest_hour = 3
        self.categories_of: dict[str, str] = {}
        self._versions: dict[int, int] = {}
        self._moved: dict[bytes, int] = {}
        self.trends = Leaderboard()
        self.categories = CategoryIndex()

    def merge(self, looks: Sequence[tuple[int, str, int]]) -> None:
        """Looks so many hours ago, of which some are taken back."""
        for ago, product, count in looks:
            hour = self.newest_hour - ago
            self.views[hour, product] = self.views.get((hour, product), 0) + count
            self._versions[hour] = self._versions.get(hour, 0) + 1

    def move(self, moves: Mapping[str, str]) -> None:
        """Products come into categories, or into others."""
        self.categories_of |= moves
        for product in moves:
            self._moved[product.encode()] = max(self._moved.values(), default=0) + 1

    def follow(self) -> None:
        """Have what is known brought up to date."""
        self.trends.follow(RULES, self.newest_hour, self.newest_hour + 1, self._versions, self._read)
        lately = {product for product, number in self._moved.items() if number > self.categories.last_moved}
        self.categories.sort(self.trends, lately, max(self._moved.values(), default=0), self._sorted)

    def first(self, count: int, category: str | None = None) -> list[TrendingProduct]:
        """What the follower says is trending."""
        members = None if category is None else self.categories.members(category)
        return ranked(self.trends.first(count, members))[:count]

    def expected(self, count: int, category: str | None = None) -> list[TrendingProduct]:
        """What the domain says is trending, of all looks."""
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
def test_who_follows_the_changes_says_what_one_says_who_looks_at_everything(
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


def test_nothing_is_trending_in_a_category_that_nobody_knows() -> None:
    shop = Shop()
    shop.merge([(0, "p01", 3)])
    shop.follow()
    assert shop.first(9, "garden") == []


class TestCategories:
    """What a reader knows of the categories of products that trend."""

    def test_nothing_is_lost_when_a_read_fails(self) -> None:
        trends, categories = Leaderboard(unsorted={b"mug", b"jug"}), CategoryIndex()
        categories.sort(trends, {}, 0, lambda products: dict.fromkeys(products, "kitchen"))

        def fail(products: Collection[bytes]) -> dict[bytes, str]:
            raise Unreachable("Redis does not answer")

        with pytest.raises(Unreachable):
            categories.sort(trends, {b"jug": 1}, 1, fail)
        assert set(categories.members("kitchen").products) == {b"mug", b"jug"}
        categories.sort(trends, {b"jug": 1}, 1, lambda products: dict.fromkeys(products, "garden"))
        assert (set(categories.members("kitchen").products), set(categories.members("garden").products)) == (
            {b"mug"},
            {b"jug"},
        )

    def test_all_is_asked_for_again_where_all_was_begun_anew(self) -> None:
        trends, categories = Leaderboard(unsorted={b"mug", b"jug"}), CategoryIndex()
        categories.sort(trends, {}, 7, lambda products: dict.fromkeys(products, "kitchen"))
        categories.sort(trends, {}, 0, lambda _: {b"mug": "garden"})
        assert (list(categories.members("kitchen").products), list(categories.members("garden").products)) == (
            [],
            [b"mug"],
        )
        assert trends.unsorted == {b"jug"}

    def test_what_trends_no_longer_is_not_kept(self) -> None:
        categories = CategoryIndex()
        categories.sort(
            Leaderboard(unsorted={b"mug", b"jug"}), {}, 0, lambda products: dict.fromkeys(products, "kitchen")
        )
        categories.evict_others({b"mug"})
        assert list(categories.members("kitchen").products) == [b"mug"]


def test_categories_without_products_take_no_memory() -> None:
    trends, categories, refs = Leaderboard(), CategoryIndex(), []
    for number in range(3):
        product, category = b"p%d" % number, f"new {number}"
        trends.unsorted = {product}
        categories.sort(trends, (), 0, lambda _, known=(product, category): dict([known]))  # type: ignore[misc]
        refs.append(weakref.ref(categories.members(category)))
        categories.evict_others({product})
    assert [ref() is None for ref in refs] == [True, True, False]
