"""kill -9 of a capture, and of Postgres: in the end the log has each row and each change once."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.captures import Writer, assert_exact, documents, outgoing, run_source, source
from tests.support.servers import ROOT, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

ROWS = 300

KILLED = """
import os, signal, sys
from pathlib import Path
import msgspec
from realtime_pipeline.application.ports.observer import StageObserver
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.captures import outgoing, run_source, source

file, settings, at, times = sys.argv[1:]

class Killer(StageObserver):
    left = int(times)

    def reached(self, stage, records):
        self.left -= stage == at
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

settings = msgspec.json.decode(settings, type=PostgresSettings)
run_source(Path(file), Killer()).run(source(settings), outgoing, lambda: False)
"""
"""Captures, and kills itself at the nth time that it reaches a point."""


def killed(file: Path, settings: PostgresSettings, at: Stage, times: int) -> None:
    """Run a capture that kills itself. Not to reach the point is a failure."""
    arguments = [sys.executable, "-c", KILLED, str(file), msgspec.json.encode(settings).decode(), at, str(times)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def catch_up(file: Path, settings: PostgresSettings) -> None:
    """Read all that is there."""
    run_source(file).catch_up(source(settings), outgoing)


@pytest.mark.parametrize("at", [Stage.SOURCE_READ, Stage.SOURCE_PUBLISHED])
@pytest.mark.parametrize("times", [(1, 1, 5), (3, 4, 9, 30)], ids=["at once", "in the snapshot and in the stream"])
def test_a_killed_capture_goes_on(tmp_path: Path, at: Stage, times: tuple[int, ...]) -> None:
    """Others write all the time: before, while and after each process is killed."""
    file, settings = tmp_path / "shop.db", postgres_settings()
    writer = Writer(settings, ROWS)
    for number in times:
        with writer.writing():
            killed(file, settings, at, number)
        writer.write(20)
    catch_up(file, settings)
    writer.write(10)
    catch_up(file, settings)
    found = documents(file)
    assert {document["op"] for document in found} == {"snapshot", "insert", "update", "delete"}
    assert_exact(found, writer.histories)
