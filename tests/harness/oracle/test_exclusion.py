"""The oracle, on events of bots and staff: worked out by hand."""

from harness.oracle.expected import Expected
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings
from tests.harness.support.worked_histories import ANNA, AT, CUP, HOUR, MINUTE, TEA, Line, event, expected_of, log

ANONYMOUS_CUP: Line = event("view", None, 1, "n1", product_id="cup")


def expected(exclude: Exclusion, *lines: Line) -> Expected:
    return expected_of(log(list(lines)), FoldSettings(exclude=exclude))


def test_of_staff_the_profile_alone_is_expected() -> None:
    staff = (
        event("view", "anna", 1, "a1", product_id="tea"),
        event("view", "anna", 1, "a1", product_id="tea"),
        event("purchase", "anna", 2, "a2", product_id="tea", price=2.0),
        event("review", "anna", 3, "a3", product_id="tea", rating=5),
    )
    found = expected(Exclusion(ids=("anna",)), *staff, ANONYMOUS_CUP)
    anna = found.customers[ANNA]
    assert (found.counts[RecordClass.APPLIED], found.counts[RecordClass.DUPLICATE]) == (4, 1)
    assert (anna.spend, anna.units, anna.excluded, anna.sessions_begun) == (20_000, 1, 3, 0)
    assert (anna.recent, anna.reviewed, anna.minute) == ({TEA: AT + 2 * MINUTE}, {}, None)
    assert (found.sessions, found.reviews, found.session_lists) == ({}, {}, {})
    assert (set(found.products), found.activity) == ({CUP}, {(HOUR, CUP): (1, 0, 0)})
    assert found.largest_ms == {0: AT + 3 * MINUTE}  # the shop's time is that of all


def test_of_a_minute_the_events_beyond_the_rate_are_excluded() -> None:
    minutes = (1, 1.2, 2, 1.4, 2.5, 2.9)  # 1: a, b; 2: c; then a late one of minute 1; 2: e and f, the third
    views = [event("view", "anna", minute, f"a{minute}", product_id="tea") for minute in minutes]
    found = expected(Exclusion(events_per_minute_max=2), *views)
    anna = found.customers[ANNA]
    assert (anna.excluded, anna.minute) == (1, ((AT + 2 * MINUTE) // MINUTE, 3))
    assert found.products[TEA].interactions == 5
    forgotten = event("forget", "anna", 3, "f")
    again = event("view", "anna", 4, "late", product_id="tea")
    after = expected(Exclusion(events_per_minute_max=2), *views, forgotten, again).customers[ANNA]
    assert (after.excluded, after.minute) == (0, ((AT + 4 * MINUTE) // MINUTE, 1))


def test_a_visitors_excluded_events_are_in_the_message() -> None:
    look = event("view", None, 1, "v1", "s1", product_id="tea")
    login = event("login", "anna", 2, "l1", "s1")
    found = expected(Exclusion(ids=("s1",)), look, login)
    (line,) = found.missing_messages
    assert line.startswith("profile anonymous:s1/l1 is 0 times")
    assert CustomerId("anonymous:s1") in found.visitors
    assert found.products == {}
