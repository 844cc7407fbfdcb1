"""The steps that rounds have in common, and their outcome."""

import time
from collections.abc import Sequence

import attrs

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.workers import WorkerProcess
from harness.support.errors import HarnessError

SESSION_MS = 3_000
"""The session time-out of the workers' consumer group."""
RECOVERY_MS = 5_000


@attrs.frozen
class Outcome:
    """How a round went.

    `recovery_s` is the time from the fault until readers had everything that was published before it, `bound_s` how
    long that may take. `is_compared` says whether the stores are to be compared with the oracle afterwards.
    """

    recovery_s: float | None = None
    bound_s: float | None = None
    is_compared: bool = True


def recovery_bound_s(transaction_ms: int) -> float:
    """How long a recovery may take: the session time-out, five seconds, and the time-out of an open transaction."""
    return (SESSION_MS + RECOVERY_MS + transaction_ms) / 1000


def wait_for_commits(cluster: ClusterUnderTest) -> None:
    """Publish until the readers have something of every partition."""
    cluster.publish_until(lambda: min(cluster.reader_positions().values()) > 0, "a first commit of every partition")


def publish_for(cluster: ClusterUnderTest, seconds: float) -> None:
    """Publish for a while."""
    until_s = time.monotonic() + seconds
    cluster.publish_until(lambda: time.monotonic() > until_s, "the end")


def process_some(cluster: ClusterUnderTest) -> None:
    """Publish some events, and let a worker process them and end."""
    workers = [cluster.start_worker()]
    cluster.publish(300)
    cluster.wait_until_processed(workers)
    stop_all(workers)


def stop_all(workers: Sequence[WorkerProcess]) -> None:
    """End workers in the ordinary way.

    Raises:
        HarnessError: a worker had ended by itself, or does not end.
    """
    for worker in workers:
        worker.stop()


def expect_refusal(cluster: ClusterUnderTest, words: str) -> None:
    """Start a worker that must end by itself with an error.

    Raises:
        HarnessError: it ended without an error, or its message does not have the words.
    """
    code, message = cluster.start_worker().wait_for_exit()
    if code != 1 or words not in message:
        raise HarnessError(f"a worker had to end with an error that has {words!r}; it ended with {code}: {message}")
