"""kill -9 at every named point of the embedded worker and publisher; afterwards the store equals the oracle."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.support.histories import append, differences, state

WORKER_POINTS = (
    "fetched",
    "decoded",
    "loaded",
    "folded",
    "committing",
    "committed",
    "merged",
    "emitted",
    "round_done",
)
START_MS = 1_700_000_000_000


def shop_lines(sessions: int = 150) -> list[bytes]:
    shop = Shop(3, 40, 20, START_MS, dirt=0.05)
    return [msgspec.json.encode(event) for event in shop.events(sessions)]


def with_sign_ins(lines: list[bytes]) -> list[bytes]:
    """The same, but visitors sign in before the second event of their session, and go on without their names."""
    seen: Counter[str] = Counter()
    found = []
    for line in lines:
        event = msgspec.json.decode(line)
        session = event.get("session_id")
        if session is not None and "user_id" not in event and isinstance(event.get("timestamp"), int):
            seen[session] += 1
            if seen[session] == 2:
                login = {
                    "event_id": f"login-{session}",
                    "event_type": "login",
                    "user_id": f"customer-{len(seen) % 9:04d}",
                }
                found.append(msgspec.json.encode(event | login | {"properties": {}}))
        found.append(line)
    return found


def records_in(folder: Path) -> int:
    with Pipeline(Settings(database=str(folder / "shop.db"))) as pipeline:
        count: int = pipeline.container.database().rows("SELECT count(*) FROM records")[0][0]
    return count


def small_rounds(folder: Path) -> Path:
    """A settings file with which a worker needs many rounds; an existing file stays unchanged."""
    file = folder / "settings.toml"
    if not file.exists():
        file.write_text("[worker]\nround_records_max = 40\ncached_customers_max = 4\n")
    return file


def _figures(pipeline: Pipeline) -> dict[str, object]:
    """Counts, spend and units of every customer."""
    customers = pipeline.container.customer_queries().scan()
    return {
        customer.customer_id: (customer.visits.counts, customer.purchases.spend, customer.purchases.units)
        for customer in customers
    }


def killed(folder: Path, role: str, at: str, times: int, *more: str) -> str:
    """Run a process that kills itself at a point; return what it printed. Not to reach the point is a failure."""
    command = [sys.executable, "-m", "harness", "fault", role, "--at", at, "--times", str(times)]
    command += ["--database", str(folder / "shop.db"), "--settings", str(small_rounds(folder)), *more]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, f"{at} was not reached: {ended.stderr}"
    return ended.stdout


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_killed_worker_has_counted_every_record_once(tmp_path: Path, point: str) -> None:
    lines = with_sign_ins(shop_lines())
    for folder in (tmp_path, tmp_path / "undisturbed"):
        folder.mkdir(exist_ok=True)
        with Pipeline(Settings(database=str(folder / "shop.db"))) as pipeline:
            append(pipeline, lines)
            if folder != tmp_path:
                assert pipeline.process()[RecordClass.FORWARDED] > 10
    for times in (1, 4, 2):  # each worker continues where the one before was killed
        killed(tmp_path, "worker", point, times)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        counts = pipeline.process()
        assert sum(counts.values()) == records_in(tmp_path) == records_in(tmp_path / "undisturbed") > len(lines)
        assert differences(pipeline) == []


@pytest.mark.parametrize(("point", "survives"), [("appended", False), ("acknowledged", True)])
def test_what_a_killed_publisher_has_acknowledged_is_there(tmp_path: Path, point: str, survives: bool) -> None:
    lines = [b'{"event_type":"view","user_id":"u%d","timestamp":%d}' % (n % 9, START_MS + n) for n in range(6_000)]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    printed = killed(tmp_path, "publisher", point, 2, "--data", str(tmp_path / "events.jsonl"))
    acknowledged = sum(int(line.split()[1]) for line in printed.splitlines())
    assert acknowledged == 2_000  # the second batch was not acknowledged: its publisher died
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        counts = pipeline.process()
        assert sum(counts.values()) == acknowledged + (2_000 if survives else 0)
        assert differences(pipeline) == []


def test_publishing_again_after_a_kill_counts_nothing_twice(tmp_path: Path) -> None:
    """The whole file again: events with ids that had arrived are duplicates."""
    lines = shop_lines(400)
    signed_in = [line for line in lines if b'"user_id"' in line and b'"event_id"' in line]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(signed_in))
    killed(tmp_path, "publisher", "acknowledged", 1, "--data", str(tmp_path / "events.jsonl"))
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        Pipeline(Settings(database=str(tmp_path / "once.db"))) as once,
    ):
        append(pipeline, signed_in)
        pipeline.process()
        append(once, signed_in)
        once.process()
        assert differences(pipeline) == []
        profiles = _figures(pipeline)
        expected = _figures(once)
    assert profiles == expected


@pytest.mark.parametrize(("point", "times"), [("snapshotting", (1, 4)), ("log_trimming", (1, 1))])
def test_a_worker_killed_while_it_removes_old_records_has_lost_none_that_count(
    tmp_path: Path, point: str, times: tuple[int, ...]
) -> None:
    """The file is copied, so that a log that keeps everything has the same records."""
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        append(pipeline, shop_lines())
        whole = pipeline.backup(tmp_path / "whole.db")
    (tmp_path / "settings.toml").write_text("[worker]\nround_records_max = 40\n[log_retention]\nbytes_max = 9000\n")
    for number in times:
        killed(tmp_path, "worker", point, number)
    settings = Settings(database=str(tmp_path / "shop.db"), log_retention=LogRetentionSettings(bytes_max=9_000))
    with Pipeline(settings) as pipeline, Pipeline(Settings(database=whole.file)) as undisturbed:
        undisturbed.process()
        assert differences(undisturbed) == []
        pipeline.process()
        assert state(pipeline) == state(undisturbed)
        assert records_in(tmp_path) < 200 < whole.records
        pipeline.rebuild()
        pipeline.process()
        assert state(pipeline) == state(undisturbed)


def test_a_killed_backup_leaves_no_file_of_its_name_and_the_next_one_is_whole(tmp_path: Path) -> None:
    lines = shop_lines(20)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        append(pipeline, lines)
        pipeline.process()
        killed(tmp_path, "backup", "backing_up", 1, "--data", str(tmp_path / "copy.db"))
        assert not (tmp_path / "copy.db").exists()
        (part,) = tmp_path.glob("copy.db.*.backup-part")
        assert pipeline.backup(tmp_path / "copy.db").records == len(lines)
    with Pipeline(Settings(database=str(tmp_path / "copy.db"))) as copy:
        assert differences(copy) == []
    left = {file.name for file in tmp_path.iterdir() if not file.name.startswith(part.name)}
    assert left == {"shop.db", "copy.db", "settings.toml"}


def test_a_worker_asked_to_stop_ends_its_round_and_says_what_it_did(tmp_path: Path) -> None:
    lines = shop_lines(20)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        append(pipeline, lines)
        command = [
            sys.executable,
            "-m",
            "realtime_pipeline.interfaces.cli.main",
            "worker",
            "--database",
            str(tmp_path / "shop.db"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            try:
                assert worker.stderr is not None
                read = ""
                while f"{len(lines)} records processed" not in read:
                    letter = worker.stderr.read(1)
                    assert letter, f"the worker ended early: {read}"
                    read += letter
                worker.send_signal(signal.SIGTERM)
                printed, _ = worker.communicate(timeout=20)
            finally:
                worker.kill()
        assert worker.returncode == 0
        assert f"has now\n{len(lines)} records: " in printed
        assert differences(pipeline) == []
