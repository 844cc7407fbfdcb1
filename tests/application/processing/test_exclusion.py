"""Events of bots and staff through the whole pipeline: profiles have them, and nothing that customers share does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.composition.settings import QualitySettings
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import KINDS, NOW_MS, Kind, SetClock, differences, embedded, event, opened
from tests.support.visitors import SETTINGS, login, looks, processed

BOT = {"context": {"country": "DE", "user_agent": "ShopBot/1"}}
STAFF = Exclusion(user_agents=("shopbot",), ids=("ada", "s9"))
MUG = ProductId("mug")


@pytest.fixture
def shop(kind: Kind, tmp_path: Path) -> Iterator[Pipeline]:
    settings = attrs.evolve(SETTINGS, quality=QualitySettings(STAFF))
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        yield pipeline


def interactions(pipeline: Pipeline) -> dict[str, int]:
    return {id_: state.interactions for id_, state in pipeline.container.product_queries().scan()}


def excluded(pipeline: Pipeline, customer: str) -> int:
    return pipeline.profile(customer).customer.visits.excluded


def bought(name: str, user: str | None, session: str | None = None, **more: Any) -> dict[str, Any]:
    return event(name, "purchase", user, NOW_MS - 60_000, session, product="mug", price=2, order_id="o") | more


@KINDS
def test_staff_have_a_profile_and_leave_no_trace_for_others(shop: Pipeline) -> None:
    review = event("r", "review", product="mug", rating=1)
    counts = processed(shop, bought("1", "ada"), event("2", product="jug"), review, bought("1", "ada"))
    assert counts == {RecordClass.APPLIED: 3, RecordClass.DUPLICATE: 1}
    ada = shop.profile("ada").customer
    assert (ada.purchases.spend, ada.visits.excluded, ada.visits.sessions_begun) == (20_000, 3, 0)
    assert (interactions(shop), [*shop.trending(5)], [*shop.top_rated(5)]) == ({}, [], [])
    assert shop.container.customer_queries().reviews(CustomerId("ada")) == []
    processed(shop, bought("3", "bob"))
    assert interactions(shop) == {"mug": 1}


@KINDS
def test_a_bot_without_an_id_counts_for_nothing(shop: Pipeline) -> None:
    anonymous = event("1", user=None, product="mug", category="kitchen")
    processed(shop, anonymous | BOT)
    assert interactions(shop) == {}
    processed(shop, anonymous)
    assert interactions(shop) == {"mug": 1}


@KINDS
def test_what_a_bot_did_is_not_taken_out_when_it_is_sent_again_after_a_sign_in(shop: Pipeline) -> None:
    """The visitor's purchase was excluded; the same is sent again by the server, with the user id and no user agent."""
    processed(shop, bought("1", None, "s1") | BOT, bought("1", "bob", "s1"))
    assert interactions(shop) == {"mug": 1}
    processed(shop, login("bob"))
    assert interactions(shop) == {"mug": 1}
    assert (shop.profile("bob").customer.purchases.units, excluded(shop, "bob")) == (1, 0)


@KINDS
def test_a_visitor_who_signs_in_as_staff_is_taken_out_of_what_customers_share(shop: Pipeline) -> None:
    processed(shop, *looks("mug", "jug"), bought("1", None, "s1"))
    assert interactions(shop) == {"mug": 2, "jug": 1}
    processed(shop, login("ada"))
    assert interactions(shop) == {"mug": 0, "jug": 0}
    ada = shop.profile("ada").customer
    assert (ada.purchases.units, ada.visits.excluded, ada.visits.open_sessions) == (1, 3, [])
    assert ada.visits.sessions_begun == 1
    (sessions,) = shop.container.product_queries().sessions_of([MUG], 5).values()
    assert shop.container.customer_queries().session_summaries(sessions.keys()) == {}


@KINDS
def test_events_that_are_forwarded_are_judged_again(shop: Pipeline) -> None:
    """The copy has the session id and the context of the original."""
    processed(shop, login("bob", "s9"), login("cyd", "s2"))
    processed(shop, bought("1", None, "s9"), bought("2", None, "s2") | BOT, bought("3", None, "s2"))
    assert interactions(shop) == {"mug": 1}
    assert (excluded(shop, "bob"), excluded(shop, "cyd")) == (1, 1)


@KINDS
def test_of_a_minute_too_many_events_are_excluded(kind: Kind, tmp_path: Path) -> None:
    quality = QualitySettings(Exclusion(events_per_minute_max=2))
    with opened(embedded(kind, tmp_path, attrs.evolve(SETTINGS, quality=quality))) as pipeline:
        views = [event(f"e{n}", product="mug", at_ms=NOW_MS - 100_000 + n) for n in range(5)]
        processed(pipeline, *views[:1])
        processed(pipeline, *views, *views)  # the minute is in the stored profile; repeats do not count
        assert (interactions(pipeline), excluded(pipeline, "ada")) == ({"mug": 2}, 3)
        processed(pipeline, event("later", product="mug", at_ms=NOW_MS - 30_000))
        assert interactions(pipeline) == {"mug": 3}


@KINDS
def test_the_rate_of_a_visitor_does_not_go_to_the_customer(kind: Kind, tmp_path: Path) -> None:
    quality = QualitySettings(Exclusion(events_per_minute_max=2))
    with opened(embedded(kind, tmp_path, attrs.evolve(SETTINGS, quality=quality))) as pipeline:
        processed(pipeline, *looks("mug", "jug", "pan"), login("bob"))
        assert (excluded(pipeline, "bob"), pipeline.profile("bob").customer.visits.minute) == (1, None)
        processed(pipeline, *looks("mug", "jug", "pan", at_ms=NOW_MS - 80_000))
        assert excluded(pipeline, "bob") == 2


@KINDS
def test_who_is_forgotten_leaves_no_count(shop: Pipeline) -> None:
    processed(shop, event("1", product="mug"), event("2", "forget", at_ms=NOW_MS - 90_000))
    processed(shop, event("3", product="mug", at_ms=NOW_MS - 80_000))
    assert excluded(shop, "ada") == 1


@KINDS
def test_the_time_of_an_excluded_event_is_the_shops(shop: Pipeline) -> None:
    processed(shop, event("1", product="mug"), event("2", product="mug", at_ms=NOW_MS - 50_000))
    assert max(mark.at_ms for mark in shop.container.product_queries().watermarks().values()) > 0


def test_a_trace_says_that_an_event_was_excluded(tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, quality=QualitySettings(STAFF))
    with opened(embedded("memory", tmp_path, settings), SetClock()) as pipeline:
        processed(pipeline, bought("1", "ada"))
        (copy,) = pipeline.trace("1").copies
        assert copy.change is not None
        assert (copy.change.excluded, copy.change.interactions, copy.change.units) == (1, 0, 1)


FILTERS = {
    "none": Exclusion(),
    "ids": Exclusion(ids=("s1",)),
    "other ids": Exclusion(ids=("s2",)),
    "agents": Exclusion(user_agents=("shopbot",)),
    "rate": Exclusion(events_per_minute_max=1),
}


@pytest.mark.parametrize("after", FILTERS)
@pytest.mark.parametrize("before", FILTERS)
def test_a_sign_in_under_another_filter_takes_out_what_the_store_has_added(
    before: str, after: str, tmp_path: Path
) -> None:
    """Each event is the visitor's and the customer's; the profile was sent under `before`, and read under `after`."""
    with opened(embedded("sqlite", tmp_path, attrs.evolve(SETTINGS, quality=QualitySettings(FILTERS[before])))) as shop:
        processed(shop, bought("1", None, "s1") | BOT, bought("2", None, "s1"), bought("1", "bob"), bought("2", "bob"))
        processed(shop, login("bob"))
    with opened(embedded("sqlite", tmp_path, attrs.evolve(SETTINGS, quality=QualitySettings(FILTERS[after])))) as shop:
        shop.rebuild()
        processed(shop)
        assert differences(shop) == []
        counted = interactions(shop).get("mug", 0)
        assert counted >= 0
        if after in ("none", "ids", "other ids") or before == after:
            assert counted == (1 if after == "rate" else 2)


def test_a_filter_is_part_of_what_a_rebuild_gives(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, bought("1", "ada"))
        assert interactions(pipeline) == {"mug": 1}
    with opened(embedded("sqlite", tmp_path, attrs.evolve(SETTINGS, quality=QualitySettings(STAFF)))) as pipeline:
        pipeline.rebuild()
        processed(pipeline)
        assert interactions(pipeline) == {}
