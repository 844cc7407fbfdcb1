"""What tests of sources share: publishing into a pipeline's log, and comparing it with what the source had."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from harness.support.log_io import read_log
from realtime_pipeline import Pipeline
from realtime_pipeline.application.ingestion.run_source import Prepare, SourceProgress
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source import Source, SourceRecord, Unreadable
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
        waiting = threading.Event()
        for _ in range(int(WAIT_S / 0.02)):
            if is_reached(self.progress) or self.failure is not None:
                break
            waiting.wait(0.02)
        assert self.failure is None, repr(self.failure)
        assert is_reached(self.progress), self.progress

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the call, and wait for its end."""
        self._is_stopping.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@contextmanager
def running(pipeline: Pipeline, source: Source) -> Iterator[RunningSource]:
    """Run a source until the block ends."""
    run = RunningSource(pipeline, source)
    run.start()
    try:
        yield run
    finally:
        run.stop()
