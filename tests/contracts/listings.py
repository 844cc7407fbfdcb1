"""What every adapter of views must do with the catalogue: keep the latest facts, and count the stock that is left."""

from itertools import permutations

import pytest

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.listings import Listing
from tests.contracts.claimed_views import HOUR, JUG, MUG, PAN, ClaimedViews

IDENTITY = LogIdentity("log", 2, "crc32")
"""The log that the views are built from: of the two partitions that the contract claims."""
DAY_MS = 24 * HOUR_MS
NOON = HOUR * HOUR_MS


def stated(product_id: ProductId, at_ms: int, **facts: str) -> Deltas:
    return Deltas(listings={product_id: Listing({name: (value, at_ms) for name, value in facts.items()})})


def sold(product_id: ProductId, **units: int) -> Deltas:
    """Sales by time: `at_5=2` are two units at 5 ms past noon."""
    return Deltas(sales={(product_id, NOON + int(name[3:])): number for name, number in units.items()})


class ListingsContract(ClaimedViews):
    """Facts, stock and sales. The views are bound to `IDENTITY`; `sales_stored` counts the times of sales in them."""

    def sales_stored(self) -> int:
        raise NotImplementedError

    def stock(self, product_id: ProductId = MUG) -> int | None:
        return self.products.listings([product_id])[product_id].stock

    def merge_all(self, *deltas: Deltas) -> None:
        for number, delta in enumerate(deltas):
            self.merge(delta, {0: (number, number + 1)})

    def test_the_latest_value_of_each_fact_wins_in_any_order(self) -> None:
        changes = [
            stated(MUG, 5, name="old", price="100", removed="0"),
            stated(MUG, 9, name="new", removed="1"),
            stated(MUG, 7, text="fine", removed="0"),
        ]
        wanted: dict[str, LastWrite] = {
            "name": ("new", 9),
            "price": ("100", 5),
            "text": ("fine", 7),
            "removed": ("1", 9),
        }
        for number, order in enumerate(permutations(changes)):
            self.merge_all_from(3 * number, order)
            assert self.products.listings([MUG, JUG]) == {MUG: Listing(wanted)}

    def merge_all_from(self, first: int, order: tuple[Deltas, ...]) -> None:
        for number, delta in enumerate(order, first):
            self.merge(delta, {0: (number, number + 1)})

    def test_of_facts_with_the_same_time_the_larger_text_wins(self) -> None:
        self.merge_all(stated(MUG, 5, name="pot", stock="9"), stated(MUG, 5, name="mug", stock="10"))
        found = self.products.listings([MUG])[MUG]
        assert (found.value("name"), found.value("stock")) == ("pot", "9")

    def test_a_fact_of_a_clock_that_was_ahead_loses(self) -> None:
        ahead = NOON + 2 * HOUR_MS
        self.merge(stated(MUG, ahead, name="ahead"), {0: (0, 1)}, now_hour=HOUR)
        self.merge(stated(MUG, NOON, name="right"), {0: (1, 2)}, now_hour=HOUR)
        assert self.products.listings([MUG])[MUG].value("name") == "right"

    @pytest.mark.parametrize("order", list(permutations(range(4))))
    def test_the_stock_is_the_level_less_what_was_sold_later(self, order: tuple[int, ...]) -> None:
        changes = [
            stated(MUG, NOON + 10, stock="50"),
            sold(MUG, at_5=7, at_10=1, at_11=2),
            stated(MUG, NOON + 4, stock="90"),
            sold(MUG, at_20=3, at_11=4),
        ]
        self.merge_all(*(changes[index] for index in order))
        assert self.stock() == 50 - 2 - 4 - 3
        assert self.products.listings([MUG])[MUG].in_stock is True

    def test_a_level_that_comes_twice_counts_the_sales_once(self) -> None:
        level = stated(MUG, NOON, stock="5")
        self.merge_all(level, sold(MUG, at_1=2), level, sold(MUG, at_2=3), level)
        assert (self.stock(), self.products.listings([MUG])[MUG].in_stock) == (0, False)

    def test_more_sales_than_units_leave_nothing(self) -> None:
        self.merge_all(stated(MUG, NOON, stock="5"), sold(MUG, at_1=9))
        assert self.stock() == 0

    def test_sales_that_are_taken_back_count_no_more(self) -> None:
        self.merge_all(sold(MUG, at_3=2), stated(MUG, NOON, stock="5"), sold(MUG, at_3=-2), sold(MUG, at_4=1))
        assert self.stock() == 4

    def test_sales_alone_make_no_listing(self) -> None:
        self.merge(sold(MUG, at_1=2))
        assert self.products.listings([MUG]) == {}
        assert list(self.products.listed(9, 0.0)) == []

    def test_products_are_listed_until_they_are_removed(self) -> None:
        self.merge_all(
            stated(MUG, 5, removed="0"), stated(JUG, 5, name="A jug"), stated(PAN, 5, removed="0"), sold(MUG, at_1=1)
        )
        assert set(self.products.listed(90, 0.4)) == {MUG, JUG, PAN}
        assert len(self.products.listed(1, 0.99)) == 1
        self.merge(stated(PAN, 6, removed="1"), {0: (4, 5)})
        assert set(self.products.listed(90, 0.0)) == {MUG, JUG}
        assert self.products.listings([PAN])[PAN].is_removed

    def test_erased_listings_and_sales_are_gone(self) -> None:
        self.merge_all(stated(MUG, NOON, stock="5"), sold(MUG, at_1=2))
        self.views.erase()
        assert self.products.listings([MUG]) == {}
        assert self.sales_stored() == 0

    def test_sales_are_deleted_once_no_stock_level_can_be_older(self) -> None:
        """Not before the watermark of the last partition has come so far; sales after the stock was set still count."""
        self.merge(stated(MUG, NOON - 1, stock="10000"), {0: (0, 1)})
        early = Deltas(sales={(MUG, NOON + number): 1 for number in range(1_200)})
        later = Deltas(sales={(MUG, NOON + 2 * DAY_MS + number): 1 for number in range(1_200)})
        ahead = Watermark(NOON + 2 * DAY_MS, NOON + 2 * DAY_MS, 9, NOON + 2 * DAY_MS)
        self.merge(early, {0: (1, 2)}, watermark=ahead)
        self.merge(later, {0: (2, 3)}, watermark=ahead, now_hour=10**6 + 1)
        assert self.sales_stored() == 2_400
        self.merge(Deltas(), {1: (0, 1)}, watermark=ahead, now_hour=10**6 + 2)
        last = Deltas(sales={(MUG, NOON + 2 * DAY_MS + 5_000 + number): 1 for number in range(600)})
        self.merge(last, {0: (3, 4)}, watermark=ahead, now_hour=10**6 + 3)
        assert self.sales_stored() == 1_800
        assert self.stock() == 10_000 - 1_200 - 1_200 - 600
        self.merge(stated(MUG, NOON + 2 * DAY_MS + 1_000, stock="5000"), {0: (4, 5)}, watermark=ahead)
        assert self.stock() == 5_000 - 199 - 600
