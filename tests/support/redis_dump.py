"""The content of a store in Redis."""

from realtime_pipeline.infrastructure.redis.client import RedisClient


def dump(client: RedisClient, namespace: str) -> dict[bytes, bytes]:
    """Dump every key of a namespace, as `DUMP` serialises it."""
    keys = [key for listed in client.scan(f"{namespace}:*", 1_000) for key in listed]
    return dict(zip(keys, client.execute([(key.decode(), ("DUMP", key)) for key in keys]), strict=True))
