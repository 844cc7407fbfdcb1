"""kill -9 of a capture, and of Postgres: in the end the log has each row and each change once."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import msgspec
import pytest

from realtime_pipeline.application.ingestion.run_source import RunSource
from realtime_pipeline.application.ports.observer import NoObserver, Stage
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.source_publisher import KafkaSourcePublisher
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.captures import Running, Writer, assert_exact, documents, outgoing, run_source, source, wait_for
from tests.support.servers import ROOT, kafka_settings, kafka_stopped, postgres_server_with, postgres_settings

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


@pytest.fixture
def running_in(tmp_path: Path) -> Iterator[Callable[[PostgresSettings], Running]]:
    """Captures into one log; they are stopped at the end."""
    opened: list[Running] = []

    def run(settings: PostgresSettings) -> Running:
        opened.append(Running(run_source(tmp_path / "shop.db"), settings))
        return opened[-1]

    yield run
    for running in opened:
        running.stop()


def test_postgres_is_killed_and_restarted(tmp_path: Path, running_in: Callable[[PostgresSettings], Running]) -> None:
    """In the snapshot, in the stream, and while nothing happens; a transaction that was not committed is not there."""
    server = postgres_server_with()
    settings = attrs.evolve(postgres_settings(server), request_timeout_ms=3_000)
    writer, file = Writer(settings, 1_000), tmp_path / "shop.db"
    running = running_in(settings)
    for is_killed in (True, True, False):
        wait_for(lambda: len(running.lags) > 5)
        writer.write(100)
        open_transaction = Session(settings)
        open_transaction.rows("BEGIN")
        open_transaction.rows("INSERT INTO public.orders VALUES (-1, -1, 'never committed')")
        if is_killed:
            server.kill()
            server.process.start()
        else:
            server.restart()
        open_transaction.close()
        running.lags.clear()
        writer.write(100)
    wait_for(lambda: bool(running.lags))
    running.stop()
    assert running.failure is None
    assert any("does not answer" in problem for problem in running.problems)
    catch_up(file, settings)
    assert_exact(documents(file), writer.histories)


def test_a_second_capture_ends_the_first(tmp_path: Path, running_in: Callable[[PostgresSettings], Running]) -> None:
    file, settings = tmp_path / "shop.db", postgres_settings()
    writer = Writer(settings, ROWS)
    first = running_in(settings)
    wait_for(lambda: len(documents(file)) > ROWS // 2)
    with writer.writing():
        second = running_in(settings)
        assert str(first.end()) == "another process reads shop now: let only one run"
        wait_for(lambda: bool(second.lags))
    second.stop()
    assert second.failure is None
    catch_up(file, settings)
    assert_exact(documents(file), writer.histories)


def test_a_second_capture_ends_the_first_of_a_quiet_database(
    tmp_path: Path, running_in: Callable[[PostgresSettings], Running]
) -> None:
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=100)
    writer = Writer(settings, 10)
    first = running_in(settings)
    wait_for(lambda: len(documents(tmp_path / "shop.db")) == 10)
    second = running_in(settings)
    assert str(first.end()) == "another process reads shop now: let only one run"
    wait_for(lambda: bool(second.lags))
    writer.write(5)
    second.stop()
    catch_up(tmp_path / "shop.db", settings)
    assert_exact(documents(tmp_path / "shop.db"), writer.histories)


def test_kafka_stands_still_for_a_while() -> None:
    kafka, settings = kafka_settings(1), postgres_settings()
    run = RunSource(lambda name: KafkaSourcePublisher(kafka, NoObserver(), name), NoObserver(), 20)
    writer = Writer(settings, ROWS)
    running = Running(run, settings)
    for _ in range(2):
        with writer.writing():
            wait_for(lambda: len(running.lags) > 3)
            with kafka_stopped():
                time.sleep(1.0)
            running.lags.clear()
    running.stop()
    assert running.failure is None
    run.catch_up(source(settings), outgoing)
    log = KafkaEventLog(kafka)
    end = log.bounds([0])[0][1]
    log.close()
    found = [msgspec.json.decode(record.value) for record in KafkaLogReader(kafka).read(0, 0, end)]
    assert_exact(found, writer.histories)
