"""Rounds in which workers are killed or stopped."""

from harness.chaos.cluster_under_test import START_MS, ClusterUnderTest
from harness.chaos.events import backlog_of_sign_ins
from harness.chaos.settings_file import TRANSACTION_MS
from harness.chaos.steps import Outcome, publish_for, recovery_bound_s, stop_all, wait_for_commits
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
TIMES_MAX = {"outputs_sent": 2, "positions_sent": 2, "trimming": 2}
"""How often a point is reached at most before the fault, where that is less than six times."""


def fault_at(cluster: ClusterUnderTest, point: str, how: str) -> Outcome:
    """Kill a worker when it reaches a point; or stop it there, and resume it after others have taken over."""
    times = cluster.rng.randint(1, TIMES_MAX.get(point, 6))
    others = [cluster.start_worker() for _ in range(cluster.rng.randint(1, 2))]
    victim = cluster.start_worker("--at", point, "--times", str(times), "--how", how)
    cluster.publish_until(lambda: victim.reached_point, f"{how} at {point} for the {times}. time")
    before = cluster.epochs()
    cluster.publish(200)  # so that every partition has something that only a new owner can process
    recovery_s = cluster.wait_until_processed(others)
    if cluster.epochs() == before:
        raise HarnessError("no worker has taken over from the victim: the round would prove nothing")
    if how == "stop":
        victim.resume()
        others.append(victim)
        cluster.publish(200)
        cluster.wait_until_processed(others)
    stop_all(others)
    is_in_transaction = point in {"outputs_sent", "positions_sent"}
    return Outcome(recovery_s, recovery_bound_s(TRANSACTION_MS if is_in_transaction else 0))


def random_kills(cluster: ClusterUnderTest) -> Outcome:
    """Kill workers at random times, and start others."""
    workers = [cluster.start_worker() for _ in range(3)]
    wait_for_commits(cluster)
    for _ in range(2):
        publish_for(cluster, cluster.rng.uniform(1.0, 3.0))
        victim = workers.pop(cluster.rng.randrange(len(workers)))
        if not victim.is_running:
            raise HarnessError(f"a worker had ended before it was killed: {victim.description()}")
        victim.kill()
        workers.append(cluster.start_worker())
    recovery_s = cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome(recovery_s, recovery_bound_s(TRANSACTION_MS))


def backlogged_sign_ins(cluster: ClusterUnderTest) -> Outcome:
    """Let visitors sign in while no worker runs, every event sent twice; then let workers catch up, and kill a worker.

    What customers have spent is known without the oracle: neither lag nor retries may change it.
    """
    events, expected = backlog_of_sign_ins(BUYERS, cluster.settings.fold.profile.dedup_events, START_MS)
    cluster.publish_all(events)
    cluster.publish(200)
    workers = [cluster.start_worker() for _ in range(2)]
    cluster.wait_for_first_commit()
    workers.pop(cluster.rng.randrange(len(workers))).kill()
    workers.append(cluster.start_worker())
    recovery_s = cluster.wait_until_processed(workers)
    spend = {f"buyer-{number}": cluster.spend_of(f"buyer-{number}") for number in range(BUYERS)}
    wrong = {customer: spent for customer, spent in spend.items() if spent != expected}
    if wrong:
        raise HarnessError(f"each buyer has spent {expected}, the store has {wrong}")
    stop_all(workers)
    return Outcome(recovery_s)
