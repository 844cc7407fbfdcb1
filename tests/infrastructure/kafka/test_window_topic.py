"""Results of final windows in topics of Kafka."""

from collections.abc import Sequence

import attrs
import msgspec
import pytest
from confluent_kafka import IsolationLevel

from realtime_pipeline import Pipeline, Settings, UnrecoverableState
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import topic_bounds
from tests.support import servers
from tests.support.histories import SetClock, event, opened
from tests.support.windows import SALES, T_MS, VIEWS, at, run, view

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture
def settings() -> KafkaSettings:
    return servers.kafka_settings(1)


def shop(settings: KafkaSettings) -> Pipeline:
    own = attrs.evolve(SALES, topic=servers.unique("sales"), lateness_ms=60_000)
    kafka = attrs.evolve(settings, window_results_topic=servers.unique("results"))
    analytics = AnalyticsSettings((VIEWS, own), shipped=())
    return opened(Settings(log="kafka", store="memory", kafka=kafka, analytics=analytics), SetClock())


def topics(pipeline: Pipeline) -> tuple[str, str]:
    """The topic of the settings, and that of the sales."""
    settings = pipeline.container.settings()
    return settings.kafka.window_results_topic, settings.analytics.windows[1].topic


def records(pipeline: Pipeline, topic: str) -> Sequence[tuple[object, object]]:
    settings = attrs.evolve(pipeline.container.settings().kafka, topic=topic)
    bounds = topic_bounds(settings, topic, IsolationLevel.READ_COMMITTED)
    reader = KafkaLogReader(settings)
    found = [record for partition, (low, high) in bounds.items() for record in reader.read(partition, low, high)]
    return [(msgspec.json.decode(record.key or b""), msgspec.json.decode(record.value)) for record in found]


HISTORY = (
    view("1", 1),
    view("2", 2, "jug"),
    event("3", "purchase", at_ms=at(3), product="mug", price=12.5, quantity=2, order_id="o1"),
    view("4", 1_000),
)


def test_results_are_published_under_keys_of_their_own(settings: KafkaSettings) -> None:
    with shop(settings) as pipeline:
        common, own = topics(pipeline)
        assert {common, own} <= set(pipeline.container.topics().create(TopicSettings(partitions=1)))
        run(pipeline, *HISTORY)
        views = {"name": "views", "fingerprint": VIEWS.fingerprint, "start": T_MS, "end": T_MS + 60_000}
        ends = {"partial": False, "format": [1, 1]}
        expected = [
            (["views", VIEWS.fingerprint, T_MS, [product]], {**views, "key": [product], "values": {"n": 1}, **ends})
            for product in ("jug", "mug")
        ]
        assert records(pipeline, common) == expected
        values = {"orders": 1, "units": 2, "gross": 25, "net": 25, "line": 25, "refunds": 0}
        assert [(key, found["values"]) for key, found in records(pipeline, own)] == [  # type: ignore[index]
            (["sales", pipeline.container.settings().analytics.windows[1].fingerprint, T_MS, []], values)
        ]
        pipeline.rebuild()
        pipeline.process()
        assert records(pipeline, common) == 2 * expected  # the same values under the same keys
        described = pipeline.container.topics().describe(common)
        assert described.settings["cleanup.policy"] in ("compact,delete", "delete,compact")


def test_without_the_topic_the_worker_says_how_to_make_it(settings: KafkaSettings) -> None:
    with shop(settings) as pipeline:
        common, _ = topics(pipeline)
        with pytest.raises(UnrecoverableState, match=f"topic {common}.*realtime-pipeline topics create"):
            run(pipeline, *HISTORY)
        pipeline.container.topics().create(TopicSettings(partitions=1))
        pipeline.process()
        assert len(records(pipeline, common)) == 2
