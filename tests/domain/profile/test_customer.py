"""What a profile comes to, worked out by hand."""

from typing import Any

import attrs
import pytest

from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.session import session_key
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId

RULES = ProfileSettings(
    session_gap_ms=100, open_sessions_max=2, idle_sessions_max=1, closed_sessions_max=2, affinity_half_life_ms=1_000
)
ADA = CustomerId("ada")


class History:
    """A customer to whom things happen."""

    def __init__(self, settings: ProfileSettings = RULES) -> None:
        self.customer = Customer(ADA)
        self.changes = Changes()
        self.settings = settings
        self._position = -1

    def happens(self, kind: EventKind, at_ms: int, product: str | None = None, **more: Any) -> Verdict:
        self._position += 1
        event = Event(f"e{self._position}", kind, ADA, at_ms, product_id=product and ProductId(product))  # type: ignore[arg-type]
        event = event._replace(**more)
        begins = session_key(0, self._position)
        return self.customer.record(event, begins, self.settings, self.changes).verdict

    def views(self, at_ms: int, product: str = "mug", **more: Any) -> Verdict:
        return self.happens(EventKind.PRODUCT_VIEWED, at_ms, product, **more)


def test_sessions_end_after_a_pause() -> None:
    history = History()
    for at_ms in (1_000, 1_100, 1_201):
        history.views(at_ms)
    sessions = history.customer.visits.open_sessions
    assert [(entry.started_at_ms, entry.last_at_ms, entry.events) for entry in sessions] == [
        (1_000, 1_100, 2),
        (1_201, 1_201, 1),
    ]
    assert history.customer.visits.sessions_begun == 2


def test_over_the_limit_the_product_looked_at_longest_ago_is_evicted_whatever_the_order_of_arrival() -> None:
    for times in ([(1, "mug"), (2, "jug"), (3, "pan")], [(3, "pan"), (2, "jug"), (1, "mug")]):
        history = History(attrs.evolve(RULES, recent_products_max=2))
        for at_ms, product in times:
            history.views(at_ms, product)
        assert history.customer.interests.recent == {"jug": 2, "pan": 3}


def test_what_was_bought_is_known_until_it_is_taken_back() -> None:
    history = History(attrs.evolve(RULES, bought_products_max=2))
    for at_ms, product in ((1, "mug"), (2, "jug"), (3, "mug"), (4, "pan")):
        history.happens(EventKind.PRODUCT_PURCHASED, at_ms, product)
    assert history.customer.purchases.bought == {"mug": 3, "pan": 4}  # the jug was bought longest ago
    history.happens(EventKind.PURCHASE_CANCELLED, 5, "mug")
    assert history.customer.purchases.bought == {"mug": 5, "pan": 4}  # one of two is kept
    history.happens(EventKind.PURCHASE_CANCELLED, 6, "mug")
    assert history.customer.purchases.bought == {"pan": 4}


def test_what_is_taken_out_of_the_cart_says_nothing_until_it_is_touched_again() -> None:
    history = History()
    for at_ms, kind in ((1, EventKind.PRODUCT_CARTED), (2, EventKind.PRODUCT_UNCARTED)):
        history.happens(kind, at_ms, "mug")
    (session,) = history.customer.visits.open_sessions
    assert session.products == {"mug": (1, 0)}
    history.happens(EventKind.PRODUCT_UNCARTED, 3, "jug")  # which was never in it
    history.views(4)
    assert session.products == {"mug": (4, 1)}


def test_a_late_event_finds_its_session() -> None:
    history = History()
    for at_ms in (1_000, 2_000, 950, 1_080):
        history.views(at_ms)
    first, second = history.customer.visits.open_sessions
    assert (first.started_at_ms, first.last_at_ms, first.events) == (950, 1_080, 3)
    assert second.events == 1


def test_of_two_sessions_that_would_take_an_event_the_later_does() -> None:
    history = History()
    for at_ms in (1_000, 1_150, 1_075):
        history.views(at_ms)
    assert [entry.events for entry in history.customer.visits.open_sessions] == [1, 2]


def test_sessions_with_an_id_go_by_it_whatever_the_pause() -> None:
    history = History()
    for at_ms, session_id in ((1_000, "a"), (9_000, "a"), (9_001, "b"), (9_002, "a"), (9_003, None)):
        history.views(at_ms, session_id=session_id)
    assert history.customer.visits.sessions_begun == 3
    assert {entry.session_id: entry.events for entry in history.customer.visits.open_sessions} == {"a": 3, None: 1}


def test_a_closed_session_is_not_taken_up_again() -> None:
    history = History()
    for at_ms, session_id in ((1, "a"), (2, "b"), (3, "c"), (4, "a")):
        history.views(at_ms, session_id=session_id)
    assert history.customer.visits.sessions_begun == 4
    assert history.customer.visits.closed_sessions == [session_key(0, 0), session_key(0, 1)]


def test_the_oldest_closed_session_is_dropped_at_the_limit() -> None:
    history = History()
    for number in range(6):
        history.views(number, session_id=f"s{number}")
    assert history.customer.visits.closed_sessions == [session_key(0, 2), session_key(0, 3)]
    assert history.changes.sessions_dropped == {session_key(0, 0), session_key(0, 1)}
    assert set(history.changes.sessions) == {session_key(0, number) for number in range(2, 6)}


def test_affinity_halves_every_half_life_and_takes_late_events_in() -> None:
    history = History()
    history.views(1_000, category="kitchen")
    history.happens(EventKind.PRODUCT_CARTED, 2_000, "mug", category="kitchen")
    history.views(0, category="kitchen")
    history.views(3_000, category="garden")
    affinity = history.customer.interests.favourite_categories(1_000)
    assert [name for name, _ in affinity] == ["kitchen", "garden"]
    assert [score for _, score in affinity] == pytest.approx([(3 + 1 / 2 + 1 / 4) / 2, 1.0])


def test_the_weakest_category_makes_room() -> None:
    history = History(attrs.evolve(RULES, categories_max=2))
    for at_ms, category in ((1_000, "a"), (1_000, "a"), (1_000, "b"), (2_000, "c")):
        history.views(at_ms, category=category)
    assert [name for name, _ in history.customer.interests.favourite_categories(1_000)] == ["a", "c"]


def test_money_spent_and_taken_back() -> None:
    history = History()
    history.happens(EventKind.PRODUCT_PURCHASED, 1, "mug", quantity=3, amount=75_000, order_id="o1")
    history.happens(EventKind.PRODUCT_PURCHASED, 2, "jug", quantity=1, amount=25_000, order_id="o1")
    history.happens(EventKind.PURCHASE_CANCELLED, 3, "mug", quantity=2, amount=50_000, order_id="o1")
    history.happens(EventKind.PRODUCT_PURCHASED, 4, "pan", amount=10_000)
    customer = history.customer
    assert (customer.purchases.spend, customer.purchases.units, customer.purchases.orders_placed) == (60_000, 3, 2)
    assert (customer.purchases.orders["o1"].units, customer.purchases.orders["o1"].amount) == (2, 50_000)


def test_sums_stand_still_at_what_stores_can_hold() -> None:
    history = History()
    for _ in range(2):
        history.happens(EventKind.PRODUCT_PURCHASED, 1, "mug", amount=2**63, quantity=2, order_id="o1")
    assert history.customer.purchases.spend == history.customer.purchases.orders["o1"].amount == 2**63 - 1


def test_a_second_opinion_replaces_the_first_unless_it_is_older() -> None:
    history = History()
    for at_ms, rating in ((10, 2), (20, 5), (15, 1)):
        history.happens(EventKind.PRODUCT_REVIEWED, at_ms, "mug", rating=rating)
    assert history.customer.opinions.reviewed == {"mug": (5, 20)}
    review = history.changes.reviews[ADA, ProductId("mug")]
    assert review is not None
    assert (review.rating, review.occurred_at_ms) == (5, 20)


def test_repeats_are_told_from_news_and_the_past_is_closed() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2))
    verdicts = [history.views(at_ms) for at_ms in (10, 20, 30, 40)]  # the third and fourth evict one each
    assert verdicts == [Verdict.APPLIED] * 4
    assert history.customer.seen.floor_ms == 20
    assert history.views(20) is Verdict.TOO_OLD
    assert history.views(25) is Verdict.APPLIED
    assert history.views(50, event_id="e3") is Verdict.DUPLICATE


def test_a_repair_that_is_published_again_counts_once() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2, dedup_replays=2))
    assert [history.views(at_ms) for at_ms in range(100, 110)] == [Verdict.APPLIED] * 10
    for number, first in enumerate((Verdict.APPLIED, Verdict.DUPLICATE, Verdict.DUPLICATE)):
        assert history.views(20, event_id="repair", replayed=True) is first
        assert history.views(20, event_id="repair") is (Verdict.DUPLICATE)  # without the mark it is the same event
        assert [history.views(at_ms + 10 * number) for at_ms in range(110, 120)] == [Verdict.APPLIED] * 10


def test_of_more_repairs_than_are_remembered_none_counts_twice() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2, dedup_replays=4))
    history.views(1_000)
    repairs = [(at_ms, f"repair {at_ms}") for at_ms in range(20)]
    first = [history.views(at_ms, event_id=event_id, replayed=True) for at_ms, event_id in repairs]
    assert set(first) == {Verdict.APPLIED}
    again = [history.views(at_ms, event_id=event_id, replayed=True) for at_ms, event_id in repairs]
    assert set(again) == {Verdict.DUPLICATE, Verdict.TOO_OLD}
    assert again[-4:] == [Verdict.DUPLICATE] * 4
    assert history.customer.visits.counts == {EventKind.PRODUCT_VIEWED: 21}


def test_what_was_forwarded_is_never_too_old_and_makes_nothing_too_old() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2))
    assert [history.views(at_ms) for at_ms in (100, 110)] == [Verdict.APPLIED] * 2
    forwarded = [history.views(at_ms, forwarded=(3, at_ms)) for at_ms in range(10, 60)]
    assert forwarded == [Verdict.APPLIED] * 50
    assert history.views(105) is Verdict.APPLIED  # as if nothing had been forwarded
    assert history.views(10, forwarded=(3, 10), event_id="whatever") is Verdict.DUPLICATE
    assert history.views(10, forwarded=(4, 10)) is Verdict.APPLIED  # another partition's


def test_an_order_of_many_lines_at_one_instant_is_no_reason_to_forget_its_ids() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2, dedup_same_timestamp_max=100))
    assert [history.views(10) for _ in range(50)] == [Verdict.APPLIED] * 50
    assert [history.views(10, event_id=f"e{number}") for number in range(50)] == [Verdict.DUPLICATE] * 50


def test_no_instant_fills_the_memory_without_end() -> None:
    history = History(attrs.evolve(RULES, dedup_events=2, dedup_same_timestamp_max=10))
    verdicts = [history.views(10) for _ in range(50)]
    assert Verdict.TOO_OLD in verdicts
    assert len(history.customer.seen.entries) // 14 <= 12


def test_forgetting_reaches_to_all_that_is_erased() -> None:
    history = History()
    history.views(500)
    history.customer.forget(100, 1_000, history.changes)
    assert history.customer == Customer.forgotten(ADA, 500)
    assert history.changes.tombstones == {ADA: 500}
    assert history.changes.sessions == {}
    assert history.views(500) is Verdict.FORGOTTEN
    assert history.views(501) is Verdict.APPLIED


def test_an_event_of_a_clock_years_ahead_does_not_have_all_refused_that_follows_a_forgetting() -> None:
    history = History()
    history.views(10_000_000)
    history.customer.forget(100, 200, history.changes)
    assert history.customer.forgotten_at_ms == 200
    assert history.views(201) is Verdict.APPLIED


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(ProfileSettings)])
def test_every_limit_is_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        attrs.evolve(RULES, **{name: 0})
