"""Rounds in which a source is captured into the log while processes and the log are killed."""

import time

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.steps import Outcome, stop_all, wait_for_commits
from harness.services.kafka import RESTART_OPTIONS
from harness.support.errors import HarnessError

ENDS = ("source_read", "source_published")
"""Before a publication, and after it, before its acknowledgement."""
TIMES_MAX = 6


def captured_stream(cluster: ClusterUnderTest) -> Outcome:
    """Capture a stream of others, and publish beside it; kill captures at both ends of a publication and while they
    read, a worker, and the broker."""
    cluster.cleanup.callback(cluster.servers.kafka.process.start)
    cluster.cleanup.callback(cluster.servers.kafka.process.stop)
    cluster.add_stream()
    workers = [cluster.start_worker() for _ in range(2)]
    wait_for_commits(cluster)
    for end in cluster.rng.sample(ENDS, len(ENDS)):
        _kill_capture_at(cluster, end)
        cluster.publish(100)
        cluster.fill_stream(300)
    workers.pop(cluster.rng.randrange(len(workers))).kill()
    victim = cluster.start_capture()
    _fill_for(cluster, cluster.rng.uniform(1.0, 2.0))
    cluster.servers.kafka.process.kill()
    _fill_for(cluster, cluster.rng.uniform(0.1, 1.5))
    cluster.servers.kafka.process.start(*RESTART_OPTIONS)
    workers.append(cluster.start_worker())
    _fill_for(cluster, cluster.rng.uniform(0.1, 3.0))
    if not victim.is_running:
        raise HarnessError(f"a capture had ended before it was killed: {victim.description()}")
    victim.kill()
    last = cluster.start_capture()
    cluster.fill_stream(200)
    cluster.wait_until_captured()
    cluster.wait_until_processed(workers)
    stop_all([last, *workers])
    return Outcome()


def _kill_capture_at(cluster: ClusterUnderTest, end: str) -> None:
    times = cluster.rng.randint(1, TIMES_MAX)
    victim = cluster.start_capture("--at", end, "--times", str(times))
    cluster.fill_stream_until(lambda: victim.reached_point, f"{end} for the {times}. time")


def _fill_for(cluster: ClusterUnderTest, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    cluster.fill_stream_until(lambda: time.monotonic() > until_s, "the end")
