"""Sums by product, of a projection made here."""

from collections.abc import Iterable
from typing import Final

import pytest

from realtime_pipeline.domain.profile.changes import APPLIED, Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.views.sums import SumKey, SumProjection, Sums

MUG, JUG = ProductId("mug"), ProductId("jug")
AT_MS: Final = 5
OPINION: Final = Recorded(Verdict.APPLIED, ratings=1, rating_sum=4)


class Shown(SumProjection):
    """How often each product was recommended, and where."""

    name = "shown"

    def adds(self, event: Event, recorded: Recorded) -> Iterable[tuple[ProductId, str, int]]:
        for product_id in event.shown:
            yield product_id, f"times_{event.country}", 1


class Stars(SumProjection):
    """The stars of opinions, and what was returned."""

    name = "stars"

    def adds(self, event: Event, recorded: Recorded) -> Iterable[tuple[ProductId, str, int]]:
        if event.product_id is not None and event.kind is EventKind.PRODUCT_REVIEWED:
            yield event.product_id, "stars", recorded.rating_sum
            yield event.product_id, "opinions", recorded.ratings
        elif event.product_id is not None and event.kind is EventKind.PURCHASE_CANCELLED:
            yield event.product_id, event.order_id or "", event.amount * event.quantity


SUMS = Sums((Shown(), Stars()))


def events() -> list[tuple[Event, Recorded]]:
    ada, context = CustomerId("ada"), {"country": "de"}
    refund = Event("c", EventKind.PURCHASE_CANCELLED, ada, AT_MS, product_id=MUG, amount=3, quantity=2, order_id="o")
    return [
        (Event("a", EventKind.RECOMMENDATIONS_SHOWN, ada, AT_MS, context=context, shown=(MUG, JUG)), APPLIED),
        (Event("b", EventKind.PRODUCT_REVIEWED, ada, AT_MS, product_id=MUG, rating=4), OPINION),
        (refund, APPLIED),
        (Event("d", EventKind.PRODUCT_VIEWED, ada, AT_MS, product_id=MUG), Recorded(Verdict.APPLIED)),
    ]


def table_of(sums: Sums) -> dict[SumKey, int]:
    table: dict[SumKey, int] = {}
    add = sums.adder(table)
    assert add is not None
    for event, recorded in events():
        add(event, event.product_id, recorded)
        add(event, event.product_id, recorded)
    return table


def test_each_projection_adds_what_it_says() -> None:
    assert table_of(SUMS) == {
        ("shown", MUG, "times_DE"): 2,
        ("shown", JUG, "times_DE"): 2,
        ("stars", MUG, "stars"): 8,
        ("stars", MUG, "opinions"): 2,
        ("stars", MUG, "o"): 12,
    }


def test_what_is_retracted_was_never_added() -> None:
    table = table_of(SUMS)
    for event, _ in events() * 2:
        SUMS.retract(
            table,
            Contribution(
                b"12345678",
                event.kind,
                event.occurred_at_ms,
                event.product_id,
                event.category,
                event.amount,
                event.quantity,
                event.order_id,
                event.country,
                event.rating,
                event.shown,
            ),
        )
    assert set(table.values()) == {0}


def test_a_projection_never_sees_what_a_retraction_does_not_know() -> None:
    """Otherwise it would add by one value, and subtract by another."""

    class Everything(SumProjection):
        name = "everything"

        def adds(self, event: Event, recorded: Recorded) -> Iterable[tuple[ProductId, str, int]]:
            yield MUG, str((event, recorded.verdict, recorded.session, recorded.ratings, recorded.rating_sum)), 1

    sums, table = Sums((Everything(),)), dict[SumKey, int]()
    add = sums.adder(table)
    assert add is not None
    review = Event(
        "id",
        EventKind.PRODUCT_REVIEWED,
        CustomerId("ada"),
        AT_MS,
        "session",
        MUG,
        rating=4,
        name="A mug",
        text="nice",
        properties={"colour": "red"},
        context={"country": "de", "page": "home"},
    )
    add(review, MUG, OPINION)
    sums.retract(table, Contribution.of(review, b"12345678"))
    add(review, MUG, Recorded(Verdict.APPLIED))  # the review of somebody whose opinion is newer
    sums.retract(table, Contribution.of(review, b"12345678")._replace(rating=None))
    assert set(table.values()) == {0}


def test_a_review_that_was_no_opinion_is_not_retracted() -> None:
    table: dict[SumKey, int] = {}
    SUMS.retract(table, Contribution(b"12345678", EventKind.PRODUCT_REVIEWED, AT_MS, MUG))
    assert set(table.values()) == {0}


def test_without_projections_nothing_is_called() -> None:
    assert Sums(()).adder({}) is None


def test_names_are_simple_and_differ() -> None:
    class Spaced(Shown):
        name = "two words"

    for wrong in ((Shown(), Shown()), (Spaced(),)):
        with pytest.raises(ValueError, match="names of sum projections must differ, and be of small letters"):
            Sums(wrong)
