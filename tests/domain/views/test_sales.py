"""How long sales decide something, and what deltas of purchases have of them."""

import pytest

from realtime_pipeline.domain.profile.changes import APPLIED
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.sales import first_needed_ms

MUG = ProductId("mug")


@pytest.mark.parametrize(
    ("watermarks_ms", "partitions", "wanted_ms"),
    [
        ([], 2, -1),
        ([500], 2, -1),  # the other partition is not claimed yet
        ([500, -1], 2, -1),
        ([500, 300], 2, 200),
        ([500, 50], 2, -1),
        ([500, 300, 900], 3, 200),
    ],
)
def test_sales_are_needed_until_the_last_partition_has_come_so_far(
    watermarks_ms: list[int], partitions: int, wanted_ms: int
) -> None:
    assert first_needed_ms(watermarks_ms, partitions, 100) == wanted_ms


def test_a_purchase_is_sold_at_its_time_and_taken_back_there() -> None:
    deltas = Deltas()
    bought = Event("e", EventKind.PRODUCT_PURCHASED, None, 7, product_id=MUG, quantity=3)
    for _ in range(2):
        for add in deltas.adders()[bought.kind]:
            add(bought, MUG, APPLIED)
    assert deltas.sales == {(MUG, 7): 6}
    deltas.retract([Contribution.of(bought, b"12345678")])
    assert deltas.sales == {(MUG, 7): 3}
    assert deltas.listings == {}


def test_only_catalogue_events_state_facts() -> None:
    deltas = Deltas()
    viewed = Event("e", EventKind.PRODUCT_VIEWED, None, 7, product_id=MUG, name="A mug")
    for add in deltas.adders()[viewed.kind]:
        add(viewed, MUG, APPLIED)
    assert (deltas.sales, deltas.listings) == ({}, {})
