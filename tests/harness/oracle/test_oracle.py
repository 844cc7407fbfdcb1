"""The oracle, on histories worked out by hand."""

from hashlib import blake2b

import attrs

from harness.checking.stores import summary_of
from harness.oracle.deduplication import ExpectedSeenEvents
from harness.oracle.expected import Expected, expect
from harness.oracle.profile import ExpectedCustomer
from harness.oracle.sessions import ExpectedSession
from harness.oracle.views import ExpectedProduct
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.events import encode_event
from tests.harness.support.worked_histories import (
    ANNA,
    AT,
    BOB,
    CLEO,
    CUP,
    HOUR,
    MINUTE,
    RULES,
    SCHEMA,
    TEA,
    Line,
    anna,
    event,
    expected_of,
    log,
    small_shop,
)


def test_every_record_has_its_class(expected: Expected) -> None:
    assert expected.counts == {
        RecordClass.APPLIED: 15,
        RecordClass.DUPLICATE: 1,
        RecordClass.IGNORED: 1,
        RecordClass.FORGOTTEN: 1,
        RecordClass.FORWARDED: 0,
        RecordClass.DEAD_LETTER: 3,
        RecordClass.CONTROL: 1,
    }
    assert expected.dead_letters == [(1, 9, "unreadable"), (1, 11, "misrouted"), (1, 12, "in_the_future")]


def test_a_profile_sums_up_its_events(expected: Expected) -> None:
    known = expected.customers[ANNA]
    events = ((AT - MINUTE, "a4"), (AT, "a1"), (AT + MINUTE, "a2"), (AT + 2 * MINUTE, "a3"), (AT + 60 * MINUTE, "a5"))
    reviews = ((AT + 90 * MINUTE, "a8"), (AT + 120 * MINUTE, "a6"), (AT + 180 * MINUTE, "a7"))
    assert known.seen.own_ids == {
        (at_ms, blake2b(id_.encode(), digest_size=8).hexdigest()) for at_ms, id_ in (*events, *reviews)
    }
    assert attrs.evolve(known, seen=ExpectedSeenEvents()) == ExpectedCustomer(
        ANNA,
        counts={
            EventKind.PRODUCT_VIEWED: 2,
            EventKind.PRODUCT_CARTED: 1,
            EventKind.PRODUCT_PURCHASED: 1,
            EventKind.PURCHASE_CANCELLED: 1,
            EventKind.PRODUCT_REVIEWED: 3,
        },
        spend=40_000,
        units=1,
        orders_placed=1,
        sessions_begun=1,
        first_seen_ms=AT - MINUTE,
        last_seen_ms=AT + 180 * MINUTE,
        country=None,
        # A view two minutes old, a cart of a minute ago and a purchase, halved each minute: 0.25 + 1.5 + 5.
        affinity={"drinks": (6.75, AT + 2 * MINUTE), "ware": (1.0, AT - MINUTE)},
        recent={TEA: AT + 2 * MINUTE, CUP: AT - MINUTE},
        purchases={TEA: (1, AT + 60 * MINUTE)},
        shown={},
        orders={"o1": (AT + 2 * MINUTE, 1, 40_000)},
        reviewed={TEA: (5, AT + 180 * MINUTE)},
        open_sessions=[SessionKey(1)],
        closed_sessions=[],
        forgotten_at_ms=-1,
    )


def test_a_forgotten_customer_starts_again_at_zero(expected: Expected) -> None:
    bob = expected.customers[BOB]
    assert bob.counts == {EventKind.PRODUCT_VIEWED: 1}
    assert (bob.spend, bob.orders_placed, bob.sessions_begun, bob.orders) == (0, 0, 1, {})
    assert (bob.first_seen_ms, bob.forgotten_at_ms) == (AT + 40 * MINUTE, AT + 30 * MINUTE)
    assert expected.forgotten == {CLEO: AT + 6 * MINUTE}
    assert expected.customers.keys() == {ANNA, BOB}


def test_a_forgetting_covers_times_up_to_the_newest_event_it_erases() -> None:
    lines = [*views((1, "a"), (9, "b")), event("forget", "anna", 5, "f"), *views((9, "b"), (10, "c"))]
    expected, customer = anna(lines)
    assert (expected.counts[RecordClass.FORGOTTEN], customer.counts) == (1, {EventKind.PRODUCT_VIEWED: 1})
    assert customer.forgotten_at_ms == AT + 9 * MINUTE


def test_sessions_hold_what_was_done_in_them(expected: Expected) -> None:
    cup = {CUP: (AT + 40 * MINUTE, 1)}
    assert expected.sessions == {
        1: ExpectedSession(
            SessionKey(1), "s1", AT - MINUTE, AT + 2 * MINUTE, 4, {TEA: (AT + 2 * MINUTE, 5), CUP: (AT - MINUTE, 1)}
        ),
        16_384: ExpectedSession(SessionKey(16_384), None, AT + 40 * MINUTE, AT + 40 * MINUTE, 1, cup),
    }
    assert expected.sessions_erased == {0, 20_480}


def test_products_sum_up_the_events_of_all_customers(expected: Expected) -> None:
    assert expected.products == {
        TEA: ExpectedProduct(5, 1, 5, ("Tea", AT), ("drinks", AT + 2 * MINUTE), (40_000, AT + 2 * MINUTE)),
        CUP: ExpectedProduct(4, 0, 0, None, ("ware", AT - MINUTE), (30_000, AT + 20 * MINUTE)),
    }
    assert expected.activity == {
        (HOUR, TEA): (3, 1, 1),
        (HOUR + 1, TEA): (0, 0, -1),
        (HOUR - 1, CUP): (1, 0, 0),
        (HOUR, CUP): (2, 0, 1),
    }
    assert expected.session_lists == {
        TEA: [(AT + 5 * MINUTE, 20_480), (AT + 2 * MINUTE, 1), (AT + MINUTE, 0)],
        CUP: [(AT + 40 * MINUTE, 16_384), (AT + 20 * MINUTE, 0), (AT - MINUTE, 1)],
    }
    assert expected.reviews == {(ANNA, TEA): (5, "better", AT + 180 * MINUTE)}
    assert expected.newest_ms == {0: AT + 20 * MINUTE, 1: AT + 120 * MINUTE}
    assert expected.largest_ms == {0: AT + 40 * MINUTE, 1: AT + 180 * MINUTE}
    assert summary_of(expected) == "2 customers, 2 sessions, 2 products, 22 records"


def test_partitions_may_come_interleaved(expected: Expected) -> None:
    first, second = small_shop()
    mixed = [record for pair in zip(second, first, strict=False) for record in pair] + second[len(first) :]
    assert expect(mixed, SCHEMA, RULES, 2) == expected


def views(*minutes_and_ids: tuple[float, str]) -> list[Line]:
    return [event("view", "anna", minute, id_, product_id="tea") for minute, id_ in minutes_and_ids]


def test_the_oldest_ids_are_evicted() -> None:
    lines = views((1, "a"), (2, "b"), (3, "c"), (4, "d"), (2, "new"), (1, "a"), (3, "c"), (2.5, "late"))
    expected, customer = anna(lines, dedup_events=2)
    assert customer.seen.floor_ms == AT + 150_000  # the late event is the oldest of three
    assert expected.dead_letters == [(0, 4, "too_old"), (0, 5, "too_old")]
    assert (expected.counts[RecordClass.DUPLICATE], customer.counts) == (1, {EventKind.PRODUCT_VIEWED: 5})


def test_ids_of_the_same_time_are_kept_together() -> None:
    lines = views((1, "a"), (5, "b"), (5, "c"), (5, "d"), (5, "e"), (5, "b"), (1, "f"))
    expected, customer = anna(lines, dedup_events=2)
    assert customer.seen.floor_ms == AT + MINUTE
    assert (expected.counts[RecordClass.DUPLICATE], expected.dead_letters) == (1, [(0, 6, "too_old")])


def test_ids_of_the_same_time_have_a_limit() -> None:
    _, customer = anna(views((1, "a"), (5, "b"), (5, "c"), (5, "d")), dedup_events=2, dedup_same_timestamp_max=2)
    assert customer.seen.floor_ms == AT + 5 * MINUTE


def test_a_replayed_event_counts_however_old() -> None:
    forced = {"event_type": "view", "user_id": "anna", "event_id": "r", "timestamp": AT + MINUTE, "replayed": True}
    lines = [*views((1, "a"), (2, "b"), (3, "c"), (4, "d")), (None, encode_event(forced))]
    expected, _ = anna(lines, dedup_events=2)
    assert expected.counts[RecordClass.APPLIED] == 5


def test_sessions_close_when_others_begin_and_are_evicted() -> None:
    lines = [event("view", "anna", minute, f"e{minute}", f"s{minute}", product_id="tea") for minute in range(6)]
    late = event("view", "anna", 2, "late", "s2", product_id="tea")
    expected, customer = anna([*lines, late], closed_sessions_max=2, open_sessions_max=2)
    assert (customer.sessions_begun, customer.open_sessions) == (7, [5 * 4096, 6 * 4096])
    assert customer.closed_sessions == [3 * 4096, 4 * 4096]
    assert expected.sessions_erased == {0, 4096, 2 * 4096}
    assert len(expected.session_lists[TEA]) == 7


def test_sessions_of_different_ids_stay_open_together_and_idle_sessions_close() -> None:
    tabs = [event("view", "anna", at, f"e{at}", f"s{at % 3}", product_id="tea") for at in range(9)]
    later = [event("view", "anna", 100 + at, f"l{at}", f"t{at}", product_id="tea") for at in range(2)]
    _, customer = anna([*tabs, *later])
    assert customer.sessions_begun == 5
    assert customer.open_sessions == [2 * 4096, 9 * 4096, 10 * 4096]  # of the idle sessions, the one touched last
    assert customer.closed_sessions == [0, 4096]


def test_a_session_without_an_id_reaches_over_gaps_both_ways() -> None:
    _, customer = anna(views((60, "a"), (30, "b"), (90, "c"), (121, "d")))
    assert (customer.sessions_begun, customer.open_sessions) == (2, [0, 3 * 4096])


def test_lists_keep_what_was_touched_last() -> None:
    looked_at = [("p1", 1), ("p2", 2), ("p3", 3), ("p1", 4)]
    lines = [event("cart", "anna", minute, f"e{minute}", product_id=id_) for id_, minute in looked_at]
    lines.append(event("view", "anna", 5, "last", product_id="p2"))
    expected, customer = anna(lines, recent_products_max=2, session_products_max=2)
    assert customer.recent == {"p1": AT + 4 * MINUTE, "p2": AT + 5 * MINUTE}
    # p2 had left the session before it was looked at again, and with it that it had been in the cart.
    assert expected.sessions[SessionKey(0)].products == {
        "p1": (AT + 4 * MINUTE, 3),
        "p2": (AT + 5 * MINUTE, 1),
    }


def test_the_weakest_category_is_evicted() -> None:
    views_of = [("a", 0), ("b", 1), ("b", 2), ("c", 3), ("a", 4)]
    lines = [event("view", "anna", minute, f"e{minute}", category=name) for name, minute in views_of]
    _, customer = anna(lines, categories_max=2, affinity_half_life_ms=MINUTE)
    # At minute 3: a 0.125, b 1.5 halved, c 1: a leaves. At minute 4: b 0.375, c 0.5, a 1: b leaves.
    assert customer.affinity == {"c": (1.0, AT + 3 * MINUTE), "a": (1.0, AT + 4 * MINUTE)}


def test_an_evicted_order_or_review_counts_again() -> None:
    lines = [event("purchase", "anna", at, f"o{at}", order_id=id_, price=1) for at, id_ in enumerate("xyzx")]
    lines.append(event("cancellation", "anna", 9, "c", order_id="y", price=1))
    lines += [
        event("review", "anna", 20 + at, f"r{at}", product_id=id_, rating=at + 1) for at, id_ in enumerate("xyzx")
    ]
    expected, customer = anna(lines, orders_max=2, reviews_max=2)
    assert (customer.orders_placed, customer.spend, customer.units) == (4, 30_000, 3)
    assert customer.orders == {"x": (AT + 3 * MINUTE, 1, 10_000), "y": (None, -1, -10_000)}
    assert list(customer.reviewed) == ["z", "x"]
    ratings = {id_: (product.ratings, product.rating_sum) for id_, product in expected.products.items()}
    assert ratings == {"x": (2, 5), "y": (1, 2), "z": (1, 3)}
    assert expected.reviews.keys() == {(ANNA, "z"), (ANNA, "x")}


def test_a_forgetting_adds_nothing_to_the_product_that_it_names() -> None:
    expected = expected_of(log([event("forget", "anna", 0, "f", product_id="tea")]))
    assert (expected.products, expected.activity) == ({}, {})
