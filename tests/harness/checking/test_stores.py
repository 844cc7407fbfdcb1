"""The comparison finds every planted difference."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from harness.oracle.customer import ExpectedVisitor
from harness.oracle.deduplication import ExpectedSeenEvents
from harness.oracle.expected import Expected
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.streams.records import Decoded, Record
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits
from realtime_pipeline.pipeline import Pipeline
from tests.harness.support.compared_stores import found_in, small_store
from tests.harness.support.worked_histories import (
    ANNA,
    AT,
    BOB,
    CLEO,
    CUP,
    HOUR,
    MINUTE,
    RULES,
    TEA,
    expected_of,
    log,
    small_shop,
)


@pytest.fixture(scope="module")
def store() -> Pipeline:
    return small_store()


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
    (of_anna(spend=125_000), "customer anna: spend is 4.0000, should be 12.5000"),
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
    (
        of_anna(purchases={TEA: (3, 1)}),
        f"customer anna: purchases of tea is (1, {AT + 60 * MINUTE}), should be (3, 1)",
    ),
    (of_anna(shown={TEA: (1, 1)}), "customer anna: shown of tea is missing, should be (1, 1)"),
    (of_anna(country=("DE", 1)), "customer anna: country is None, should be ('DE', 1)"),
    (of_anna(visitors={BOB: "h"}), "customer anna: visitors of bob is missing, should be 'h'"),
    (of_anna(seen=ExpectedSeenEvents()), f"customer anna: an event of {AT} ms is remembered, and should not be"),
    (
        of_anna(seen=ExpectedSeenEvents(own_ids=frozenset({(5, "00")}))),
        "customer anna: an event of 5 ms is not remembered",
    ),
    (of_anna(orders={"o2": (1, 1, 1)}), "customer anna: orders of o2 is missing, should be (1, 1, 1)"),
    (of_anna(reviewed={}), f"customer anna: reviewed of tea is (5, {AT + 180 * MINUTE}), should not be there"),
    (of_anna(open_sessions=[]), "customer anna: open_sessions is [1], should be []"),
    (of_anna(closed_sessions=[7]), "customer anna: closed_sessions is [], should be [7]"),
    (of_anna(seen=ExpectedSeenEvents(floor_ms=0)), "customer anna: floor_ms of the seen events is -1, should be 0"),
    (
        of_anna(seen=ExpectedSeenEvents(replayed_ids=frozenset({(5, "00")}))),
        "customer anna: an event of 5 ms is not remembered",
    ),
    (
        of_anna(seen=ExpectedSeenEvents(merged_ids=("00",))),
        "customer anna: the merged ids is (), should be ('00',)",
    ),
    (
        of_anna(seen=ExpectedSeenEvents(forwarded_up_to={0: 1})),
        "customer anna: forwarded_up_to of 0 is missing, should be 1",
    ),
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
        whole(customers={}, sessions={}, sessions_erased={16_384}),
        "session 16384: is in the store, and should not be",
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
    (of_tea(name=None), f"product tea's name is ('Tea', {AT}), should be None"),
    (of_tea(name=("Tea", 1)), f"product tea's name is ('Tea', {AT}), should be ('Tea', 1)"),
    (of_tea(category=("food", 1)), "product tea's category is ('drinks'"),
    (of_tea(category=("food", 1)), "trending in food: the number of products is 0, should be 1"),
    (of_tea(price=(1, 1)), "product tea's price is (40000"),
    (
        whole(activity_by_country={(HOUR, "DE", TEA): (1, 0, 0)}),
        "trending in DE: the number of products is 0, should be 1",
    ),
    (whole(missing_messages=["profile h is 0 times in the log"]), "profile h is 0 times in the log"),
    (
        whole(visitors={ANNA: ExpectedVisitor(CLEO, AT, {}, [], -1, ExpectedSeenEvents())}),
        "customer anna: is Customer(customer_id='anna'",
    ),
    (
        whole(visitors={ANNA: ExpectedVisitor(CLEO, AT, {}, [], -1, ExpectedSeenEvents())}),
        f"anna: an event of {AT} ms is remembered, and",
    ),
    (whole(visitors={CLEO: ExpectedVisitor(BOB, AT, {}, [], -1, ExpectedSeenEvents())}), "customer cleo: is missing"),
    (whole(products={}), "product tea: is in the store, and should not be"),
    (lambda right: whole(products={**right.products, "x": right.products[TEA]})(right), "product x: is missing"),
    (lambda right: whole(activity={**right.activity, (HOUR, TEA): (3, 1, 2)})(right), "trending: number 1 is ('cup'"),
    (
        lambda right: whole(activity={**right.activity, (HOUR, CUP): (3, 0, 1)})(right),
        "trending in ware: number 1 is ('cup'",
    ),
    (
        lambda right: whole(activity={**right.activity, (HOUR, TEA): (3, 0, 1)})(right),
        "trending by carts: the number of products",
    ),
    (whole(session_lists={}), "product tea: its list of sessions is 3 long, should be 0"),
    (
        lambda right: whole(session_lists={**right.session_lists, TEA: [(1, 1)] * 3})(right),
        "sessions differs from entry 1 on",
    ),
    (whole(newest_ms={0: AT + 20 * MINUTE, 1: AT}), f"newest_ms of 1 is {AT + 120 * MINUTE}, should be {AT}"),
    (whole(largest_ms={0: AT + 40 * MINUTE, 1: AT}), f"largest_ms of 1 is {AT + 180 * MINUTE}, should be {AT}"),
    (whole(appended_ms={}), "appended_at_ms of 0 is "),
    (lambda right: whole(watermarks_ms={**right.watermarks_ms, 0: 5})(right), "at_ms of 0 is "),
    (whole(dead_letters=[(1, 9, "unreadable")]), "dead letter of (1, 11) is 'misrouted', should not be there"),
    (
        whole(dead_letters=[(1, 9, "unreadable"), (1, 11, "unreadable"), (1, 12, "in_the_future")]),
        "dead letter of (1, 11) is 'misrouted', should be 'unreadable'",
    ),
    (
        whole(dead_letters=[(1, 9, "too_old"), (1, 11, "misrouted"), (1, 12, "in_the_future")]),
        "dead letter of (1, 9) is 'unreadable', should be 'too_old'",
    ),
    (whole(dead_letters=[(0, 0, "too_old")]), "dead letter of (0, 0) is missing, should be 'too_old'"),
    (whole(letter_checksums={(1, 11): 0}), "dead letter (1, 11): its record is not equal to the one in the log"),
]


@pytest.mark.parametrize(("change", "line"), PLANTED, ids=[line for _, line in PLANTED])
def test_a_planted_difference_is_found(
    store: Pipeline, expected: Expected, change: Callable[[Expected], Expected], line: str
) -> None:
    assert any(line in found for found in found_in(store, change(expected)))


def test_a_store_of_another_log_differs_where_the_logs_do(store: Pipeline) -> None:
    other = small_shop()
    other[1][2] = other[1][2]._replace(value=other[1][2].value.replace(b'"quantity":2', b'"quantity":3'))
    assert found_in(store, expected_of(other)) == [
        "customer anna: spend is 4.0000, should be 8.0000",
        "customer anna: units is 1, should be 2",
        f"customer anna: purchases of tea is (1, {AT + 60 * MINUTE}), should be (2, {AT + 60 * MINUTE})",
        f"customer anna: orders of o1 is ({AT + 2 * MINUTE}, 1, 40000), should be ({AT + 2 * MINUTE}, 2, 80000)",
    ]


def test_a_session_summary_whose_products_are_not_in_order_of_time_differs() -> None:
    store = small_store()
    summary = store.container.customer_queries().session_summaries([SessionKey(1)])[SessionKey(1)]
    turned = summary._replace(products=dict(reversed(summary.products.items())))
    right = expected_of(small_shop())
    queries = store.container.customer_queries()
    vars(queries)["session_summaries"] = lambda keys: {SessionKey(1): turned} if SessionKey(1) in keys else {}
    line = "session 1's products in its summary are not in order of time"
    assert any(line in found for found in found_in(store, right))


class WrongQuantities(EventDecoder):
    """Decodes every quantity as 1."""

    def __call__(self, record: Record) -> Decoded:
        found = super().__call__(record)
        return found._replace(quantity=1) if isinstance(found, Event) else found


def test_an_error_of_the_decoder_is_found() -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=2, fold=RULES))
    pipeline.container.decoder.override(providers.Object(WrongQuantities(EventLimits(), {})))
    for kept, records in zip(pipeline.container.memory_log().records, small_shop(), strict=True):
        kept.extend(records)
    pipeline.process()
    found = found_in(pipeline, expected_of(small_shop()))
    assert "customer anna: units is 0, should be 1" in found


@pytest.mark.parametrize("reason", ["", "not_json", ": no code", "not_json: "])
def test_a_dead_letter_without_a_code_and_an_explanation_differs(reason: str) -> None:
    store = small_store()
    outputs = store.container.outputs()
    letters = outputs.dead_letters(10)
    vars(outputs)["dead_letters"] = lambda limit: [attrs.evolve(letters[0], reason=reason), *letters[1:]][:limit]
    (line,) = found_in(store, expected_of(small_shop()))
    assert line == f"dead letter of (1, 9) is {reason!r}, should be 'unreadable'"


def test_only_the_first_differences_are_listed(store: Pipeline) -> None:
    lines = found_in(store, expected_of(log([], [])), limit=3)
    assert len(lines) == 4
    assert lines[-1].startswith("and ")
    assert lines[-1].endswith(" more differences")
