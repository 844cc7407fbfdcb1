"""Which events are excluded, and what they still change: worked out by hand."""

from typing import Any

import pytest

from realtime_pipeline.domain.profile.changes import APPLIED, EXCLUDED, Changes, Recorded
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.identity import detach_profile
from realtime_pipeline.domain.profile.session import session_key
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId

ADA = CustomerId("ada")
MINUTE_MS = 60_000
BOTS = Exclusion(user_agents=("Bot/", "straße"))


def view(at_ms: int = 5, **more: Any) -> Event:
    event = Event(f"e{at_ms}", EventKind.PRODUCT_VIEWED, ADA, at_ms, "s1", ProductId("mug"), "kitchen")
    return event._replace(**more)


class History:
    """A customer whose events may be excluded."""

    def __init__(self, exclude: Exclusion | None, customer_id: CustomerId = ADA) -> None:
        self.customer, self.changes, self.exclude = Customer(customer_id), Changes(), exclude
        self._position = -1

    def happens(self, event: Event) -> Recorded:
        self._position += 1
        begins = session_key(0, self._position)
        return self.customer.record(event, begins, ProfileSettings(), self.changes, self.exclude)

    def excluded(self, *times_ms: int) -> list[bool]:
        """Whether each of some views is excluded."""
        return [self.happens(view(at_ms)).excluded for at_ms in times_ms]


@pytest.mark.parametrize("agent", ["GoogleBOT/2.1", "bot/", "STRASSE 1", "a Straße"])
def test_a_user_agent_is_searched_for_each_text_whatever_its_case(agent: str) -> None:
    assert BOTS.covers(view(context={"user_agent": agent}))


@pytest.mark.parametrize("context", [{}, {"user_agent": "Mozilla/5.0"}, {"user_agent": 7}, {"agent": "Bot/1"}])
def test_other_user_agents_are_people(context: dict[str, object]) -> None:
    assert not BOTS.covers(view(context=context))


def test_staff_are_known_by_user_id_and_by_session_id() -> None:
    exclude = Exclusion(ids=("ada", "s7"))
    assert exclude.covers(view())
    assert exclude.covers(view(customer_id="bob", session_id="s7"))
    assert exclude.covers(view(customer_id="anonymous:s7", session_id="s7"))
    assert not exclude.covers(view(customer_id="bob", session_id="ada7"))
    assert not exclude.covers(view(customer_id=None, session_id=None))


def test_what_excludes_nobody_covers_nobody() -> None:
    assert Exclusion().is_empty
    assert not Exclusion().covers(view(customer_id=None, session_id=None, context={"user_agent": "Bot/"}))


@pytest.mark.parametrize("texts", [("",), ("bot", "  "), ("x" * 201,), ("a\nb",), tuple(map(str, range(501)))])
def test_a_text_that_would_exclude_everybody_or_nobody_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^user_agents"):
        Exclusion(user_agents=texts)


@pytest.mark.parametrize("ids", [("",), ("x" * 129,), tuple(map(str, range(10_001)))])
def test_ids_have_limits(ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^ids"):
        Exclusion(ids=ids)


@pytest.mark.parametrize("wrong", ["bot", (7,)])
def test_a_text_is_not_taken_for_its_letters(wrong: Any) -> None:
    with pytest.raises(TypeError, match="user_agents must be a list of texts"):
        Exclusion(user_agents=wrong)


@pytest.mark.parametrize("number", [-1, 1.5, True])
def test_a_rate_is_a_whole_number(number: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="events_per_minute_max"):
        Exclusion(events_per_minute_max=number)


def test_an_excluded_view_counts_for_the_profile_and_joins_no_session() -> None:
    history = History(Exclusion(ids=("ada",)))
    assert history.happens(view(context={"country": "DE"})) is EXCLUDED
    visits = history.customer.visits
    assert (visits.counts, visits.excluded, visits.country) == ({EventKind.PRODUCT_VIEWED: 1}, 1, ("DE", 5))
    assert (visits.first_seen_ms, visits.last_seen_ms) == (5, 5)
    assert history.customer.interests.recent == {"mug": 5}
    assert history.customer.interests.affinity.keys() == {"kitchen"}
    assert (visits.sessions_begun, visits.open_sessions, history.changes.sessions) == (0, [], {})


def test_an_excluded_purchase_and_its_refund_are_in_the_profile() -> None:
    history = History(Exclusion(ids=("ada",)))
    bought = view(1, kind=EventKind.PRODUCT_PURCHASED, amount=50_000, quantity=2)
    assert history.happens(bought) is EXCLUDED
    assert history.happens(view(2, kind=EventKind.PURCHASE_CANCELLED, amount=25_000)) is EXCLUDED
    purchases = history.customer.purchases
    assert (purchases.spend, purchases.units, purchases.bought) == (25_000, 1, {"mug": 2})


@pytest.mark.parametrize("kind", [EventKind.PRODUCT_UNCARTED, EventKind.custom("video_play")])
def test_other_kinds_are_excluded_too(kind: EventKind) -> None:
    history = History(Exclusion(ids=("ada",)))
    assert history.happens(view(kind=kind)) is EXCLUDED
    assert history.customer.visits.open_sessions == []


def test_an_excluded_list_is_shown() -> None:
    history = History(Exclusion(ids=("ada",)))
    shown = view(kind=EventKind.RECOMMENDATIONS_SHOWN, product_id=None, shown=(ProductId("mug"),))
    assert history.happens(shown) is EXCLUDED
    assert history.customer.exposures.shown == {"mug": (1, 5)}


def test_an_excluded_review_is_no_opinion() -> None:
    history = History(Exclusion(ids=("ada",)))
    recorded = history.happens(view(kind=EventKind.PRODUCT_REVIEWED, rating=1))
    assert (recorded, recorded.ratings) == (EXCLUDED, 0)
    assert (history.customer.opinions.reviewed, history.changes.reviews) == ({}, {})


def test_of_a_minute_the_events_beyond_the_limit_are_excluded() -> None:
    history = History(Exclusion(events_per_minute_max=2))
    assert history.excluded(1, 2, 3, 59_999) == [False, False, True, True]
    assert history.excluded(MINUTE_MS, MINUTE_MS + 1, MINUTE_MS + 2) == [False, False, True]
    assert history.customer.visits.minute == (1, 3)
    assert history.customer.visits.excluded == 3


def test_an_event_of_an_older_minute_is_not_judged_by_the_rate() -> None:
    history = History(Exclusion(events_per_minute_max=1))
    assert history.excluded(MINUTE_MS, 1, 2, 3, MINUTE_MS + 1) == [False, False, False, False, True]
    assert history.customer.visits.minute == (1, 2)


def test_repeats_are_no_events_of_the_minute() -> None:
    history = History(Exclusion(events_per_minute_max=2))
    history.happens(view(1))
    assert [history.happens(view(1)).verdict for _ in range(5)] == [Verdict.DUPLICATE] * 5
    assert history.excluded(2, 3) == [False, True]


def test_without_a_limit_no_minute_is_kept() -> None:
    for exclude in (None, BOTS):
        history = History(exclude)
        assert history.happens(view()).session is not None
        assert history.customer.visits.minute is None
    assert History(BOTS).happens(view(kind=EventKind.PURCHASE_CANCELLED)) is APPLIED


def test_what_a_visitors_excluded_events_added_is_kept_apart() -> None:
    visitor = CustomerId("anonymous:s1")
    history = History(BOTS, visitor)
    history.happens(view(1, customer_id=visitor, context={"user_agent": "Bot/1"}))
    history.happens(view(2, customer_id=visitor))
    aliases = history.customer.aliases
    assert [event.at_ms for event in aliases.excluded_contributions] == [1]
    assert [event.at_ms for event in aliases.contributions] == [2]


def test_the_minute_of_a_visitor_who_signs_in_ends() -> None:
    visitor = CustomerId("anonymous:s1")
    history = History(Exclusion(events_per_minute_max=1), visitor)
    history.excluded(1, 2)
    profile = detach_profile(history.customer, ADA, ProfileSettings(), history.changes)
    assert (profile.visits.excluded, profile.visits.minute) == (1, None)
    assert (history.customer.visits.excluded, history.customer.visits.minute) == (0, None)
