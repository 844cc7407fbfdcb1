"""What one event adds to each projection, worked out by hand."""

from typing import Any

import pytest

from realtime_pipeline.domain.profile.changes import APPLIED, Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import PROJECTIONS, Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState

ADA, MUG, JUG = CustomerId("ada"), ProductId("mug"), ProductId("jug")
KEY = SessionKey(4096)
IN_SESSION = Recorded(Verdict.APPLIED, KEY)
AT_MS = 5 * HOUR_MS + 7


def deltas_of(kind: EventKind, recorded: Recorded = APPLIED, **more: Any) -> Deltas:
    deltas = Deltas()
    event = Event("e", kind, ADA, AT_MS, product_id=MUG)._replace(**more)
    for add in deltas.adders()[kind]:
        add(event, event.product_id, recorded)
    return deltas


def test_a_view_in_a_country_is_in_all_tables() -> None:
    deltas = deltas_of(EventKind.PRODUCT_VIEWED, IN_SESSION, name="A mug", price=3, context={"country": "de"})
    assert deltas.products == {MUG: ProductState(1, name=("A mug", AT_MS), price=(3, AT_MS))}
    assert deltas.activity == {(5, MUG): Activity(views=1)}
    assert deltas.by_country == {(5, "DE", MUG): Activity(views=1)}
    assert deltas.index == {(MUG, KEY): AT_MS}


def test_a_cancellation_takes_a_purchase_of_its_hour_back_and_says_no_price() -> None:
    deltas = deltas_of(EventKind.PURCHASE_CANCELLED, price=3, name="A mug")
    assert deltas.products == {MUG: ProductState(0, name=("A mug", AT_MS))}
    assert deltas.activity == {(5, MUG): Activity(purchases=-1)}
    assert (deltas.by_country, deltas.index) == ({}, {})


def test_what_is_taken_out_of_a_cart_only_describes_the_product() -> None:
    deltas = deltas_of(EventKind.PRODUCT_UNCARTED, IN_SESSION, category="kitchen", context={"country": "DE"})
    assert deltas == Deltas({MUG: ProductState(category=("kitchen", AT_MS))})


def test_ratings_are_those_that_the_customers_opinion_adds() -> None:
    deltas = deltas_of(EventKind.PRODUCT_REVIEWED, Recorded(Verdict.APPLIED, ratings=0, rating_sum=-2), rating=3)
    assert deltas == Deltas({MUG: ProductState(ratings=0, rating_sum=-2)})


@pytest.mark.parametrize(
    ("kind", "recorded", "rating"),
    [
        (EventKind.PRODUCT_VIEWED, APPLIED, None),
        (EventKind.PRODUCT_CARTED, APPLIED, None),
        (EventKind.PRODUCT_PURCHASED, APPLIED, None),
        (EventKind.PURCHASE_CANCELLED, APPLIED, None),
        (EventKind.PRODUCT_REVIEWED, Recorded(Verdict.APPLIED, ratings=1, rating_sum=4), 4),
    ],
)
def test_what_is_retracted_was_never_counted(kind: EventKind, recorded: Recorded, rating: int | None) -> None:
    deltas = deltas_of(kind, recorded, context={"country": "DE"}, rating=rating)
    deltas.retract([Contribution(b"12345678", kind, AT_MS, MUG, country="DE", rating=rating)])
    assert deltas.products == {MUG: ProductState()}
    assert all(activity == Activity() for activity in (*deltas.activity.values(), *deltas.by_country.values()))


def test_a_review_that_is_no_opinion_of_the_visitor_is_not_retracted() -> None:
    deltas = Deltas()
    deltas.retract([Contribution(b"12345678", EventKind.PRODUCT_REVIEWED, AT_MS, MUG)])
    deltas.retract([Contribution(b"12345678", EventKind.RECOMMENDATIONS_SHOWN, AT_MS, shown=(JUG,))])
    assert deltas == Deltas({MUG: ProductState()})


def test_a_session_that_is_continued_names_its_products_and_is_listed_with_them() -> None:
    deltas = Deltas(index={(MUG, KEY): 9})
    moved = Session(SessionKey(1), "s", 5, 9, 3, {MUG: (8, 1), JUG: (7, 3)})
    deltas.continue_session(Session(KEY, "s", 1, 9), moved)
    assert deltas.products == {MUG: ProductState(), JUG: ProductState()}
    assert deltas.index == {(MUG, KEY): 9, (JUG, KEY): 7}


def test_each_part_has_what_belongs_to_its_view_cell() -> None:
    deltas = deltas_of(EventKind.PRODUCT_VIEWED, IN_SESSION, context={"country": "DE"})
    parts = deltas.parts(4)
    cell = view_cell_of(MUG, 4)
    assert parts[cell] == deltas
    assert [part for number, part in enumerate(parts) if number != cell] == [Deltas()] * 3
    assert deltas.parts(1) == (deltas,)


def test_every_table_has_a_projection() -> None:
    assert {*PROJECTIONS} == {name for name in Deltas.__slots__ if not name.startswith("_")}
