"""What shops met with, as it was reported of systems that do this job; each with the right value worked out by hand."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import Settings
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings
from tests.support.histories import (
    HOUR_MS,
    KINDS,
    NOW_MS,
    SMALL,
    Kind,
    SetClock,
    append,
    differences,
    embedded,
    event,
    opened,
)

SETTINGS = attrs.evolve(SMALL, partitions=3, fold=FoldSettings())
MINUTE = 60_000


def bought(event_id: str, at_ms: int, user: str | None = "ada", session: str | None = None, **more: Any) -> Any:
    return event(event_id, "purchase", user, at_ms, session, **{"product": "chair", "price": 50, **more})


@KINDS
@pytest.mark.parametrize("late", [False, True])
def test_a_product_is_bought_while_some_of_it_is_kept(kind: Kind, late: bool, tmp_path: Path) -> None:
    at_ms = NOW_MS - 100 * MINUTE
    purchases = [bought("r1", at_ms, quantity=4, order_id="o1"), bought("r2", at_ms, "bob", order_id="o2")]
    purchases += [bought("r3", at_ms + 1, "bob", order_id="o3")]
    refunds = [
        event("r4", "refund", "ada", at_ms + MINUTE, product="chair", price=50, quantity=1, order_id="o1"),
        event("r5", "refund", "bob", at_ms + MINUTE, product="chair", price=50, order_id="o3"),
    ]
    others = [event("r6", user="cyd", at_ms=at_ms, product="table"), event("r7", user="cyd", product="chair")]
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        append(pipeline, [*others, *(refunds + purchases if late else purchases + refunds)])
        pipeline.process()
        assert differences(pipeline) == []
        ada, bob = (pipeline.profile(name).customer for name in ("ada", "bob"))
        assert (ada.purchases.units, ada.purchases.spend, ada.purchases.orders_placed, list(ada.purchases.bought)) == (
            3,
            1_500_000,
            1,
            ["chair"],
        )
        assert (bob.purchases.units, bob.purchases.spend, bob.purchases.orders_placed, list(bob.purchases.bought)) == (
            1,
            500_000,
            2,
            ["chair"],
        )
        offered = pipeline.recommend("ada", rules=ListRules(hide_bought=True))
        assert "chair" not in {entry.product.product_id for entry in offered}
        append(pipeline, [event("r8", "refund", "ada", at_ms + 2 * MINUTE, product="chair", price=50, quantity=3)])
        pipeline.process()
        assert list(pipeline.profile("ada").customer.purchases.bought) == []


@KINDS
def test_three_tabs_are_three_sessions_that_lead_somewhere(kind: Kind, tmp_path: Path) -> None:
    looks = [
        event(
            f"t{user}-{step}",
            user=f"u{user}",
            session=f"tab{step % 3}-{user}",
            at_ms=NOW_MS - 10_000 * MINUTE + user * 1_000 * MINUTE + step * 20_000,
            product=f"p{step % 3 * 3 + step // 3}",
        )
        for user in range(10)
        for step in range(9)
    ]
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        append(pipeline, looks)
        pipeline.process()
        assert differences(pipeline) == []
        assert [pipeline.profile(f"u{user}").customer.visits.sessions_begun for user in range(10)] == [3] * 10
        assert [entry.product.product_id for entry in pipeline.similar("p3", 2)] == ["p4", "p5"]


@KINDS
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_purchase_that_is_sent_again_after_the_sign_in_counts_once(
    kind: Kind, one_by_one: bool, tmp_path: Path
) -> None:
    at_ms = NOW_MS - 5 * MINUTE
    sent = [
        bought("q1", at_ms, None, "s1", order_id="o1"),
        event("q2", "sign_in", "ada", at_ms + 5_000, "s1"),
        bought("q1", at_ms, "ada", "s1", order_id="o1"),
    ]
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        for piece in [[entry] for entry in sent] if one_by_one else [sent]:
            append(pipeline, piece)
            pipeline.process()
        assert differences(pipeline) == []
        ada = pipeline.profile("ada").customer
        assert (
            ada.visits.counts[EventKind.PRODUCT_PURCHASED],
            ada.purchases.units,
            ada.purchases.spend,
            ada.purchases.orders_placed,
        ) == (1, 1, 500_000, 1)
        assert pipeline.trending(1)[0].reason.count == 1


@KINDS
@pytest.mark.parametrize("one_by_one", [False, True])
def test_purchases_of_a_visitor_who_signed_in_count_however_far_the_worker_lags(
    kind: Kind, one_by_one: bool, tmp_path: Path
) -> None:
    at_ms = NOW_MS - 200 * MINUTE
    sent = [event("in", "sign_in", "ada", at_ms, "s1")]
    sent += [event(f"own{number}", user="ada", at_ms=at_ms + MINUTE + number) for number in range(300)]
    sent += [bought(f"b{number}", at_ms + number, None, "s1", price=200) for number in range(1, 21)]
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        for piece in [sent[:1], sent[1:301], *([entry] for entry in sent[301:])] if one_by_one else [sent]:
            append(pipeline, piece)
            pipeline.process()
        assert differences(pipeline) == []
        assert pipeline.dead_letters() == []
        assert pipeline.profile("ada").customer.purchases.spend == 20 * 200 * 10_000


@KINDS
def test_a_late_purchase_is_a_dead_letter_and_its_repair_counts_once(kind: Kind, tmp_path: Path) -> None:
    short = attrs.evolve(SETTINGS, fold=FoldSettings(profile=ProfileSettings(dedup_events=16)))
    at_ms = NOW_MS - 500 * MINUTE
    looks = [event(f"web{number}", at_ms=at_ms + number * MINUTE, product=f"p{number}") for number in range(70)]
    with opened(embedded(kind, tmp_path, short)) as pipeline:
        append(pipeline, [*looks, bought("till-1", at_ms - 60 * MINUTE, price=900)])
        assert pipeline.process()[RecordClass.DEAD_LETTER] == 1
        for _ in range(3):
            append(pipeline, [bought("till-1", at_ms - 60 * MINUTE, price=900) | {"replayed": True}])
            pipeline.process()
            assert pipeline.profile("ada").customer.purchases.spend == 900 * 10_000
            append(pipeline, [event(f"more{_}-{number}", at_ms=NOW_MS - 9_000 + number) for number in range(40)])
        counts = pipeline.process()
        assert counts[RecordClass.DUPLICATE] == 2
        assert differences(pipeline) == []


@KINDS
def test_an_import_of_a_day_of_an_active_customer_counts_whole(kind: Kind, tmp_path: Path) -> None:
    at_ms = NOW_MS - 1_000 * MINUTE
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        append(pipeline, [event(f"web{number}", at_ms=at_ms + number * 2 * MINUTE) for number in range(100)])
        pipeline.process()
        append(pipeline, [bought(f"till{number}", at_ms + number * 2 * MINUTE + 1) for number in range(100)])
        assert pipeline.process() == {RecordClass.APPLIED: 200}


@KINDS
@pytest.mark.parametrize("signed_in_before", [False, True])
def test_what_is_on_its_way_when_a_customer_is_forgotten_goes_too(
    kind: Kind, signed_in_before: bool, tmp_path: Path
) -> None:
    """By the client's clock, which is ahead, it happens after the forgetting; in the log it lies before."""
    sign_in = event("in", "sign_in", "ada", NOW_MS - 1_000 if signed_in_before else NOW_MS + 2_000, "s")
    purchase = bought("v", NOW_MS + 2_000 if signed_in_before else NOW_MS - 5_000, None, "s")
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        append(pipeline, [sign_in, purchase] if signed_in_before else [purchase, sign_in])
        forgetting = pipeline.forget("ada")
        pipeline.process()
        assert differences(pipeline) == []
        assert pipeline.receipt(forgetting).is_done
        customers = pipeline.container.customer_queries().scan()
        assert [customer.customer_id for customer in customers if customer.purchases.spend] == []


def test_a_category_at_most_so_often_is_filled_from_further_down() -> None:
    toys = [
        event(f"t{number}-{twice}", user=f"u{number}", product=f"toy{number}", category="toys")
        for number in range(250)
        for twice in range(2)
    ]
    books = [event(f"b{number}", user=f"w{number}", product=f"book{number}", category="books") for number in range(20)]
    with opened(Settings(log="memory", store="memory")) as pipeline:
        append(pipeline, [*toys, *books])
        pipeline.process()
        found = pipeline.recommend("new", 6, rules=ListRules(per_category=3))
        assert [entry.product.category for entry in found].count("books") == 3


@KINDS
def test_events_a_little_ahead_of_the_clock_trend_at_the_end_of_an_hour(kind: Kind, tmp_path: Path) -> None:
    end_ms = (NOW_MS // HOUR_MS + 1) * HOUR_MS
    with opened(embedded(kind, tmp_path, SETTINGS), SetClock(end_ms - MINUTE)) as pipeline:
        append(pipeline, [event(f"a{number}", user=f"u{number}", at_ms=end_ms + MINUTE) for number in range(5)])
        append(pipeline, [event("p", user="v", at_ms=end_ms + MINUTE, product="mug")])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.trending()] == ["mug"]


@KINDS
def test_what_was_done_a_month_ago_gives_way_to_the_first_events_of_today(kind: Kind, tmp_path: Path) -> None:
    old = [
        event(f"o{number}", user=f"u{number}", at_ms=NOW_MS - 30 * 24 * HOUR_MS, product="old") for number in range(40)
    ]
    new = [event(f"n{number}", user=f"v{number}", at_ms=NOW_MS - MINUTE, product=f"new{number}") for number in range(4)]
    with opened(embedded(kind, tmp_path, attrs.evolve(SETTINGS, partitions=8))) as pipeline:
        append(pipeline, [*old, *new])
        pipeline.process()
        assert {entry.product.product_id for entry in pipeline.trending()} == {f"new{number}" for number in range(4)}
