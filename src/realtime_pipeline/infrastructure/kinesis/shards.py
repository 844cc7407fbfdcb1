"""The shards of a stream: which of them can be read, and where."""

import attrs

from realtime_pipeline.infrastructure.kinesis.positions import ShardPosition


@attrs.define
class Shard:
    """A shard that is being read."""

    shard_id: str
    parents: tuple[str, ...]
    position: ShardPosition
    stored_ms: int = 0
    """The time in the position that the log has."""
    iterator: str | None = None
    call_at_s: float = 0.0
    """When the next call may be made."""
    wait_s: float = 0.0
    """How long Kinesis was left alone after it refused a call; doubled at each refusal."""
    behind_ms: int = 0


def readable(shards: dict[str, Shard]) -> list[Shard]:
    """List the shards that are not ended, and whose parents are: first those that may be asked first."""
    found = [
        shard
        for shard in shards.values()
        if not shard.position.is_ended
        and all(parent not in shards or shards[parent].position.is_ended for parent in shard.parents)
    ]
    return sorted(found, key=lambda shard: shard.call_at_s)
