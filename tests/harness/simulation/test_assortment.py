"""The assortment: readable names, plausible prices."""

import re
from collections import Counter

import pytest

from harness.simulation.assortment import MAKERS, assortment, theme_of
from realtime_pipeline.domain.shop.money import PER_UNIT


class TestAssortment:
    def test_names_are_distinct_and_readable(self) -> None:
        names = [product.name or "" for product in assortment(400)]
        assert len(set(names)) == 400
        for name in names:
            assert re.fullmatch(r"[A-Z0-9][A-Za-z0-9 ,.'&-]{4,47}", name), name
            assert not name.endswith((",", " "))
            assert "  " not in name
            assert not any(name.endswith(f" by {maker}") for maker in MAKERS)

    def test_names_and_ids_stay_distinct_when_makers_are_needed(self) -> None:
        products = assortment(10_000)
        assert (
            len({product.name for product in products}) == len({product.product_id for product in products}) == 10_000
        )

    def test_there_are_ten_categories_of_small_themes(self) -> None:
        products = assortment(400)
        themes = Counter(theme_of(product) for product in products)
        assert len({product.category for product in products}) == 10
        assert set(themes.values()) == {10}

    def test_prices_look_like_a_shop_s(self) -> None:
        for product in assortment(10_000):
            assert product.price is not None
            assert 2 * PER_UNIT < product.price < 600 * PER_UNIT
            assert product.price % PER_UNIT in {0, 9_000, 9_500, 9_900}

    def test_larger_variants_cost_more(self) -> None:
        prices = {product.name: product.price for product in assortment(400)}
        small, large = prices["Cast-Iron Frying Pan 20 cm"], prices["Cast-Iron Frying Pan 24 cm"]
        assert small is not None
        assert large is not None
        assert small < large

    def test_a_product_is_the_same_in_an_assortment_of_any_size(self) -> None:
        assert assortment(2_000, seed=3)[:55] == assortment(55, seed=3)
        assert assortment(55, seed=3) != assortment(55, seed=4)

    def test_it_does_not_make_names_up_beyond_what_it_has(self) -> None:
        with pytest.raises(ValueError, match="10000 products, not for 10001"):
            assortment(10_001)
