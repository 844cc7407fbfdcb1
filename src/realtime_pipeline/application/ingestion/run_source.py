"""RunSource: publish what a source has, each record once, as fast as the log takes it."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.application.ingestion.pace import Pace
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.source import Source, SourceBatch, SourceRecord
from realtime_pipeline.application.ports.source_publisher import SourcePublisher

BATCH_RECORDS_MAX: Final = 2_000
READ_WAIT_S: Final = 0.2
RETRY_WAIT_S: Final = 0.2
RETRY_WAIT_MAX_S: Final = 5.0

Prepare = Callable[[SourceRecord], Sequence[Outgoing]]
"""Makes the log's records of a source's: none, one or several."""
Stop = Callable[[], bool]
"""Is called between batches; says whether to end."""


@attrs.frozen
class SourceProgress:
    """How far a call has come: records read from the source, events published, and what a person should know.

    `lag` is how far reading is behind the source's end, with its unit; `warning` what to look at although it goes on;
    `problem` why it does not go on at the moment. Each is "" where there is nothing.
    """

    records: int = 0
    published: int = 0
    lag: str = ""
    warning: str = ""
    problem: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as a JSON document."""
        return attrs.asdict(self)


OnProgress = Callable[[SourceProgress], object]


class RunSource:
    """Reads a batch, publishes it with the source's positions, acknowledges it; then the next.

    The log stores the positions with the records. So a call that failed or was killed may be repeated: it goes on
    behind the last record that is in the log. No batch is read before the one before it is published: a slow log slows
    the source, and at most one batch is in memory.
    """

    def __init__(
        self,
        publisher_of: Callable[[str], SourcePublisher],
        observer: StageObserver,
        records_max: int = BATCH_RECORDS_MAX,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._publisher_of = publisher_of
        self._observer = observer
        self._records_max = records_max
        self._wait = wait

    def wait(self, seconds: float, stop: Stop) -> None:
        """Wait, in steps, for so many seconds or until `stop` returns True."""
        while seconds > 0 and not stop():
            step_s = min(seconds, READ_WAIT_S)
            self._wait(step_s)
            seconds -= step_s

    def catch_up(
        self,
        source: Source,
        prepare: Prepare,
        on_progress: OnProgress = lambda _: None,
        stop: Stop = lambda: False,
        rate: float | None = None,
    ) -> SourceProgress:
        """Publish until the source has nothing more to read, or `stop` returns True; at most `rate` events a second.

        Returns:
            How many records were read, and events published.

        Raises:
            UnrecoverableState: going on would lose or double something, or another process reads this source.
            Unavailable: the source or the log does not answer, or denies access; the call may be repeated.
        """
        call = _Call(self, source, prepare, on_progress, rate, stop)
        try:
            call.open()
            while not stop() and call.publish_next(0.0):
                pass
        finally:
            call.close()
        return call.progress

    def run(
        self,
        source: Source,
        prepare: Prepare,
        stop: Stop,
        on_progress: OnProgress = lambda _: None,
        rate: float | None = None,
    ) -> SourceProgress:
        """Publish what comes until `stop` returns True or the source is ended, at most `rate` events a second; wait for
        source and log while they are unreachable.

        Raises:
            UnrecoverableState: as `catch_up`.
            Unavailable: the source or the log denies access.
        """
        call, retry_s = _Call(self, source, prepare, on_progress, rate, stop), 0.0
        try:
            while not stop():
                try:
                    call.open()
                    retry_s = 0.0
                    while not stop():
                        if not call.publish_next(READ_WAIT_S) and source.is_ended:
                            return call.progress
                except Unreachable as silence:
                    retry_s = min(max(2 * retry_s, RETRY_WAIT_S), RETRY_WAIT_MAX_S)
                    call.fail(silence)
                    self.wait(retry_s, stop)
        finally:
            call.close()
        return call.progress


class _Call:
    """One call of `RunSource`: an open source, its publisher, and what was done."""

    def __init__(
        self, run: RunSource, source: Source, prepare: Prepare, on_progress: OnProgress, rate: float | None, stop: Stop
    ) -> None:
        self.progress = SourceProgress()
        self._run = run
        self._source = source
        self._prepare = prepare
        self._on_progress = on_progress
        self._publisher: SourcePublisher | None = None
        self._pace = Pace(rate, wait=lambda seconds: run.wait(seconds, stop))

    def open(self) -> None:
        """Claim the source, and open it at the positions that the log has."""
        positions = self._opened_publisher().claim()
        self._source.open(positions)
        if positions:
            self._source.acknowledge(positions)  # the call that published them may have been killed before

    def publish_next(self, timeout_s: float) -> bool:
        """Publish the next batch; return whether there was one."""
        batch = self._source.read(self._pace.batch(self._run._records_max), timeout_s)
        if batch is None:
            self._report(records=0, published=0)
            return False
        self._run._observer.reached(Stage.SOURCE_READ, len(batch.records))
        published = self._publish(batch)
        self._report(len(batch.records), published)
        self._pace.after(published)
        return True

    def _opened_publisher(self) -> SourcePublisher:
        if self._publisher is None:
            self._publisher = self._run._publisher_of(self._source.name)
        return self._publisher

    def _publish(self, batch: SourceBatch) -> int:
        outgoing = [made for record in batch.records for made in self._prepare(record)]
        self._opened_publisher().publish(outgoing, batch.positions)
        self._run._observer.reached(Stage.SOURCE_PUBLISHED, len(outgoing))
        self._source.acknowledge(batch.positions)
        return len(outgoing)

    def fail(self, silence: Unreachable) -> None:
        """Report why reading does not go on, and close the source, to open it again."""
        self.progress = attrs.evolve(self.progress, problem=str(silence))
        self._on_progress(self.progress)
        self._source.close()

    def close(self) -> None:
        """Close source and publisher."""
        self._source.close()
        if self._publisher is not None:
            self._publisher.close()

    def _report(self, records: int, published: int) -> None:
        self.progress = SourceProgress(
            self.progress.records + records,
            self.progress.published + published,
            self._source.lag(),
            self._source.warning(),
        )
        self._on_progress(self.progress)
