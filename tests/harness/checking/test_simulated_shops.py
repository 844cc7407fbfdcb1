"""Stores of simulated shops equal what the oracle computes from their logs."""

from collections.abc import Iterable, Iterator, Mapping
from random import Random

import attrs
import pytest

from harness.chaos.events import with_rare_kinds
from harness.oracle.expected import expect
from harness.simulation.shop import Shop
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.composition.settings import Settings, StoreSettings
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, encode_event
from realtime_pipeline.pipeline import Pipeline
from tests.harness.support.compared_stores import found_in
from tests.harness.support.worked_histories import AT, SCHEMA

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
    ids=["default settings", "every limit reached", "short retention"],
)
def test_the_store_of_a_simulated_shop_equals_the_oracle(settings: Settings) -> None:
    pipeline = Pipeline(settings)
    shop = Shop(3, 200, 60, AT, dirt=0.05)
    forgettings: list[dict[str, object]] = [
        {"event_type": "forget", "user_id": f"customer-{number:04d}", "timestamp": shop.end_ms - number * 3_600_000}
        for number in range(1, 60, 6)
    ]
    events = [*shop.events(1_200), *forgettings]
    submissions = (Submission(encode_event(event)) for event in [*events, *events[-2_000:]])
    assert sum(pipeline.container.publish_events().stream(submissions)) > 8_000
    pipeline.process()
    records = [record for partition in pipeline.container.memory_log().records for record in partition]
    expected = expect(records, SCHEMA, settings.folding, settings.partitions)
    assert found_in(pipeline, expected) == []
    assert expected.counts[RecordClass.FORGOTTEN] > 0


def with_variations(events: Iterable[Mapping[str, object]], rng: Random) -> Iterator[dict[str, object]]:
    """Change events of a shop to what it does not send: events without a session id, forgettings as of an earlier time,
    cancellations with a price."""
    for original in events:
        event = dict(original)
        at_ms, properties = event.get("timestamp"), event.get("properties")
        if "user_id" in event and rng.random() < 0.4:
            event.pop("session_id", None)
        if event.get("event_type") == "forget" and isinstance(at_ms, int):
            event["timestamp"] = at_ms - rng.randrange(2 * 86_400_000)
        if event.get("event_type") in TYPE_NAMES[EventKind.PURCHASE_CANCELLED] and isinstance(properties, dict):
            event["properties"] = properties | {"price": rng.randrange(1, 50)}
        yield event


@pytest.mark.parametrize("seed", range(3))
def test_the_store_of_a_varied_shop_equals_the_oracle(seed: int) -> None:
    rng = Random(seed)  # noqa: S311
    settings = Settings(
        log="memory",
        store="memory",
        partitions=3,
        fold=FoldSettings(profile=attrs.evolve(TIGHT, session_gap_ms=600_000, visitors_max=3, dedup_events=20)),
        stores=StoreSettings(session_retention_ms=2 * 86_400_000, listed_sessions_max=15, activity_retention_hours=96),
    )
    shop = Shop(seed, 120, 80, AT, dirt=0.05)
    products = [product.product_id for product in shop.products]
    events = with_variations(with_rare_kinds(shop.events(1_000), 80, products, rng), rng)
    values = [encode_event(event) for event, _ in zip(events, range(4_000), strict=False)]
    values += values[-2_000:]  # half of them are sent again, also events of customers who were forgotten since
    with Pipeline(settings) as pipeline:
        for begin in range(0, len(values), 500):
            pipeline.container.publish_events().batch(list(map(Submission, values[begin : begin + 500])))
            pipeline.process()
        records = [record for partition in pipeline.container.memory_log().records for record in partition]
        expected = expect(records, SCHEMA, settings.folding, settings.partitions)
        assert found_in(pipeline, expected) == []
        assert min(expected.counts[name] for name in (RecordClass.FORWARDED, RecordClass.FORGOTTEN)) > 0
