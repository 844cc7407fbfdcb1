"""The kinds of rounds: what is done to whom, and when."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from harness.chaos.cluster_under_test import RECOVERY_MS, SESSION_MS, START_MS, TRANSACTION_MS, ClusterUnderTest
from harness.chaos.log import sign_ins_behind
from harness.chaos.workers import WorkerProcess
from harness.services.kafka import AFTER_A_KILL
from harness.services.process import ServerProcess
from harness.services.redis import RedisServer
from harness.services.resharding import move_slot, owner_of, slot_of
from harness.support.errors import HarnessError

POINTS = (
    "fetched",
    "folded",
    "committing",
    "committed",
    "merged",
    "outputs_sent",
    "positions_sent",
    "trimming",
)
BUYERS = 12
MOVED_SLOTS = 2
COMMITTED_WITHIN_S = 30.0
"""Of cells, and of views."""
SCANNED_KEYS = 1_000
TIMES_MAX = {"outputs_sent": 2, "positions_sent": 2, "trimming": 2}


@attrs.frozen
class Outcome:
    """How a round went: seconds from the fault until everything published before it had come to every reader.

    The bound is the session's time-out and five seconds, and the transaction's time-out where one was left open.
    """

    recovery_s: float | None = None
    bound_s: float | None = None
    is_compared: bool = True


Round = Callable[[ClusterUnderTest], Outcome]


def at_point(point: str, how: str) -> Round:
    """Bring a worker down, or stop it and let it go on after others have taken over, when it reaches a point."""

    def play(arena: ClusterUnderTest) -> Outcome:
        times = arena.rng.randint(1, TIMES_MAX.get(point, 6))
        others = [arena.worker() for _ in range(arena.rng.randint(1, 2))]
        victim = arena.worker("--at", point, "--times", str(times), "--how", how)
        arena.publish_until(lambda: victim.has_reached, f"{how} at {point} for the {times}. time")
        before = arena.epochs()
        arena.publish(200)  # so that every partition has something that only a new owner can work off
        recovery_s = arena.wait_until_done(others)
        if arena.epochs() == before:
            raise HarnessError("nobody has taken over from the victim: the round would prove nothing")
        if how == "stop":
            victim.go_on()
            others.append(victim)
            arena.publish(200)
            arena.wait_until_done(others)
        _finish(others)
        is_open = point in {"outputs_sent", "positions_sent"}
        return Outcome(recovery_s, _bound_s(TRANSACTION_MS if is_open else 0))

    return play


def random_kills(arena: ClusterUnderTest) -> Outcome:
    """Kill workers at any time, and start others."""
    workers = [arena.worker() for _ in range(3)]
    _let_work(arena)
    for _ in range(2):
        _publish_for(arena, arena.rng.uniform(1.0, 3.0))
        victim = workers.pop(arena.rng.randrange(len(workers)))
        if not victim.is_running:
            raise HarnessError(f"a worker had ended before it was killed: {victim.described()}")
        victim.kill()
        workers.append(arena.worker())
    recovery_s = arena.wait_until_done(workers)
    _finish(workers)
    return Outcome(recovery_s, _bound_s(TRANSACTION_MS))


def backlogged_sign_ins(arena: ClusterUnderTest) -> Outcome:
    """Let visitors sign in while no worker runs, every event sent twice; then let workers catch up, and kill one.

    What customers have spent is known without the oracle: lag and retries must not decide what counts.
    """
    events, spent = sign_ins_behind(BUYERS, arena.settings.fold.profile.dedup_events, START_MS)
    arena.publish_all(events)
    arena.publish(200)
    workers = [arena.worker() for _ in range(2)]
    arena.wait_for_start()
    workers.pop(arena.rng.randrange(len(workers))).kill()
    workers.append(arena.worker())
    recovery_s = arena.wait_until_done(workers)
    wrong = {f"buyer-{number}": arena.spent(f"buyer-{number}") for number in range(BUYERS)}
    wrong = {customer: found for customer, found in wrong.items() if found != spent}
    if wrong:
        raise HarnessError(f"each buyer has spent {spent}, the store says {wrong}")
    _finish(workers)
    return Outcome(recovery_s)


def broker_restart(arena: ClusterUnderTest) -> Outcome:
    """Kill the broker and start it again, while workers are at work."""
    arena.afterwards.callback(arena.servers.kafka.process.start)
    arena.afterwards.callback(arena.servers.kafka.process.stop)
    return _restarted(arena, arena.servers.kafka.process, AFTER_A_KILL)


def redis_restart(arena: ClusterUnderTest) -> Outcome:
    """Kill Redis and start it again, while workers are at work."""
    return _restarted(arena, arena.servers.redis.process)


def _restarted(arena: ClusterUnderTest, server: ServerProcess, how: Sequence[str] = ()) -> Outcome:
    workers = [arena.worker() for _ in range(2)]
    _let_work(arena)
    arena.publish(400)
    server.kill()
    time.sleep(arena.rng.uniform(0.1, 1.5))
    server.start(*how)
    arena.wait_until_done(workers)
    _finish(workers)
    return Outcome()


def replica_promoted(arena: ClusterUnderTest) -> Outcome:
    """Cut a replica off, go on, kill the master, and put the replica in its place: acknowledged commits are lost."""
    master, replica = arena.servers.redis, arena.servers.replica
    workers = [arena.worker() for _ in range(2)]
    _let_work(arena)
    arena.publish_until(lambda: min(arena.replica_positions().values()) > 0, "a replica that follows")
    replica.command("REPLICAOF", "NO", "ONE")
    arena.publish(300)
    arena.wait_until_done(workers)
    lost = sum(arena.positions().values()) - sum(arena.replica_positions().values())
    if lost <= 0:
        raise HarnessError("the replica that was cut off has everything: its promotion would prove nothing")
    arena.publish(100)
    master.process.kill()
    replica.command("CONFIG", "SET", "port", master.port)
    arena.afterwards.callback(replica.process.start)
    arena.afterwards.callback(master.process.start)
    arena.afterwards.callback(replica.process.stop)
    arena.wait_until_done(workers)
    _finish(workers)
    return Outcome()


def cluster_failover(arena: ClusterUnderTest) -> Outcome:
    """Kill a master of a cluster whose replica was cut off: a third of cells and views goes back, the rest stays."""
    nodes = arena.move_to_cluster(view_cells=48)
    chosen = arena.rng.randrange(3)
    master, replica = nodes[chosen], nodes[chosen + 3]
    workers = [arena.worker() for _ in range(2)]
    _let_work(arena)
    arena.publish_until(lambda: replica.told("replication", "master_link_status") == "up", "a replica that follows")
    replica.process.signal(signal.SIGSTOP)
    master.command("CLIENT", "KILL", "TYPE", "replica")
    arena.publish(300)
    arena.wait_until_done(workers)
    acknowledged = int(master.told("replication", "master_repl_offset"))
    arena.publish(100)
    master.process.kill()
    replica.process.signal(signal.SIGCONT)
    if int(replica.told("replication", "slave_repl_offset")) >= acknowledged:
        raise HarnessError("the replica that was cut off has everything: its promotion would prove nothing")
    arena.wait_until_done(workers)
    _finish(workers)
    return Outcome()


def slot_migration(arena: ClusterUnderTest) -> Outcome:
    """Move slots of cells and views from master to master, key by key, while workers work and one of them is killed."""
    masters = arena.move_to_cluster(view_cells=48)[:3]
    workers = [arena.worker() for _ in range(2)]
    _let_work(arena)
    before = arena.committed()
    slots = [slot for kind in ("c", "v") for slot in arena.rng.sample(_slots(arena, masters[0], kind), MOVED_SLOTS)]
    arena.rng.shuffle(slots)
    for number, slot in enumerate(slots):
        _move(arena, masters, slot)
        if number == len(slots) // 2:
            workers.pop(arena.rng.randrange(2)).kill()
            workers.append(arena.worker())
    until_s = time.monotonic() + COMMITTED_WITHIN_S
    while arena.committed() == before:  # a quick machine moves all of them between two commits
        if time.monotonic() > until_s:
            raise HarnessError(f"nothing was committed in {COMMITTED_WITHIN_S:.0f} s while slots moved")
        _move(arena, masters, arena.rng.choice(slots))
    arena.wait_until_done(workers)
    _finish(workers)
    return Outcome()


def _move(arena: ClusterUnderTest, masters: Sequence[RedisServer], slot: int) -> None:
    """Move a slot to another master, and publish as its keys go."""
    at = masters.index(owner_of(masters, slot))
    target = masters[(at + arena.rng.randint(1, 2)) % 3]
    if not move_slot(masters, slot, target, lambda: arena.publish(1)):
        raise HarnessError(f"slot {slot} was empty: moving it would prove nothing")


def topic_recreated(arena: ClusterUnderTest) -> Outcome:
    """Delete the topic and make it again: a worker must stop, with the way out, and leave the store as it is."""
    _fill(arena)
    before = arena.counts()
    arena.pipeline.container.topics().delete([arena.settings.kafka.topic])
    arena.make_again()
    arena.publish(300)
    _expect_stop(arena, "was built from log")
    if arena.counts() != before:
        raise HarnessError(f"the store has changed: {before} became {arena.counts()}")
    return Outcome(is_compared=False)


def log_truncated(arena: ClusterUnderTest) -> Outcome:
    """Lose records that were never read: a worker must stop, with the range, and leave the store as it is."""
    _fill(arena)
    before = arena.counts()
    arena.publish(300)
    arena.pipeline.container.topics().truncate(arena.settings.kafka.topic, arena.ends())
    _expect_stop(arena, "the store stands at")
    if arena.counts() != before:
        raise HarnessError(f"the store has changed: {before} became {arena.counts()}")
    return Outcome(is_compared=False)


def expired_offsets(arena: ClusterUnderTest) -> Outcome:
    """Delete what the group has committed, while no worker runs: after all have died, and after all have ended.

    New workers tell from the store and the topics how far outputs were emitted.
    """
    workers = [arena.worker() for _ in range(2)]
    _let_work(arena)
    _publish_for(arena, arena.rng.uniform(0.5, 2.0))
    for worker in workers:
        worker.kill()
    arena.delete_offsets()
    arena.publish(200)
    workers = [arena.worker() for _ in range(2)]
    recovery_s = arena.wait_until_done(workers)
    _finish(workers)
    arena.delete_offsets()
    arena.publish(200)
    workers = [arena.worker()]
    arena.wait_until_done(workers)
    _finish(workers)
    return Outcome(recovery_s)


KINDS: Mapping[str, Round] = {
    **{f"kill at {point}": at_point(point, "kill") for point in POINTS},
    **{f"stop at {point}": at_point(point, "stop") for point in POINTS},
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
}
OUTBOX_RETENTION_MS = {"replica promoted": 30_000, "cluster fail-over": 30_000}
"""How long entries are kept; where none is said, so short that they are trimmed within a round."""


def _fill(arena: ClusterUnderTest) -> None:
    workers = [arena.worker()]
    arena.publish(300)
    arena.wait_until_done(workers)
    _finish(workers)


def _expect_stop(arena: ClusterUnderTest, words: str) -> None:
    code, said = arena.worker().end()
    if code != 1 or words not in said:
        raise HarnessError(f"a worker had to stop and say {words!r}; it ended with {code}: {said}")


def _slots(arena: ClusterUnderTest, node: RedisServer, kind: str) -> list[int]:
    """The slots in which cells (`c`), or groups of view cells (`v`), have keys."""
    pattern = f"{arena.settings.redis.namespace}:{{{kind}*"
    listed = arena.pipeline.container.redis_client().scan(pattern, SCANNED_KEYS)
    names = [name.decode() for names in listed for name in names]
    keys = {name.partition("}")[0]: name for name in names}
    return sorted({slot_of(node, key) for key in keys.values()})


def _let_work(arena: ClusterUnderTest) -> None:
    """Publish until the workers have taken up all partitions and committed something of each."""
    arena.publish_until(lambda: min(arena.positions().values()) > 0, "a first commit of every partition")


def _publish_for(arena: ClusterUnderTest, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    arena.publish_until(lambda: time.monotonic() > until_s, "the end")


def _finish(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        worker.stop()


def _bound_s(open_ms: int) -> float:
    return (SESSION_MS + RECOVERY_MS + open_ms) / 1000
