"""Settings of a pipeline on the tests' broker and Redis."""

from pathlib import Path
from typing import Literal

import attrs

from realtime_pipeline import Settings
from tests.support import servers


def on_kafka(
    kind: str = "single", partitions: int = 4, partitioner: Literal["consistent", "murmur2"] = "consistent"
) -> Settings:
    """Topics, a group and a namespace of their own."""
    kafka = attrs.evolve(servers.kafka_settings(partitions), partitioner=partitioner)
    return Settings(log="kafka", store="redis", kafka=kafka, redis=servers.redis_settings(kind))


def written(folder: Path, settings: Settings) -> Path:
    """Settings as a file, for commands."""
    file = folder / "settings.toml"
    kafka, redis = settings.kafka, settings.redis
    file.write_text(
        f'log = "kafka"\nstore = "redis"\n[kafka]\nbrokers = "{kafka.brokers}"\ntopic = "{kafka.topic}"\n'
        f'dead_letters_topic = "{kafka.dead_letters_topic}"\ngroup = "{kafka.group}"\n'
        f'[redis]\nnodes = "{redis.nodes}"\nnamespace = "{redis.namespace}"\n'
    )
    return file
