"""All kinds of rounds, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.log_faults import expired_offsets, log_truncated, topic_recreated
from harness.chaos.server_faults import (
    broker_restart,
    cluster_failover,
    redis_restart,
    replica_promoted,
    slot_migration,
)
from harness.chaos.source_faults import captured_stream
from harness.chaos.steps import Outcome
from harness.chaos.worker_faults import POINTS, backlogged_sign_ins, fault_at, random_kills

Round = Callable[[ClusterUnderTest], Outcome]

ROUNDS: Final[Mapping[str, Round]] = {
    **{f"kill at {point}": partial(fault_at, point=point, how="kill") for point in POINTS},
    **{f"stop at {point}": partial(fault_at, point=point, how="stop") for point in POINTS},
    "random kills": random_kills,
    "backlogged sign-ins": backlogged_sign_ins,
    "broker restart": broker_restart,
    "redis restart": redis_restart,
    "replica promoted": replica_promoted,
    "cluster fail-over": cluster_failover,
    "slot migration": slot_migration,
    "topic recreated": topic_recreated,
    "log truncated": log_truncated,
    "expired offsets": expired_offsets,
    "captured stream": captured_stream,
}
OUTBOX_RETENTION_MS: Final[Mapping[str, int]] = {"replica promoted": 30_000, "cluster fail-over": 30_000}
"""How long entries stay in the outbox, where that is longer than usual."""
SHORT_RETENTION_MS: Final = 500
"""How long they usually stay: so short that the outbox is trimmed within a round."""
