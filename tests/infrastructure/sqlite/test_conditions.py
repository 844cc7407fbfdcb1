"""A file without permissions, moved, on a full disk, locked by another program, or open while the process forks."""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, PipelineError, Settings
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite import database
from tests.support.histories import differences, visits

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # the forks are meant

NOBODY = 65_534
USES: dict[str, Callable[[Pipeline], object]] = {
    "publish": lambda pipeline: pipeline.publish(visits("bob", "mug")),
    "process": lambda pipeline: pipeline.process(),
    "profile": lambda pipeline: pipeline.profile("ada"),
}


def on(file: Path) -> Pipeline:
    return Pipeline(Settings(database=str(file)))


def count_applied(file: Path) -> int:
    """Process the records of a file, compare the store with the oracle, and return how many were applied."""
    with on(file) as pipeline:
        counts = pipeline.process()
        assert differences(pipeline) == []
    return counts[RecordClass.APPLIED]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A file with one processed event."""
    file = tmp_path / "shop.db"
    with on(file) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
    return file


@contextmanager
def as_nobody() -> Iterator[None]:
    """Drop the rights of root, which may write to any file."""
    user_id = os.geteuid()
    if user_id == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user_id)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("use", ["publish", "process"])
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o666, 0o555)])
def test_a_read_only_file_or_folder_is_an_error(
    use: str, file_mode: int, folder_mode: int, shop: Path, open_folder: Path
) -> None:
    file = open_folder / "shop.db"
    file.write_bytes(shop.read_bytes())
    file.chmod(file_mode)
    open_folder.chmod(folder_mode)
    with as_nobody(), on(file) as pipeline, pytest.raises(Unavailable, match="must be writable for this user"):
        USES[use](pipeline)
    open_folder.chmod(0o777)
    assert count_applied(file) == 1


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_moved_or_replaced_file_is_an_error(
    use: str, is_replaced: bool, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record written to such a file would be acknowledged and lost."""
    if use == "profile":  # readers check the file once a second, and lose nothing before
        monkeypatch.setattr(database, "FILE_CHECK_INTERVAL_S", 0.0)
    away = shop.with_name("away.db")
    with on(shop) as pipeline:
        pipeline.process()
        for durable in (False, True):  # each of a thread's connections
            pipeline.container.database().connection(durable)
        shop.rename(away)
        if is_replaced:
            with on(shop) as other:
                other.publish(visits("cyd", "mug"))
        with pytest.raises(PipelineError, match=r"was deleted, moved or replaced|was deleted or replaced"):
            USES[use](pipeline)
    assert count_applied(away) == 1


def test_a_full_disk_stops_the_publisher_and_loses_nothing(shop: Path) -> None:
    with on(shop) as pipeline:
        _leave_no_room(pipeline, durable=True)
        with pytest.raises(Unavailable, match="its disk is full: make room"):
            pipeline.publish(visits("bob", *(f"p{number}" for number in range(500))))
    assert count_applied(shop) == 1


def test_a_full_disk_stops_the_worker_and_loses_nothing(shop: Path) -> None:
    with on(shop) as pipeline:
        for number in range(20):
            pipeline.publish(visits(f"u{number}", *(f"p{number}-{product}" for product in range(25))))
        _leave_no_room(pipeline, durable=False)
        with pytest.raises(Unavailable, match="its disk is full: make room"):
            pipeline.process()
    assert count_applied(shop) == 501


def _leave_no_room(pipeline: Pipeline, durable: bool) -> None:
    connection = pipeline.container.database().connection(durable)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    assert connection.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone()[0] == pages + 1


def test_a_lock_held_beyond_the_busy_timeout_is_an_error(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with on(shop) as pipeline, closing(sqlite3.connect(shop, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert pipeline.profile("ada").customer.customer_id == "ada"  # readers do not wait for the writer
        with pytest.raises(Unavailable, match="another program has held it for"):
            pipeline.publish(visits("bob", "mug"))
        other.execute("ROLLBACK")
        pipeline.publish(visits("bob", "mug"))
    assert count_applied(shop) == 2


def in_a_child(use: Callable[[], str]) -> str:
    """Fork, and return the child's result or error as text; the child never returns into the tests."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                result = use()
            except BaseException as error:
                result = f"{type(error).__name__}: {error}"
            os.write(writing, result.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        result = answer.read().decode()
    os.waitpid(child, 0)
    return result


def test_after_a_fork_each_process_opens_its_own_connections(shop: Path) -> None:
    with on(shop) as pipeline:
        pipeline.process()
        before = pipeline.container.database().connection()

        def use() -> str:
            with on(shop) as mine:
                mine.publish(visits("bob", "mug"))
                return f"{mine.profile('ada').customer.customer_id}, {len(mine.trending())}"

        assert in_a_child(use) == "ada, 1"
        assert pipeline.container.database().connection() is not before
        assert pipeline.process() == {RecordClass.APPLIED: 2}
        assert differences(pipeline) == []


def test_after_a_fork_the_child_cannot_use_the_pipeline_of_the_parent(shop: Path) -> None:
    with on(shop) as pipeline:
        pipeline.process()
        assert "this pipeline was opened before the process was forked" in in_a_child(lambda: str(pipeline.process()))
        container = pipeline.container
        assert in_a_child(lambda: str(container.process_events()(0))).startswith(
            "UnrecoverableState: this worker was made before the process"
        )
        pipeline.publish(visits("bob", "mug"))
        assert pipeline.process() == {RecordClass.APPLIED: 2}


def test_a_fork_during_a_transaction_is_an_error_in_the_child(shop: Path) -> None:
    with on(shop) as pipeline:
        holding, done = threading.Event(), threading.Event()

        def hold() -> None:
            with pipeline.container.database().transaction():
                holding.set()
                done.wait(30)

        other = threading.Thread(target=hold)
        other.start()
        holding.wait(30)
        try:
            for use in (
                lambda: str(pipeline.container.customer_queries().counts()),
                lambda: str(on(shop).profile("ada")),
            ):
                assert "was in use when this process was forked, and cannot be opened here" in in_a_child(use)
        finally:
            done.set()
        other.join()
        assert pipeline.profile("ada").customer.customer_id == "ada"
    assert count_applied(shop) == 1
