"""A backup is a complete pipeline: written while others read and write, checked, and never over another file."""

import resource
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite import backups
from tests.support.histories import differences, embedded, event, opened, state, visits


def folder_of(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def test_a_backup_continues_from_the_position_of_the_pipeline(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        written = pipeline.backup(tmp_path / "copy.db")
        assert (written.records, written.customers) == (3, 1)
        pipeline.publish(visits("cyd", "pan"))
        pipeline.process()
        now = state(pipeline)
    with Pipeline(Settings(database=str(tmp_path / "copy.db"))) as copy:
        assert copy.container.log().identity == pipeline.container.log().identity
    (tmp_path / "copied").mkdir()
    (tmp_path / "copy.db").rename(tmp_path / "copied/shop.db")
    with opened(embedded("sqlite", tmp_path / "copied")) as copy:
        assert copy.process() == {RecordClass.APPLIED: 3}
        copy.publish(visits("cyd", "pan"))
        copy.process()
        assert state(copy) == now
        assert differences(copy) == []


def test_a_backup_completes_while_a_worker_and_a_publisher_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backup never restarts: it excludes later commits, and nobody waits for it."""
    monkeypatch.setattr(backups, "STEP_PAGES", 1)
    stop, published = threading.Event(), [0]
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([event(f"first-{number}", user=f"u{number % 50}", product="mug") for number in range(2_000)])

        def publish() -> None:
            while not stop.is_set():
                pipeline.publish([event(f"e{published[0]}", user=f"u{published[0] % 50}", product="jug")])
                published[0] += 1

        publisher = threading.Thread(target=publish)
        with pipeline.processing():
            publisher.start()
            written = []
            for number in range(3):
                before = published[0]
                written.append(pipeline.backup(tmp_path / f"copy-{number}.db"))
                while publisher.is_alive() and published[0] < before + 2:
                    time.sleep(0.001)
            stop.set()
            publisher.join()
        pipeline.process()
        assert differences(pipeline) == []
    assert 2_000 <= written[0].records < written[2].records <= 2_000 + published[0]
    for backup in written:
        with Pipeline(Settings(database=backup.file)) as copy:
            assert copy.process() == {RecordClass.APPLIED: backup.records}
            assert differences(copy) == []


def test_a_backup_overwrites_no_file(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        for name in ("notes", "link", "shop.db"):
            with pytest.raises(Unavailable, match=f"{name} exists already: name another file"):
                pipeline.backup(tmp_path / name)
        with pytest.raises(Unavailable, match=r"copy\.db was not written: No such file or directory"):
            pipeline.backup(tmp_path / "no/copy.db")
    assert (tmp_path / "notes").read_text() == "mine"
    assert folder_of(tmp_path) == {"notes", "link", "shop.db"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "a backup cannot be written to '': name a file"),
        ("x\0y", r"a backup cannot be written to 'x\\x00y': name a file"),
        (".", "is a folder: name a file in it"),
        ("/", "is a folder: name a file in it"),
        ("..", "exists already"),
        ("~nosuchuser/x", "this machine knows no such user"),
        ("shop.db-journal", "is a name that SQLite uses for .*shop.db: name another"),
        ("shop.db-wal", "is a name that SQLite uses for .*shop.db: name another"),
        ("linked/shop.db-shm", "is a name that SQLite uses for .*shop.db: name another"),
        ("copy.db", "copy.db-wal exists already"),
        ("n" * 300, "was not written: File name too long"),
    ],
)
def test_an_unusable_backup_name_is_refused_with_one_line(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        (tmp_path / "linked").symlink_to(tmp_path)
        (tmp_path / "copy.db-wal").write_bytes(b"of another file")
        before = folder_of(tmp_path)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(Unavailable, match=words):
            pipeline.backup(name)
        assert folder_of(tmp_path) == before


def test_a_file_created_during_a_backup_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = backups._fsync

    def create_file_first(path: Path) -> None:
        (tmp_path / "copy.db").write_text("somebody else's")
        fsync(path)

    monkeypatch.setattr(backups, "_fsync", create_file_first)
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        with pytest.raises(Unavailable, match="exists already"):
            pipeline.backup(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "somebody else's"
    assert folder_of(tmp_path) == {"copy.db", "shop.db"}


def test_a_backup_has_the_permissions_of_the_file(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        (tmp_path / "shop.db").chmod(0o600)
        assert Path(pipeline.backup(tmp_path / "copy.db").file).stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_not_backed_up(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", *(f"p{number}" for number in range(200))))
        pipeline.process()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as file:
        page = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'dead_letters'").fetchone()[0]
    with (tmp_path / "shop.db").open("r+b") as raw:
        raw.seek((page - 1) * 4096)
        raw.write(b"\xff" * 4096)
    with opened(embedded("sqlite", tmp_path)) as pipeline, pytest.raises(Unavailable, match="is damaged"):
        pipeline.backup(tmp_path / "copy.db")
    assert folder_of(tmp_path) == {"shop.db"}


def test_a_store_whose_positions_do_not_match_its_log_is_not_backed_up(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        with pipeline.container.database().transaction() as connection:
            connection.execute("UPDATE sources SET position = position + 1")
        with pytest.raises(Unavailable, match="has positions that do not match its log"):
            pipeline.backup(tmp_path / "copy.db")
    assert folder_of(tmp_path) == {"shop.db"}


def test_a_store_in_memory_cannot_be_backed_up(tmp_path: Path) -> None:
    with (
        opened(embedded("memory", tmp_path)) as pipeline,
        pytest.raises(Unavailable, match="needs log sqlite and store sqlite"),
    ):
        pipeline.backup(tmp_path / "copy.db")


def test_a_full_disk_leaves_no_partial_backup(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", *(f"p{number}" for number in range(2_000))))
    size = (tmp_path / "shop.db").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "backup", str(tmp_path / "copy.db")]
    command += ["--database", str(tmp_path / "shop.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "copy.db was not written: " in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert folder_of(tmp_path) == {"shop.db"}


def test_only_one_of_concurrent_backups_to_a_name_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "STEP_PAGES", 1)
    results: list[str] = []
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        pipeline.publish(visits("ada", *(f"p{number}" for number in range(200))))
        pipeline.process()

        def write() -> None:
            try:
                results.append(str(pipeline.backup(tmp_path / "copy.db").records))
            except Unavailable as error:
                results.append(str(error))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [result for result in results if "exists already" not in result] == ["200"]
    assert folder_of(tmp_path) == {"shop.db", "copy.db"}
