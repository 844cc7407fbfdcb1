"""kill -9 while a source is read: run again, the log has each record once, in the order of its part."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from harness.checking.compare import compare
from harness.services.kinesis import REGION
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.composition.settings import LogName
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.support import servers
from tests.support.bridges import expected_ids, ids_by_customer, killed_at, preparing, stop_the_log, view
from tests.support.histories import SMALL
from tests.support.queues import fill_stream, fill_topic

pytestmark = pytest.mark.xdist_group("kafka")

EVENTS = 40


def topic_source() -> Source:
    name = servers.unique("others")
    fill_topic(name, map(view, range(EVENTS)))
    return KafkaTopicSource("others", KafkaTopicSettings(name, servers.kafka_address()))


def stream_source() -> Source:
    key = servers.unique("others")
    fill_stream(key, map(view, range(EVENTS)))
    return RedisStreamSource("others", RedisStreamSettings((key,), servers.redis_address(), field="json", trim=True))


def kinesis_source() -> Source:
    server, name = servers.kinesis(), servers.unique("others")
    with closing(server.client()) as client:
        client.create_stream(StreamName=name, ShardCount=1)
    server.fill(name, map(view, range(EVENTS)))
    settings = KinesisSettings(
        name,
        REGION,
        server.endpoint,
        access_key_id="any",
        secret_access_key="any",  # noqa: S106
        calls_per_second=100,
    )
    return KinesisSource("others", settings)


def settings_of(log: LogName, folder: Path) -> Settings:
    if log == "kafka":
        return attrs.evolve(SMALL, log="kafka", store="memory", kafka=servers.kafka_settings(2))
    return attrs.evolve(SMALL, log="sqlite", store="sqlite", database=str(folder / "shop.db"))


@pytest.mark.parametrize(
    ("made", "log"),
    [(made, log) for made in (topic_source, stream_source, kinesis_source) for log in ("sqlite", "kafka")],
)
@pytest.mark.parametrize(
    ("stage", "times"), [(Stage.SOURCE_READ, 1), (Stage.SOURCE_READ, 3), (Stage.SOURCE_PUBLISHED, 2)]
)
def test_a_reading_process_that_was_killed_is_started_again(
    tmp_path: Path, made: Callable[[], Source], log: LogName, stage: Stage, times: int
) -> None:
    settings, source = settings_of(log, tmp_path), made()
    killed_at(settings, source, stage, times)
    killed_at(settings, source, stage, 1)
    with Pipeline(settings) as pipeline:
        published = sum(map(len, ids_by_customer(pipeline).values()))
        assert 0 <= published < EVENTS
        progress = pipeline.container.run_source().catch_up(source, preparing(pipeline))
        assert progress.published == EVENTS - published
        assert ids_by_customer(pipeline) == expected_ids(range(EVENTS))
        pipeline.process()
        assert compare(pipeline)[1] == []


def test_a_kafka_log_that_does_not_answer_stops_the_reading(tmp_path: Path) -> None:
    key = servers.unique("others")
    source = RedisStreamSource("others", RedisStreamSettings((key,), servers.redis_address(), field="json"))
    stop_the_log(
        settings_of("kafka", tmp_path),
        source,
        lambda numbers: fill_stream(key, map(view, numbers)),
        lambda _: servers.kafka_stopped(),
    )
