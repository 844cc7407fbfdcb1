"""`bench outage`: a while without Redis or the broker, at full load: memory, recovery and the stores afterwards."""

import argparse
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.servers import servers
from harness.chaos.workers import WorkerProcess
from harness.support.console import console, heading
from harness.support.errors import HarnessError

FULL_LOAD_S = 1.5
CATCH_UP_S = 900.0
SAMPLE_EVERY_S = 0.1


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill the log, start workers, kill a server for a while, and wait until everything is processed."""
    with (
        tempfile.TemporaryDirectory(prefix="outage-", ignore_cleanup_errors=True) as folder,
        servers(Path(folder)) as running,
    ):
        cluster = ClusterUnderTest(
            Path(folder) / "round", running, "outage", Random(7), outbox_retention_ms=30_000, full_size=True
        )
        try:
            return _run_outage(cluster, options)
        finally:
            cluster.close()


def _run_outage(cluster: ClusterUnderTest, options: argparse.Namespace) -> Mapping[str, object]:
    for _ in range(options.events // 2_000):
        cluster.publish(2_000)
    cluster.publish(options.events % 2_000)
    workers = [cluster.start_worker() for _ in range(2)]
    server = (cluster.servers.redis if options.server == "redis" else cluster.servers.kafka).process
    with _Memory(workers) as memory:
        committed = _at_full_load(cluster)
        before_mb = memory.peak_mb()
        if committed >= cluster.published:
            raise HarnessError("the workers had processed everything before the server was killed; give more --events")
        server.kill()
        time.sleep(options.seconds)
        server.start()
        recovery_s = cluster.wait_until_processed(workers, CATCH_UP_S)
        after_mb = memory.peak_mb()
    for worker in workers:
        worker.stop()
    differences = cluster.differences()
    heading(f"{options.seconds} s without {options.server}, {cluster.published:,} events, two workers at full load")
    console.print(f"  {committed:>12,} events processed before, the rest {recovery_s:.0f} s after the restart")
    console.print(f"  {before_mb:>12,.0f} MB of memory a worker at most before, {after_mb:,.0f} MB at most in all")
    for line in differences:
        console.print(f"  {line}")
    console.print(
        "  the stores differ from what the oracle computes"
        if differences
        else "  every store equals what the oracle computes from the log"
    )
    return {
        "server": options.server,
        "seconds": options.seconds,
        "events": cluster.published,
        "back_s": recovery_s,
        "peak_memory_mb": {"before": before_mb, "in all": after_mb},
        "differences": differences,
        "ok": not differences,
    }


def _at_full_load(cluster: ClusterUnderTest) -> int:
    """Wait until the workers are at full load, or have processed a third of the log; return the number of events."""
    cluster.wait_for_first_commit()
    until_s = time.monotonic() + FULL_LOAD_S
    while (committed := cluster.committed()) < cluster.published // 3 and time.monotonic() < until_s:
        time.sleep(0.02)
    return committed


class _Memory:
    """Samples the memory of workers in a thread."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        self._workers = workers
        self._is_done = threading.Event()
        self._peak = 0.0
        self._sampler = threading.Thread(target=self._sample, name="memory", daemon=True)

    def __enter__(self) -> "_Memory":
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._sampler.join()

    def peak_mb(self) -> float:
        """The largest sample of any worker so far, in MB."""
        return self._peak

    def _sample(self) -> None:
        while not self._is_done.wait(SAMPLE_EVERY_S):
            self._peak = max([self._peak, *(worker.memory_mb() for worker in self._workers)])
