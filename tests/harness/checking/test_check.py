"""The comparison against stores with something wrong in them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from harness.chaos.log import with_all_kinds
from harness.checking.stores import differences
from harness.oracle.customer import Stub
from harness.oracle.expected import Expected, expect
from harness.oracle.judging import ExpectedSeen
from harness.simulation.shop import Shop
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.composition.settings import Settings, StoreSettings
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Decoded, Record
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventDecoder, EventLimits, encode_event
from realtime_pipeline.pipeline import Pipeline
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
    expected_of,
    log,
    small_shop,
)


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
        stores.session_retention_ms,
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
    (of_anna(seen=ExpectedSeen()), f"customer anna: an event of {AT} ms is remembered, and should not be"),
    (of_anna(seen=ExpectedSeen(own=frozenset({(5, "00")}))), "customer anna: an event of 5 ms is not remembered"),
    (of_anna(orders={"o2": (1, 1, 1)}), "customer anna: orders of o2 is missing, should be (1, 1, 1)"),
    (of_anna(reviewed={}), f"customer anna: reviewed of tea is (5, {AT + 180 * MINUTE}), should not be there"),
    (of_anna(open_sessions=[]), "customer anna: open_sessions is [1], should be []"),
    (of_anna(closed_sessions=[7]), "customer anna: closed_sessions is [], should be [7]"),
    (of_anna(seen=ExpectedSeen(floor_ms=0)), "customer anna: the memory's floor_ms is -1, should be 0"),
    (
        of_anna(seen=ExpectedSeen(repairs=frozenset({(5, "00")}))),
        "customer anna: an event of 5 ms is not remembered",
    ),
    (
        of_anna(seen=ExpectedSeen(merged=("00",))),
        "customer anna: the ids that came by a sign-in is (), should be ('00',)",
    ),
    (
        of_anna(seen=ExpectedSeen(forwarded_up_to={0: 1})),
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
    (of_tea(name=None), f"product tea's name is ('Tea', {AT}), should be None"),
    (of_tea(name=("Tea", 1)), f"product tea's name is ('Tea', {AT}), should be ('Tea', 1)"),
    (of_tea(category=("food", 1)), "product tea's category is ('drinks'"),
    (of_tea(category=("food", 1)), "trending in food: how many there are is 0, should be 1"),
    (of_tea(price=(1, 1)), "product tea's price is (40000"),
    (whole(by_country={(HOUR, "DE", TEA): (1, 0, 0)}), "trending in DE: how many there are is 0, should be 1"),
    (whole(missing_messages=["history h is 0 times in the log"]), "history h is 0 times in the log"),
    (
        whole(stubs={ANNA: Stub(CLEO, AT, {}, [], -1, ExpectedSeen())}),
        "customer anna: is Customer(customer_id='anna'",
    ),
    (whole(stubs={ANNA: Stub(CLEO, AT, {}, [], -1, ExpectedSeen())}), f"anna: an event of {AT} ms is remembered, and"),
    (whole(stubs={CLEO: Stub(BOB, AT, {}, [], -1, ExpectedSeen())}), "customer cleo: is missing"),
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
    (whole(newest_ms={0: AT + 20 * MINUTE, 1: AT}), f"newest_ms of 1 is {AT + 120 * MINUTE}, should be {AT}"),
    (whole(largest_ms={0: AT + 40 * MINUTE, 1: AT}), f"largest_ms of 1 is {AT + 180 * MINUTE}, should be {AT}"),
    (whole(appended_ms={}), "appended_at_ms of 0 is "),
    (lambda right: whole(waited_to_ms={**right.waited_to_ms, 0: 5})(right), "at_ms of 0 is "),
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
    (whole(letters={(1, 11): 0}), "dead letter (1, 11): its record is not the one in the log, whole"),
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


def test_a_trail_whose_products_are_not_in_order_of_time_differs() -> None:
    store = store_of(small_shop(), Settings(log="memory", store="memory", partitions=2, fold=RULES))
    trail = store.container.cells().session_summaries([SessionKey(1)])[SessionKey(1)]
    turned = trail._replace(products=dict(reversed(trail.products.items())))
    right = expected_of(small_shop())
    cells = store.container.cells()
    vars(cells)["session_summaries"] = lambda keys: {SessionKey(1): turned} if SessionKey(1) in keys else {}
    assert any("session 1's products for others are not in order of time" in line for line in found_in(store, right))


class Misreading(EventDecoder):
    """Reads quantities as one."""

    def __call__(self, record: Record) -> Decoded:
        found = super().__call__(record)
        return found._replace(quantity=1) if isinstance(found, Event) else found


def test_what_the_pipeline_misreads_is_found() -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=2, fold=RULES))
    pipeline.container.decoder.override(providers.Object(Misreading(EventLimits(), {})))
    for kept, records in zip(pipeline.container.memory_log().records, small_shop(), strict=True):
        kept.extend(records)
    pipeline.process()
    found = found_in(pipeline, expected_of(small_shop()))
    assert "customer anna: units is 0, should be 1" in found


@pytest.mark.parametrize("reason", ["", "not_json", ": no code", "not_json: "])
def test_a_dead_letter_without_a_code_and_an_explanation_differs(reason: str) -> None:
    store = store_of(small_shop(), Settings(log="memory", store="memory", partitions=2, fold=RULES))
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


TIGHT = ProfileSettings(
    open_sessions_max=2,
    closed_sessions_max=3,
    session_products_max=3,
    recent_products_max=4,
    categories_max=3,
    orders_max=2,
    bought_products_max=2,
    shown_products_max=2,
    reviews_max=2,
    dedup_events=4,
    dedup_same_timestamp_max=6,
)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(log="memory", store="memory"),
        Settings(log="memory", store="memory", fold=FoldSettings(profile=TIGHT)),
        Settings(
            log="memory", store="memory", stores=StoreSettings(session_retention_ms=86_400_000, listed_sessions_max=20)
        ),
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
    expected = expect(records, SCHEMA, settings.fold, settings.partitions)
    assert found_in(pipeline, expected) == []
    assert expected.counts[RecordClass.FORGOTTEN] > 0


def in_all_ways(events: Iterable[Mapping[str, object]], rng: Random) -> Iterator[dict[str, object]]:
    """What comes of a shop, and what its own events lack: visits told by pauses alone, forgettings as of before the
    newest events, cancellations that say a price."""
    for one in events:
        event = dict(one)
        at_ms, properties = event.get("timestamp"), event.get("properties")
        if "user_id" in event and rng.random() < 0.4:
            event.pop("session_id", None)
        if event.get("event_type") == "forget" and isinstance(at_ms, int):
            event["timestamp"] = at_ms - rng.randrange(2 * 86_400_000)
        if event.get("event_type") in TYPE_NAMES[EventKind.PURCHASE_CANCELLED] and isinstance(properties, dict):
            event["properties"] = properties | {"price": rng.randrange(1, 50)}
        yield event


@pytest.mark.parametrize("seed", range(3))
def test_a_shop_in_all_its_ways_comes_out_as_the_oracle_says(seed: int) -> None:
    dice = Random(seed)  # noqa: S311
    settings = Settings(
        log="memory",
        store="memory",
        partitions=3,
        fold=FoldSettings(profile=attrs.evolve(TIGHT, session_gap_ms=600_000, visitors_max=3, dedup_events=20)),
        stores=StoreSettings(session_retention_ms=2 * 86_400_000, listed_sessions_max=15, activity_retention_hours=96),
    )
    shop = Shop(seed, 120, 80, AT, dirt=0.05)
    products = [product.product_id for product in shop.products]
    events = in_all_ways(with_all_kinds(shop.events(1_000), 80, products, dice), dice)
    values = [encode_event(event) for event, _ in zip(events, range(4_000), strict=False)]
    values += values[-2_000:]  # half of it comes again, some of it of customers who were forgotten since
    with Pipeline(settings) as pipeline:
        for begin in range(0, len(values), 500):
            pipeline.container.publish_events().batch(list(map(Submission, values[begin : begin + 500])))
            pipeline.process()
        records = [record for partition in pipeline.container.memory_log().records for record in partition]
        expected = expect(records, SCHEMA, settings.fold, settings.partitions)
        assert found_in(pipeline, expected) == []
        assert min(expected.counts[name] for name in (RecordClass.FORWARDED, RecordClass.FORGOTTEN)) > 0


def test_visitors_who_were_not_said_to_be_forgotten_are_missed() -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=1))
    visit = {"session_id": "s1", "timestamp": AT}
    look = {"event_type": "view", "event_id": "e1", **visit, "properties": {"product_id": "tea"}}
    login = {"event_type": "login", "event_id": "e2", "user_id": "anna", **visit}
    forget = {"event_type": "forget", "event_id": "e3", "user_id": "anna", "timestamp": AT + 2}
    late = {**login, "event_id": "e4", "session_id": "s2", "timestamp": AT + 1}
    for lines in ([look, login], [forget, late]):
        pipeline.publish(lines)
        pipeline.process()
    (records,) = pipeline.container.memory_log().records
    said = [record for record in records if b"anonymous:s" in record.value]
    rules = pipeline.container.settings().fold
    assert len(records) == 4 + len(said)
    whole = expect(records, SCHEMA, rules, 1)
    assert (whole.missing_messages, whole.handed_on) == ([], 4)  # two histories, and two visitors to be forgotten
    for lacking in said:
        expected = expect([record for record in records if record is not lacking], SCHEMA, rules, 1)
        assert expected.missing_messages
        assert all("log" in line for line in expected.missing_messages)
    again = records[-1]._replace(position=len(records))
    assert b'"customer_forgotten"' in again.value
    assert "should be as of" in expect([*records, again], SCHEMA, rules, 1).missing_messages[0]


@pytest.mark.parametrize(
    ("was", "becomes", "line"),
    [
        (b'"product_id":"cup"', b'"product_id":"tea"', "event e3 was not forwarded to anna, or as another"),
        (b'"event_type":"view"', b'"event_type":"purchase"', "event e3 was not forwarded to anna, or as another"),
        (
            b'"timestamp":%d' % (AT + 2),
            b'"timestamp":%d' % (AT + 1),
            "event e3 was not forwarded to anna, or as another",
        ),
        (b'"timestamp":%d' % (AT + 1), b'"timestamp":%d' % AT, f"in the log is as of [{AT}], should be as of {AT + 1}"),
    ],
)
def test_what_visitors_hand_on_must_be_in_the_log_as_it_was(was: bytes, becomes: bytes, line: str) -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=1))
    look = {
        "event_type": "view",
        "event_id": "e1",
        "session_id": "s1",
        "timestamp": AT,
        "properties": {"product_id": "tea"},
    }
    login = {"event_type": "login", "event_id": "e2", "session_id": "s1", "user_id": "anna", "timestamp": AT + 1}
    late = look | {"event_id": "e3", "timestamp": AT + 2, "properties": {"product_id": "cup"}}
    pipeline.publish([look, login, late])
    pipeline.process()
    (records,) = pipeline.container.memory_log().records
    rules = pipeline.container.settings().fold
    assert expect(records, SCHEMA, rules, 1).missing_messages == []
    handed_on = records[3:]
    assert len(handed_on) == 2
    assert sum(was in record.value for record in handed_on) == 1
    others = [record._replace(value=record.value.replace(was, becomes)) for record in handed_on]
    (found,) = expect([*records[:3], *others], SCHEMA, rules, 1).missing_messages
    assert line in found
