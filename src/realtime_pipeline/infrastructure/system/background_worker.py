"""The worker of a pipeline: one at a time, in the caller's thread or in one of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realtime_pipeline.application.errors import PipelineError, ProcessingFailed, UnrecoverableState
from realtime_pipeline.application.processing.worker import Worker
from realtime_pipeline.infrastructure.forks import OpeningProcess


class BackgroundWorker:
    """Sees that one thread at a time processes events, and that its failure is noticed."""

    def __init__(self, worker: Callable[[], Worker]) -> None:
        self._make_worker = worker
        self._processing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._process: OpeningProcess | None = None

    @property
    def is_of_this_process(self) -> bool:
        """Whether what was opened, if anything was, was opened by the process that asks."""
        return self._process is None or self._process.is_this

    @property
    def is_running(self) -> bool:
        """Whether the thread is there and has not failed."""
        worker = self._thread
        return worker is not None and worker.is_alive() and self._failure is None

    def check(self) -> None:
        """See that this process may use the pipeline, and that the thread which processes events has not failed.

        Raises:
            ProcessingFailed: that thread has failed.
            Unavailable: the pipeline was used before the process was forked.
        """
        if self._process is None:  # a pipeline that was made and not used has nothing open
            self._process = OpeningProcess()
        self._process.check()
        failure = self._failure
        if failure is not None:
            why = str(failure) if isinstance(failure, PipelineError) else f"{type(failure).__name__}: {failure}"
            raise ProcessingFailed(
                f"processing has stopped, and nothing new is counted: {why}; see to that, then leave the processing() "
                "block and begin another, in a new pipeline"
            ) from failure

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads of this pipeline from processing until the block ends.

        Raises:
            ProcessingFailed: the thread has failed.
            UnrecoverableState: another thread is processing.
            Unavailable: the pipeline was used before the process was forked.
        """
        self.check()
        if not self._processing.acquire(blocking=False):
            raise UnrecoverableState(
                "this pipeline is processing already, in another thread: let it, or end that first"
            )
        try:
            yield
        finally:
            self._processing.release()

    @contextmanager
    def running(self, on_failure: Callable[[BaseException], object] | None = None) -> Iterator[None]:
        """Process what is published, in a thread, until the block ends; then raise what the thread failed with.

        Raises:
            ProcessingFailed: the thread of a block before has failed.
            UnrecoverableState: another thread is processing.
        """
        with self.alone(), self._worker(on_failure):
            yield

    @contextmanager
    def _worker(self, on_failure: Callable[[BaseException], object] | None) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            try:
                self._make_worker().run(stop.is_set, lambda _: None)
            except BaseException as error:  # of whatever kind: it is raised where the pipeline is used
                self._failure = error
                if on_failure is not None:
                    try:
                        on_failure(error)
                    except BaseException as another:  # likewise
                        error.add_note(f"on_failure, called with this, failed: {another!r}")

        worker = self._thread = threading.Thread(target=work, name="worker")
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()
            failure, self._failure, self._thread = self._failure, None, None
        if failure is not None:
            raise failure
