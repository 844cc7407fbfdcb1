"""What tests of sources share: publishing into a pipeline's log, and comparing it with what the source had."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from signal import SIGKILL

import msgspec
from dependency_injector import providers

from harness.commands.fault import SignalAt
from harness.support.log_io import read_log
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX, Prepare, RunSource, SourceProgress
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord, Unreadable
from realtime_pipeline.composition.tables import LOGS
from tests.support.histories import event

WAIT_S = 60.0


def view(number: int, customer: str | None = None) -> bytes:
    """The document of a view with a number as its id; without a customer, customers take turns."""
    user = customer or f"customer-{number % 7}"
    return msgspec.json.encode(event(f"e{number:06d}", user=user, at_ms=1_000_000 + 1_000 * number, product="mug"))


def preparing(pipeline: Pipeline) -> Prepare:
    """Make the log's record of a source's: its value, by the customer's key."""
    routing_key = pipeline.container.decoder().routing_key

    def prepare(record: SourceRecord) -> Sequence[Outgoing]:
        value = record.value
        if isinstance(value, Unreadable):
            value = value.raw
        elif isinstance(value, Mapping):
            value = msgspec.json.encode(value)
        key = routing_key(value)
        return [Outgoing(None if key is None else key.encode(), value, record.origin)]

    return prepare


def ids_by_customer(pipeline: Pipeline) -> dict[str, list[str]]:
    """By customer, the ids of the events in the log, in its order."""
    found = dict[str, list[str]]()
    for record in read_log(pipeline.container.log()):
        document = msgspec.json.decode(record.value)
        if "event_id" in document:
            found.setdefault(document["user_id"], []).append(document["event_id"])
    return found


def expected_ids(numbers: range) -> dict[str, list[str]]:
    """What `ids_by_customer` returns when the views of these numbers are in the log, each once and in order."""
    found = dict[str, list[str]]()
    for number in numbers:
        found.setdefault(f"customer-{number % 7}", []).append(f"e{number:06d}")
    return found


class RunningSource:
    """`RunSource.run` in a thread: its progress, and the error that ended it."""

    def __init__(self, pipeline: Pipeline, source: Source) -> None:
        self.progress = SourceProgress()
        self.problems = set[str]()
        self.failure: BaseException | None = None
        self._pipeline = pipeline
        self._source = source
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._pipeline.container.run_source().run(
                self._source, preparing(self._pipeline), self._is_stopping.is_set, self._note
            )
        except BaseException as error:  # the test looks at it
            self.failure = error

    def _note(self, progress: SourceProgress) -> None:
        self.progress = progress
        if progress.problem:
            self.problems.add(progress.problem)

    def wait_until(self, is_reached: Callable[[SourceProgress], bool]) -> None:
        """Wait until the progress is as wanted."""
        wait_until(lambda: is_reached(self.progress) or self.failure is not None)
        assert self.failure is None, repr(self.failure)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the call, and wait for its end."""
        self._is_stopping.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


def wait_until(is_reached: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + WAIT_S
    while not is_reached():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@contextmanager
def sqlite_locked(pipeline: Pipeline) -> Iterator[None]:
    """Hold the lock of the pipeline's file: until the block ends, nothing can be published."""
    connection = sqlite3.connect(pipeline.container.settings().database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def running(pipeline: Pipeline, source: Source) -> Iterator[RunningSource]:
    """Run a source until the block ends."""
    run = RunningSource(pipeline, source)
    run.start()
    try:
        yield run
    finally:
        run.stop()


class CountingSource(Source):
    """Counts the records that are read from another source."""

    def __init__(self, source: Source) -> None:
        self.records = 0
        self._source = source

    @property
    def name(self) -> str:
        return self._source.name

    def open(self, positions: Positions) -> None:
        self._source.open(positions)

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        batch = self._source.read(records_max, timeout_s)
        self.records += 0 if batch is None else len(batch.records)
        return batch

    def acknowledge(self, positions: Positions) -> None:
        self._source.acknowledge(positions)

    def lag(self) -> str:
        return self._source.lag()

    def close(self) -> None:
        self._source.close()


def stop_the_log(
    settings: Settings,
    source: Source,
    fill: Callable[[range], object],
    stopped: Callable[[Pipeline], AbstractContextManager[None]] = sqlite_locked,
) -> None:
    """Stop the log while a source has 5,000 records more, and check that no more than a batch is read meanwhile."""
    with Pipeline(settings) as pipeline:
        counting = CountingSource(source)
        fill(range(100))
        with running(pipeline, counting) as run:
            run.wait_until(lambda progress: progress.published == 100)
            with stopped(pipeline):
                fill(range(100, 5_100))
                wait_until(lambda: counting.records > 100)
                time.sleep(0.5)
                assert counting.records - 100 <= BATCH_RECORDS_MAX
            run.wait_until(lambda progress: progress.published == 5_100)
        assert ids_by_customer(pipeline) == expected_ids(range(5_100))


def publish_until_killed(settings: Settings, source: Source, stage: Stage, times: int) -> None:
    """Publish from a source, five records a batch, and kill this process when the stage is reached so often."""
    observer = SignalAt(stage, times, SIGKILL, None)
    with Pipeline(settings) as pipeline:
        pipeline.container.observer.override(providers.Object(observer))
        run = RunSource(
            lambda name: LOGS[settings.log].source_publisher(pipeline.container, name), observer, records_max=5
        )
        run.catch_up(source, preparing(pipeline))


def killed_at(settings: Settings, source: Source, stage: Stage, times: int) -> None:
    """Run `publish_until_killed` in a process of its own, and check that it was killed."""
    process = get_context("spawn").Process(target=publish_until_killed, args=(settings, source, stage, times))
    process.start()
    process.join(WAIT_S)
    assert process.exitcode == -SIGKILL
