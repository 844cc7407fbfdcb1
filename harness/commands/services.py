"""`services`: runs Kafka and Redis on this machine in the background, without containers."""

import argparse
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.services.kafka import KafkaBroker, fetch, kafka_missing_reason, libraries
from harness.services.redis import RedisServer
from harness.support.console import console
from harness.support.errors import HarnessError

KAFKA_PORT, REDIS_PORT = 9092, 6379
STOP_S = 60.0


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fetch Kafka's jars, or start or stop both servers."""
    if options.action == "fetch":
        return _fetch()
    if options.action == "stop":
        return _stop()
    started = {}
    for name, create in (
        ("redis", lambda: RedisServer(_folder() / "redis", options.redis_port)),
        ("kafka", lambda: KafkaBroker(_folder() / "kafka", options.kafka_port, heap_mb=512)),
    ):
        if _is_running(_pid_file(name)):
            console.print(f"{name} is running already")
            continue
        created = create()
        created.process.start()
        _pid_file(name).write_text(str(created.process.pid), "utf-8")
        started[name] = created.endpoint
        console.print(f"{name} at {created.endpoint}")
    return {"started": started}


def _fetch() -> Mapping[str, object]:
    reason = kafka_missing_reason()
    if reason is not None:
        console.print(f"{reason}; tests that need it are skipped")
        return {"kafka": None}
    return {"kafka": str(fetch())}


def _stop() -> Mapping[str, object]:
    stopped = []
    for name in ("kafka", "redis"):
        file = _pid_file(name)
        if _is_running(file):
            pid = int(file.read_text("utf-8"))
            os.kill(pid, signal.SIGTERM)
            _wait_for_end(name, pid)
            stopped.append(name)
            console.print(f"{name} has stopped")
        file.unlink(missing_ok=True)
    return {"stopped": stopped}


def _wait_for_end(name: str, pid: int) -> None:
    deadline_s = time.monotonic() + STOP_S
    while time.monotonic() < deadline_s:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise HarnessError(f"{name} (process {pid}) does not stop")


def _pid_file(name: str) -> Path:
    return _folder() / f"{name}.pid"


def _folder() -> Path:
    return libraries().parent


def _is_running(file: Path) -> bool:
    """Whether the process that was started still runs. Another process may have got its number since."""
    try:
        pid = int(file.read_text("utf-8"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc").is_dir() else b"kafka redis valkey"
    except (OSError, ValueError):
        return False
    return any(word in command for word in (b"kafka.Kafka", b"redis-server", b"valkey-server"))
