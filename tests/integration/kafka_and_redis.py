"""Settings of a pipeline on the tests' broker and Redis, a history of events, and a wait for the worker."""

import time
from pathlib import Path
from typing import Literal

import attrs
import msgspec

from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline, Settings
from tests.support import servers

START_MS = 1_700_000_000_000
HISTORY = [msgspec.json.encode(document) for document in Shop(5, 200, 30, START_MS, dirt=0.1).events(150)]


def on_kafka(
    kind: str = "single", partitions: int = 4, partitioner: Literal["consistent", "murmur2"] = "consistent"
) -> Settings:
    """Make settings with new topics, a new group and a new namespace."""
    kafka = attrs.evolve(servers.kafka_settings(partitions), partitioner=partitioner)
    return Settings(log="kafka", store="redis", kafka=kafka, redis=servers.redis_settings(kind))


def written(folder: Path, settings: Settings) -> Path:
    """Write settings into a file, for commands."""
    file = folder / "settings.toml"
    kafka, redis = settings.kafka, settings.redis
    file.write_text(
        f'log = "kafka"\nstore = "redis"\n[kafka]\nbrokers = "{kafka.brokers}"\ntopic = "{kafka.topic}"\n'
        f'dead_letters_topic = "{kafka.dead_letters_topic}"\n'
        f'late_events_topic = "{kafka.late_events_topic}"\ngroup = "{kafka.group}"\n'
        f'[redis]\nnodes = "{redis.nodes}"\nnamespace = "{redis.namespace}"\n'
    )
    return file


def wait_for_records(pipeline: Pipeline, records: int) -> None:
    deadline_s = time.monotonic() + 60
    while sum(pipeline.container.customer_queries().counts().values()) < records:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
