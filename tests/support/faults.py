"""Commands that are killed, and the log and the stores that they leave."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.support.log_io import read_log
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.composition.settings import LogName
from tests.support import servers
from tests.support.bridges import wait_until

CAUGHT_UP_S = 0.5
"""How long to wait for records that must not come."""


def settings_file(folder: Path, log: LogName, more: str = "") -> Path:
    """Settings of a log with two partitions, and of a store that a command can use with it."""
    file, top, groups = folder / f"{log}.toml", f'database = "{folder / "shop.db"}"\npartitions = 2\n', ""
    if log == "kafka":
        kafka, redis = servers.kafka_settings(2), servers.redis_settings()
        top += 'log = "kafka"\nstore = "redis"\n'
        groups += f'[kafka]\nbrokers = "{kafka.brokers}"\ntopic = "{kafka.topic}"\ngroup = "{kafka.group}"\n'
        groups += f'dead_letters_topic = "{kafka.dead_letters_topic}"\n'
        groups += f'late_events_topic = "{kafka.late_events_topic}"\noutputs_linger_ms = 100\n'
        groups += f'[redis]\nnodes = "{redis.nodes}"\nnamespace = "{redis.namespace}"\n'
    file.write_text(top + groups + more)
    return file


def killed(settings: Path, arguments: Sequence[str], at: Stage, times: int) -> None:
    """Run a command that kills itself. Not to reach the point is a failure."""
    command = [sys.executable, "-m", "harness", "fault", "command", "--at", at, "--times", str(times), "--run"]
    ended = subprocess.run(
        [*command, *arguments, "--settings", str(settings)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL, f"{at} was not reached: {ended.stdout}{ended.stderr}"


def finished(settings: Path, arguments: Sequence[str], records: int | None = None) -> None:
    """Run a command to its end; or, with a number, until the log has so many records, and a little longer."""
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", *arguments, "--settings", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            if records is not None:
                wait_until(lambda: process.poll() is not None or sum(map(len, log_of(settings).values())) >= records)
                time.sleep(CAUGHT_UP_S)
                process.terminate()
            _, problems = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, problems


def log_of(settings: Path) -> dict[int, list[bytes]]:
    """The values of the log, by partition."""
    found = dict[int, list[bytes]]()
    with Pipeline(load_settings(settings, {})) as pipeline:
        for record in read_log(pipeline.container.log()):
            found.setdefault(record.partition, []).append(record.value)
    return found
