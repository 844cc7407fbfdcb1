"""Rounds in which Kafka or Redis fails, or changes its nodes."""

import signal
import time
from collections.abc import Sequence

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.steps import Outcome, stop_all, wait_for_commits
from harness.services.kafka import RESTART_OPTIONS
from harness.services.process import ServerProcess
from harness.services.redis import RedisServer
from harness.services.resharding import move_slot, owner_of, slot_of
from harness.support.errors import HarnessError

MOVED_SLOTS = 2
"""How many slots of cells are moved, and how many of views."""
COMMITTED_WITHIN_S = 30.0
SCANNED_KEYS = 1_000
NOT_CUT_OFF = "the replica that was cut off has everything: its promotion would prove nothing"


def broker_restart(cluster: ClusterUnderTest) -> Outcome:
    """Kill the broker and start it again while workers run."""
    cluster.cleanup.callback(cluster.servers.kafka.process.start)
    cluster.cleanup.callback(cluster.servers.kafka.process.stop)
    return _restart(cluster, cluster.servers.kafka.process, RESTART_OPTIONS)


def redis_restart(cluster: ClusterUnderTest) -> Outcome:
    """Kill Redis and start it again while workers run."""
    return _restart(cluster, cluster.servers.redis.process)


def _restart(cluster: ClusterUnderTest, server: ServerProcess, options: Sequence[str] = ()) -> Outcome:
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    cluster.publish(400)
    server.kill()
    time.sleep(cluster.rng.uniform(0.1, 1.5))
    server.start(*options)
    cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome()


def replica_promoted(cluster: ClusterUnderTest) -> Outcome:
    """Cut a replica off, publish, kill the master and promote the replica: acknowledged commits are lost."""
    master, replica = cluster.servers.redis, cluster.servers.replica
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    cluster.publish_until(lambda: min(cluster.replica_positions().values()) > 0, "a replica that follows")
    replica.command("REPLICAOF", "NO", "ONE")
    cluster.publish(300)
    cluster.wait_until_processed(workers)
    lost = sum(cluster.reader_positions().values()) - sum(cluster.replica_positions().values())
    if lost <= 0:
        raise HarnessError(NOT_CUT_OFF)
    cluster.publish(100)
    master.process.kill()
    replica.command("CONFIG", "SET", "port", master.port)
    cluster.cleanup.callback(replica.process.start)
    cluster.cleanup.callback(master.process.start)
    cluster.cleanup.callback(replica.process.stop)
    cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome()


def cluster_failover(cluster: ClusterUnderTest) -> Outcome:
    """Kill a master of a Redis cluster whose replica was cut off: a third of cells and views goes back in time."""
    nodes = cluster.move_to_cluster(view_cells=48)
    chosen = cluster.rng.randrange(3)
    master, replica = nodes[chosen], nodes[chosen + 3]
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    cluster.publish_until(lambda: replica.info("replication", "master_link_status") == "up", "a replica that follows")
    replica.process.signal(signal.SIGSTOP)
    master.command("CLIENT", "KILL", "TYPE", "replica")
    cluster.publish(300)
    cluster.wait_until_processed(workers)
    acknowledged = int(master.info("replication", "master_repl_offset"))
    cluster.publish(100)
    master.process.kill()
    replica.process.signal(signal.SIGCONT)
    if int(replica.info("replication", "slave_repl_offset")) >= acknowledged:
        raise HarnessError(NOT_CUT_OFF)
    cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome()


def slot_migration(cluster: ClusterUnderTest) -> Outcome:
    """Move slots of cells and views between masters, key by key, while workers run and a worker is killed."""
    masters = cluster.move_to_cluster(view_cells=48)[:3]
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    before = cluster.committed()
    slots = [slot for kind in ("c", "v") for slot in cluster.rng.sample(_slots(cluster, masters[0], kind), MOVED_SLOTS)]
    cluster.rng.shuffle(slots)
    for number, slot in enumerate(slots):
        _move(cluster, masters, slot)
        if number == len(slots) // 2:
            workers.pop(cluster.rng.randrange(2)).kill()
            workers.append(cluster.start_worker())
    until_s = time.monotonic() + COMMITTED_WITHIN_S
    while cluster.committed() == before:  # a fast machine moves all slots between two commits
        if time.monotonic() > until_s:
            raise HarnessError(f"nothing was committed in {COMMITTED_WITHIN_S:.0f} s while slots moved")
        _move(cluster, masters, cluster.rng.choice(slots))
    cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome()


def _move(cluster: ClusterUnderTest, masters: Sequence[RedisServer], slot: int) -> None:
    """Move a slot to another master, and publish an event after each key."""
    owner = masters.index(owner_of(masters, slot))
    target = masters[(owner + cluster.rng.randint(1, 2)) % 3]
    if not move_slot(masters, slot, target, lambda: cluster.publish(1)):
        raise HarnessError(f"slot {slot} was empty: moving it would prove nothing")


def _slots(cluster: ClusterUnderTest, node: RedisServer, kind: str) -> list[int]:
    """The slots that hold keys of cells (`c`), or of groups of view cells (`v`)."""
    pattern = f"{cluster.settings.redis.namespace}:{{{kind}*"
    pages = cluster.pipeline.container.redis_client().scan(pattern, SCANNED_KEYS)
    names = [name.decode() for page in pages for name in page]
    keys = {name.partition("}")[0]: name for name in names}
    return sorted({slot_of(node, key) for key in keys.values()})
