"""The oracle against histories worked out by hand, and the comparison against stores with something wrong in them."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from harness.check import compared, differences
from harness.oracle import Expected, ExpectedProduct, expect
from harness.oracle_customer import ExpectedCustomer
from harness.oracle_sessions import ExpectedSession
from harness.shop import Shop
from realtime_pipeline.application.publish_events import Submission
from realtime_pipeline.domain.shop.customer import ProfileRules
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId
from realtime_pipeline.domain.shop.session import SessionKey
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.rules import FoldRules
from realtime_pipeline.infrastructure.codecs.events import TICK_KEY, EventDecoder, EventLimits, encode_event
from realtime_pipeline.pipeline import Pipeline
from realtime_pipeline.settings import Settings, StoreRules

HOUR = 472_222
AT = HOUR * 3_600_000
MINUTE = 60_000
APPENDED = AT + 10 * 86_400_000
ANNA, BOB, CLEO = CustomerId("anna"), CustomerId("bob"), CustomerId("cleo")
TEA, CUP = ProductId("tea"), ProductId("cup")
RULES = FoldRules(profile=ProfileRules(affinity_half_life_ms=MINUTE))

Line = tuple[bytes | None, bytes]


def event(
    kind: str, user: str | None, minute: float, id_: str, session: str | None = None, **properties: object
) -> Line:
    document: dict[str, object] = {"event_type": kind, "timestamp": AT + int(minute * MINUTE), "event_id": id_}
    document |= {} if user is None else {"user_id": user}
    document |= {} if session is None else {"session_id": session}
    return None, encode_event({**document, "properties": properties})


def log(*partitions: list[Line]) -> list[list[Record]]:
    return [
        [Record(partition, position, key, value, APPENDED) for position, (key, value) in enumerate(lines)]
        for partition, lines in enumerate(partitions)
    ]


def expected_of(partitions: list[list[Record]], rules: FoldRules = RULES) -> Expected:
    records = [record for records in partitions for record in records]
    return expect(records, EventDecoder(EventLimits(), {}), rules, len(partitions))


def anna(lines: list[Line], **profile: int) -> tuple[Expected, ExpectedCustomer]:
    expected = expected_of(log(lines), FoldRules(profile=ProfileRules(**profile)))
    return expected, expected.customers[ANNA]


def small_shop() -> list[list[Record]]:
    """Everything that can happen to a record, once. CRC-32 puts bob and cleo into partition 0 of 2, anna into 1."""
    tea = {"product_id": "tea", "category": "drinks", "price": 4.0}
    return log(
        [
            event("view", "bob", 1, "b1", product_id="tea"),
            event("purchase", "bob", 20, "b2", product_id="cup", price=3.0),
            event("forget", "bob", 30, "b3"),
            event("view", "bob", 25, "b4", product_id="tea"),
            event("view", "bob", 40, "b5", product_id="cup"),
            event("view", "cleo", 5, "c1", product_id="tea"),
            event("forget", "cleo", 6, "c2"),
        ],
        [
            event("view", "anna", 0, "a1", "s1", **tea, name="Tea"),
            event("cart", "anna", 1, "a2", "s1", **tea),
            event("purchase", "anna", 2, "a3", "s1", **tea, quantity=2, order_id="o1"),
            event("purchase", "anna", 2, "a3", "s1", **tea, quantity=2, order_id="o1"),
            event("view", "anna", -1, "a4", "s1", product_id="cup", category="ware"),
            event("cancellation", "anna", 60, "a5", product_id="tea", price=4.0, order_id="o1"),
            event("review", "anna", 120, "a6", product_id="tea", rating=2, text="weak"),
            event("review", "anna", 180, "a7", product_id="tea", rating=5, text="better"),
            event("review", "anna", 90, "a8", product_id="tea", rating=1, text="too late"),
            (None, b"garbage"),
            event("zoom", "anna", 3, "a9"),
            event("view", "bob", 3, "b6", product_id="tea"),
            event("view", "anna", 10 * 24 * 60 + 6, "a10", product_id="tea"),
            (TICK_KEY, b""),
            event("view", None, 10, "n1", product_id="cup"),
        ],
    )


@pytest.fixture(scope="module")
def expected() -> Expected:
    return expected_of(small_shop())


def test_every_record_is_in_the_class_it_belongs_to(expected: Expected) -> None:
    assert expected.counts == {
        RecordClass.APPLIED: 15,
        RecordClass.DUPLICATE: 1,
        RecordClass.IGNORED: 1,
        RecordClass.FORGOTTEN: 1,
        RecordClass.DEAD_LETTER: 3,
        RecordClass.CONTROL: 1,
    }
    assert expected.dead_letters == [(1, 9, "not_json"), (1, 11, "misrouted"), (1, 12, "in_the_future")]


def test_a_profile_is_what_its_events_come_to(expected: Expected) -> None:
    assert expected.customers[ANNA] == ExpectedCustomer(
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
        # A view two minutes old, a cart of a minute ago and a purchase, halved each minute: 0.25 + 1.5 + 5.
        affinity={"drinks": (6.75, AT + 2 * MINUTE), "ware": (1.0, AT - MINUTE)},
        recent={TEA: AT + 2 * MINUTE, CUP: AT - MINUTE},
        orders={"o1": (AT + 2 * MINUTE, 1, 40_000)},
        reviewed={TEA: (5, AT + 180 * MINUTE)},
        open_sessions=[SessionKey(1)],
        closed_sessions=[],
        memory_floor_ms=-1,
        forgotten_at_ms=-1,
    )


def test_who_comes_back_after_being_forgotten_begins_anew(expected: Expected) -> None:
    bob = expected.customers[BOB]
    assert bob.counts == {EventKind.PRODUCT_VIEWED: 1}
    assert (bob.spend, bob.orders_placed, bob.sessions_begun, bob.orders) == (0, 0, 1, {})
    assert (bob.first_seen_ms, bob.forgotten_at_ms) == (AT + 40 * MINUTE, AT + 30 * MINUTE)
    assert expected.forgotten == {CLEO: AT + 6 * MINUTE}
    assert expected.customers.keys() == {ANNA, BOB}


def test_forgetting_reaches_to_the_newest_event_it_erases() -> None:
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
    assert expected.sessions_gone == {0, 20_480}


def test_what_everybody_does_adds_up(expected: Expected) -> None:
    assert expected.products == {
        TEA: ExpectedProduct(5, 1, 5, "Tea", "drinks", 40_000),
        CUP: ExpectedProduct(4, 0, 0, None, "ware", 30_000),
    }
    assert expected.activity == {
        (HOUR, TEA): (3, 1, 1),
        (HOUR + 1, TEA): (0, 0, -1),
        (HOUR - 1, CUP): (1, 0, 0),
        (HOUR, CUP): (2, 0, 1),
    }
    assert expected.lists == {
        TEA: [(AT + 5 * MINUTE, 20_480), (AT + 2 * MINUTE, 1), (AT + MINUTE, 0)],
        CUP: [(AT + 40 * MINUTE, 16_384), (AT + 20 * MINUTE, 0), (AT - MINUTE, 1)],
    }
    assert expected.reviews == {(ANNA, TEA): (5, "better", AT + 180 * MINUTE)}
    assert expected.newest_ms == {0: AT + 40 * MINUTE, 1: AT + 180 * MINUTE}
    assert compared(expected) == "2 customers, 2 sessions, 2 products, 22 records"


def test_partitions_may_come_interleaved(expected: Expected) -> None:
    first, second = small_shop()
    mixed = [record for pair in zip(second, first, strict=False) for record in pair] + second[len(first) :]
    assert expect(mixed, EventDecoder(EventLimits(), {}), RULES, 2) == expected


def views(*minutes_and_ids: tuple[float, str]) -> list[Line]:
    return [event("view", "anna", minute, id_, product_id="tea") for minute, id_ in minutes_and_ids]


def test_the_memory_is_cut_back_to_the_newest_at_twice_what_it_keeps() -> None:
    lines = views((1, "a"), (2, "b"), (3, "c"), (4, "d"), (2, "new"), (1, "a"), (3, "c"), (2.5, "late"))
    expected, customer = anna(lines, remembered_events=2)
    assert customer.memory_floor_ms == AT + 2 * MINUTE
    assert expected.dead_letters == [(0, 4, "too_old"), (0, 5, "too_old")]
    assert (expected.counts[RecordClass.DUPLICATE], customer.counts) == (1, {EventKind.PRODUCT_VIEWED: 5})


def test_the_memory_keeps_an_instant_together() -> None:
    lines = views((1, "a"), (5, "b"), (5, "c"), (5, "d"), (5, "e"), (5, "b"), (1, "f"))
    expected, customer = anna(lines, remembered_events=2)
    assert customer.memory_floor_ms == AT + MINUTE
    assert (expected.counts[RecordClass.DUPLICATE], expected.dead_letters) == (1, [(0, 6, "too_old")])


def test_the_memory_keeps_no_more_of_an_instant_than_it_may() -> None:
    _, customer = anna(views((1, "a"), (5, "b"), (5, "c"), (5, "d")), remembered_events=2, remembered_instant_max=2)
    assert customer.memory_floor_ms == AT + 5 * MINUTE


def test_what_is_replayed_by_force_counts_however_old() -> None:
    forced = {"event_type": "view", "user_id": "anna", "event_id": "r", "timestamp": AT + MINUTE, "replayed": True}
    lines = [*views((1, "a"), (2, "b"), (3, "c"), (4, "d")), (None, encode_event(forced))]
    expected, _ = anna(lines, remembered_events=2)
    assert expected.counts[RecordClass.APPLIED] == 5


def test_sessions_close_when_others_begin_and_are_dropped_in_their_turn() -> None:
    lines = [event("view", "anna", minute, f"e{minute}", f"s{minute}", product_id="tea") for minute in range(6)]
    late = event("view", "anna", 2, "late", "s2", product_id="tea")
    expected, customer = anna([*lines, late], closed_sessions_max=2)
    assert (customer.sessions_begun, customer.open_sessions) == (7, [5 * 4096, 6 * 4096])
    assert customer.closed_sessions == [3 * 4096, 4 * 4096]
    assert expected.sessions_gone == {0, 4096, 2 * 4096}
    assert len(expected.lists[TEA]) == 7


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


def test_the_weakest_category_leaves() -> None:
    said = [("a", 0), ("b", 1), ("b", 2), ("c", 3), ("a", 4)]
    lines = [event("view", "anna", minute, f"e{minute}", category=name) for name, minute in said]
    _, customer = anna(lines, categories_max=2, affinity_half_life_ms=MINUTE)
    # At minute 3: a 0.125, b 1.5 halved, c 1: a leaves. At minute 4: b 0.375, c 0.5, a 1: b leaves.
    assert customer.affinity == {"c": (1.0, AT + 3 * MINUTE), "a": (1.0, AT + 4 * MINUTE)}


def test_an_order_or_a_review_that_is_no_longer_known_counts_anew() -> None:
    lines = [event("purchase", "anna", at, f"o{at}", order_id=id_, price=1) for at, id_ in enumerate("xyzx")]
    lines.append(event("cancellation", "anna", 9, "c", order_id="y", price=1))
    lines += [
        event("review", "anna", 20 + at, f"r{at}", product_id=id_, rating=at + 1) for at, id_ in enumerate("xyzx")
    ]
    expected, customer = anna(lines, orders_max=2, reviews_max=2)
    assert (customer.orders_placed, customer.spend, customer.units) == (4, 30_000, 3)
    assert customer.orders == {"z": (AT + 2 * MINUTE, 1, 10_000), "x": (AT + 3 * MINUTE, 1, 10_000)}
    assert list(customer.reviewed) == ["z", "x"]
    ratings = {id_: (product.ratings, product.rating_sum) for id_, product in expected.products.items()}
    assert ratings == {"x": (2, 5), "y": (1, 2), "z": (1, 3)}
    assert expected.reviews.keys() == {(ANNA, "z"), (ANNA, "x")}


def test_forgetting_adds_nothing_to_the_product_it_happens_to_name() -> None:
    expected = expected_of(log([event("forget", "anna", 0, "f", product_id="tea")]))
    assert (expected.products, expected.activity) == ({}, {})


def store_of(partitions: list[list[Record]], settings: Settings) -> Pipeline:
    pipeline = Pipeline(settings)
    for kept, records in zip(pipeline.container.memory_log().records, partitions, strict=True):
        kept.extend(records)
    pipeline.process()
    return pipeline


def found_in(pipeline: Pipeline, expected: Expected, limit: int = 1_000) -> list[str]:
    container, stores = pipeline.container, pipeline.container.settings().stores
    return differences(
        expected,
        container.cells(),
        container.views(),
        container.outputs(),
        stores.session_keep_ms,
        stores.listed_sessions_max,
        limit,
    )


@pytest.fixture(scope="module")
def store() -> Pipeline:
    return store_of(small_shop(), Settings(log="memory", store="memory", partitions=2, fold=RULES))


def test_a_store_of_the_same_log_does_not_differ(store: Pipeline, expected: Expected) -> None:
    assert found_in(store, expected) == []


def of_anna(**changed: Any) -> Callable[[Expected], Expected]:
    def change(right: Expected) -> Expected:
        return attrs.evolve(right, customers={**right.customers, ANNA: attrs.evolve(right.customers[ANNA], **changed)})

    return change


def of_session(**changed: Any) -> Callable[[Expected], Expected]:
    def change(right: Expected) -> Expected:
        session = attrs.evolve(right.sessions[SessionKey(1)], **changed)
        return attrs.evolve(right, sessions={**right.sessions, session.key: session})

    return change


def of_tea(**changed: Any) -> Callable[[Expected], Expected]:
    def change(right: Expected) -> Expected:
        return attrs.evolve(right, products={**right.products, TEA: attrs.evolve(right.products[TEA], **changed)})

    return change


def whole(**changed: Any) -> Callable[[Expected], Expected]:
    return lambda right: attrs.evolve(right, **changed)


PLANTED: list[tuple[Callable[[Expected], Expected], str]] = [
    (whole(counts={}), "the count of applied is 15, should be 0"),
    (whole(customers={}), "customer anna: is in the store, and should not be"),
    (
        lambda right: whole(customers={**right.customers, CLEO: right.customers[BOB]})(right),
        "customer cleo: is missing",
    ),
    (of_anna(counts={EventKind.PRODUCT_VIEWED: 3}), "customer anna: counts of product_viewed is 2, should be 3"),
    (of_anna(spend=125_000), "customer anna: spend is 4.00, should be 12.50"),
    (of_anna(units=2), "customer anna: units is 1, should be 2"),
    (of_anna(orders_placed=0), "customer anna: orders_placed is 1, should be 0"),
    (of_anna(sessions_begun=2), "customer anna: sessions_begun is 1, should be 2"),
    (of_anna(first_seen_ms=1), f"customer anna: first_seen_ms is {AT - MINUTE}, should be 1"),
    (of_anna(last_seen_ms=1), f"customer anna: last_seen_ms is {AT + 180 * MINUTE}, should be 1"),
    (
        of_anna(affinity={"drinks": (6.75000001, AT + 2 * MINUTE), "ware": (1.0, AT - MINUTE)}),
        f"customer anna: affinity of drinks is (6.75, {AT + 2 * MINUTE}), should be (6.75000001, {AT + 2 * MINUTE})",
    ),
    (of_anna(recent={}), f"customer anna: recent of tea is {AT + 2 * MINUTE}, should not be there"),
    (of_anna(orders={"o2": (1, 1, 1)}), "customer anna: orders of o2 is missing, should be (1, 1, 1)"),
    (of_anna(reviewed={}), f"customer anna: reviewed of tea is (5, {AT + 180 * MINUTE}), should not be there"),
    (of_anna(open_sessions=[]), "customer anna: open_sessions is [1], should be []"),
    (of_anna(closed_sessions=[7]), "customer anna: closed_sessions is [], should be [7]"),
    (of_anna(memory_floor_ms=0), "customer anna: the memory's floor_ms is -1, should be 0"),
    (of_anna(forgotten_at_ms=5), "customer anna: forgotten_at_ms is -1, should be 5"),
    (of_session(events=5), "customer anna: session 1's events is 4, should be 5"),
    (of_session(events=5), "session 1's events is 4, should be 5"),
    (of_session(session_id=None), "session 1's session_id is 's1', should be None"),
    (of_session(products={}), f"session 1's products of cup is ({AT - MINUTE}, 1), should not be there"),
    (of_session(last_at_ms=0), "session 1: is in the store, and should have expired"),
    (
        lambda right: whole(sessions={**right.sessions, 4097: right.sessions[SessionKey(1)]})(right),
        "session 4097: is missing",
    ),
    (
        whole(customers={}, sessions={}, sessions_gone={16_384}),
        "session 16384: is in the store, and should be gone",
    ),
    (whole(forgotten={BOB: 1}), "customer bob: can be read, and should be forgotten"),
    (whole(forgotten={ANNA: 1}), "customer anna: has reviews, and should be forgotten"),
    (whole(forgotten={CLEO: 1}), "customer cleo: is loaded as Customer(customer_id='cleo'"),
    (whole(reviews={(ANNA, TEA): (5, "worse", AT)}), "customer anna: review of tea is (5, 'better'"),
    (whole(reviews={}), "customer anna: review of tea is (5, 'better'"),
    (of_tea(interactions=6), "product tea's interactions is 5, should be 6"),
    (of_tea(interactions=6), "interactions is 9, should be 10"),
    (of_tea(ratings=2), "product tea's ratings is 1, should be 2"),
    (of_tea(rating_sum=4), "product tea's rating_sum is 5, should be 4"),
    (of_tea(rating_sum=4), "top rated with 5.0 average ratings: (average, ratings) of tea is (5.0, 1)"),
    (of_tea(name=None), "product tea's name is 'Tea', should be None"),
    (of_tea(category="food"), "product tea's category is 'drinks', should be 'food'"),
    (of_tea(category="food"), "trending in food: how many there are is 0, should be 1"),
    (of_tea(price=1), "product tea's price is 40000, should be 1"),
    (whole(products={}), "product tea: is in the store, and should not be"),
    (lambda right: whole(products={**right.products, "x": right.products[TEA]})(right), "product x: is missing"),
    (lambda right: whole(activity={**right.activity, (HOUR, TEA): (3, 1, 2)})(right), "trending: number 1 is ('cup'"),
    (
        lambda right: whole(activity={**right.activity, (HOUR, CUP): (3, 0, 1)})(right),
        "trending in ware: number 1 is ('cup'",
    ),
    (lambda right: whole(activity={**right.activity, (HOUR, TEA): (3, 0, 1)})(right), "trending by carts: how many"),
    (whole(lists={}), "product tea: its list of sessions is 3 long, should be 0"),
    (lambda right: whole(lists={**right.lists, TEA: [(1, 1)] * 3})(right), "sessions is another from entry 1 on"),
    (whole(newest_ms={0: AT + 40 * MINUTE, 1: AT}), f"newest_ms of 1 is {AT + 180 * MINUTE}, should be {AT}"),
    (whole(dead_letters=[(1, 9, "not_json")]), "dead letter of (1, 11) is 'misrouted', should not be there"),
    (whole(dead_letters=[(0, 0, "too_old")]), "dead letter of (0, 0) is missing, should be 'too_old'"),
]


@pytest.mark.parametrize(("change", "line"), PLANTED, ids=[line for _, line in PLANTED])
def test_a_planted_difference_is_found(
    store: Pipeline, expected: Expected, change: Callable[[Expected], Expected], line: str
) -> None:
    assert any(line in found for found in found_in(store, change(expected)))


def test_a_store_of_another_log_differs_where_the_logs_do(store: Pipeline) -> None:
    other = small_shop()
    other[1][2] = attrs.evolve(other[1][2], value=other[1][2].value.replace(b'"quantity":2', b'"quantity":3'))
    assert found_in(store, expected_of(other)) == [
        "customer anna: spend is 4.00, should be 8.00",
        "customer anna: units is 1, should be 2",
        f"customer anna: orders of o1 is ({AT + 2 * MINUTE}, 1, 40000), should be ({AT + 2 * MINUTE}, 2, 80000)",
    ]


def test_only_the_first_differences_are_listed(store: Pipeline) -> None:
    lines = found_in(store, expected_of(log([], [])), limit=3)
    assert len(lines) == 4
    assert lines[-1].startswith("and ")
    assert lines[-1].endswith(" more differences")


TIGHT = ProfileRules(
    open_sessions_max=2,
    closed_sessions_max=3,
    session_products_max=3,
    recent_products_max=4,
    categories_max=3,
    orders_max=2,
    reviews_max=2,
    remembered_events=4,
    remembered_instant_max=6,
)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(log="memory", store="memory"),
        Settings(log="memory", store="memory", fold=FoldRules(profile=TIGHT)),
        Settings(log="memory", store="memory", stores=StoreRules(session_keep_ms=86_400_000, listed_sessions_max=20)),
    ],
    ids=["as it comes", "every limit reached", "little kept"],
)
def test_a_simulated_shop_comes_out_as_the_oracle_says(settings: Settings) -> None:
    pipeline = Pipeline(settings)
    shop = Shop(3, 200, 60, AT, dirt=0.05)
    forgettings: list[dict[str, object]] = [
        {"event_type": "forget", "user_id": f"customer-{number:04d}", "timestamp": shop.end_ms - number * 3_600_000}
        for number in range(1, 60, 6)
    ]
    events = [*shop.events(1_200), *forgettings]
    submissions = (Submission(encode_event(one)) for one in [*events, *events[-2_000:]])
    assert sum(pipeline.container.publish_events().stream(submissions)) > 8_000
    pipeline.process()
    records = [record for partition in pipeline.container.memory_log().records for record in partition]
    expected = expect(records, pipeline.container.decoder(), settings.fold, settings.partitions)
    assert found_in(pipeline, expected) == []
    assert expected.counts[RecordClass.FORGOTTEN] > 0
