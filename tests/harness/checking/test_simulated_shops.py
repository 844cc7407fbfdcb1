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
    events = in_all_ways(with_rare_kinds(shop.events(1_000), 80, products, dice), dice)
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
