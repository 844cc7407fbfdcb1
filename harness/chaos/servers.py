"""The servers that rounds run on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from harness.services.kafka import KafkaBroker
from harness.services.redis import RedisServer


@attrs.frozen
class Servers:
    """One broker, and a Redis with a replica."""

    kafka: KafkaBroker
    redis: RedisServer
    replica: RedisServer


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start the servers; stop them at the end."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        replica = RedisServer(folder / "replica", None, "--replicaof", "127.0.0.1", str(redis.port))
        kafka = KafkaBroker(folder / "kafka")
        for server in (redis, replica, kafka):
            stack.callback(server.process.stop)
            server.process.start()
        yield Servers(kafka, redis, replica)
