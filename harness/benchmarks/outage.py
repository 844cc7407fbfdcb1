"""`bench outage`: a minute without Redis or the broker, at full load, and what becomes of memory and of the rest."""

import argparse
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from harness.chaos.cluster_under_test import ClusterUnderTest, servers
from harness.chaos.workers import WorkerProcess
from harness.support.console import console, heading
from harness.support.errors import HarnessError

FULL_LOAD_S = 1.5
CATCH_UP_S = 900.0
LOOK_EVERY_S = 0.1


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill the log, let workers loose on it, take a server away for a while, and wait until all is done."""
    with (
        tempfile.TemporaryDirectory(prefix="outage-", ignore_cleanup_errors=True) as folder,
        servers(Path(folder)) as running,
    ):
        arena = ClusterUnderTest(
            Path(folder) / "round", running, "outage", Random(7), outbox_retention_ms=30_000, full_size=True
        )
        try:
            return _play(arena, options)
        finally:
            arena.close()


def _play(arena: ClusterUnderTest, options: argparse.Namespace) -> Mapping[str, object]:
    for _ in range(options.events // 2_000):
        arena.publish(2_000)
    arena.publish(options.events % 2_000)
    workers = [arena.worker() for _ in range(2)]
    server = (arena.servers.redis if options.server == "redis" else arena.servers.kafka).process
    with _Memory(workers) as memory:
        done = _at_full_load(arena)
        before_mb = memory.peak_mb()
        if done >= arena.published:
            raise HarnessError("the workers were done before the server went; give more --events")
        server.kill()
        time.sleep(options.seconds)
        server.start()
        back_s = arena.wait_until_done(workers, CATCH_UP_S)
        after_mb = memory.peak_mb()
    for worker in workers:
        worker.stop()
    found = arena.differences()
    heading(f"{options.seconds} s without {options.server}, {arena.published:,} events, two workers at full load")
    console.print(f"  {done:>12,} events done before, the rest {back_s:.0f} s after it was back")
    console.print(f"  {before_mb:>12,.0f} MB of memory a worker at most before, {after_mb:,.0f} MB at most in all")
    for line in found:
        console.print(f"  {line}")
    console.print(
        "  stores differ from the oracle" if found else "  every store equals what the oracle makes of the log"
    )
    return {
        "server": options.server,
        "seconds": options.seconds,
        "events": arena.published,
        "back_s": back_s,
        "peak_memory_mb": {"before": before_mb, "in all": after_mb},
        "differences": found,
        "ok": not found,
    }


def _at_full_load(arena: ClusterUnderTest) -> int:
    """Let the workers come to full load, but not to a third of what is there; return how many events are committed."""
    arena.wait_for_start()
    until_s = time.monotonic() + FULL_LOAD_S
    while (done := arena.committed()) < arena.published // 3 and time.monotonic() < until_s:
        time.sleep(0.02)
    return done


class _Memory:
    """Watches how much memory workers take."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        self._workers = workers
        self._done = threading.Event()
        self._peak = 0.0
        self._watcher = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "_Memory":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    def peak_mb(self) -> float:
        """The most that any worker had at any time, in MB."""
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            self._peak = max([self._peak, *(worker.memory_mb() for worker in self._workers)])
