"""Rounds in which the log loses its topic, its records or the group's offsets."""

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.steps import Outcome, expect_refusal, process_some, publish_for, stop_all, wait_for_commits
from harness.support.errors import HarnessError


def topic_recreated(cluster: ClusterUnderTest) -> Outcome:
    """Delete the topic and create it again: a worker must stop with an error and leave the store unchanged."""
    process_some(cluster)
    before = cluster.counts()
    cluster.pipeline.container.topics().delete([cluster.settings.kafka.topic])
    cluster.recreate_topic()
    cluster.publish(300)
    expect_refusal(cluster, "was built from log")
    _check_unchanged(cluster, before)
    return Outcome(is_compared=False)


def log_truncated(cluster: ClusterUnderTest) -> Outcome:
    """Delete records that were never read: a worker must stop, name their range and leave the store unchanged."""
    process_some(cluster)
    before = cluster.counts()
    cluster.publish(300)
    cluster.pipeline.container.topics().truncate(cluster.settings.kafka.topic, cluster.end_offsets())
    expect_refusal(cluster, "the store is at positions")
    _check_unchanged(cluster, before)
    return Outcome(is_compared=False)


def _check_unchanged(cluster: ClusterUnderTest, before: object) -> None:
    if cluster.counts() != before:
        raise HarnessError(f"the store has changed: {before} became {cluster.counts()}")


def expired_offsets(cluster: ClusterUnderTest) -> Outcome:
    """Delete the group's committed offsets while no worker runs: after workers were killed, and after they ended.

    New workers find out from the store and the topics how far outputs were emitted.
    """
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    publish_for(cluster, cluster.rng.uniform(0.5, 2.0))
    for worker in workers:
        worker.kill()
    cluster.delete_offsets()
    cluster.publish(200)
    workers = [cluster.start_worker() for _ in range(2)]
    recovery_s = cluster.wait_until_processed(workers)
    stop_all(workers)
    cluster.delete_offsets()
    cluster.publish(200)
    workers = [cluster.start_worker()]
    cluster.wait_until_processed(workers)
    stop_all(workers)
    return Outcome(recovery_s)
