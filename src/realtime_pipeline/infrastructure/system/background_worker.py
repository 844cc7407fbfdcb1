"""Runs the worker of a pipeline: one thread at a time, the caller's or a background thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realtime_pipeline.application.errors import PipelineError, ProcessingFailed, UnrecoverableState
from realtime_pipeline.application.processing.worker import Worker
from realtime_pipeline.infrastructure.forks import OpeningProcess


class BackgroundWorker:
    """Lets one thread at a time process events, and keeps the failure of the background thread."""

    def __init__(self, worker: Callable[[], Worker]) -> None:
        self._make_worker = worker
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._process: OpeningProcess | None = None

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process opened the pipeline; true for a pipeline with nothing open."""
        return self._process is None or self._process.is_this

    @property
    def is_running(self) -> bool:
        """Whether the background thread runs and has not failed."""
        thread = self._thread
        return thread is not None and thread.is_alive() and self._failure is None

    def check(self) -> None:
        """Check that this process may use the pipeline, and that the background thread has not failed.

        Raises:
            ProcessingFailed: the background thread has failed.
            Unavailable: the pipeline was used before the process was forked.
        """
        if self._process is None:  # the first use: nothing was open before
            self._process = OpeningProcess()
        self._process.check()
        failure = self._failure
        if failure is not None:
            why = str(failure) if isinstance(failure, PipelineError) else f"{type(failure).__name__}: {failure}"
            raise ProcessingFailed(
                f"processing has stopped, and no new event is processed: {why}; see to that, then leave the "
                "processing() block and begin another, in a new pipeline"
            ) from failure

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads of this pipeline from processing until the block ends.

        Raises:
            ProcessingFailed: the background thread has failed.
            UnrecoverableState: another thread is processing.
            Unavailable: the pipeline was used before the process was forked.
        """
        self.check()
        if not self._lock.acquire(blocking=False):
            raise UnrecoverableState(
                "this pipeline is processing already, in another thread: wait until that has ended, or end it first"
            )
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def running(self, on_failure: Callable[[BaseException], object] | None = None) -> Iterator[None]:
        """Process events in a background thread until the block ends; then raise the error that the thread failed with.

        Args:
            on_failure: called with the error, in the background thread.

        Raises:
            ProcessingFailed: the thread of an earlier block has failed.
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
            except BaseException as error:  # every error: the caller gets it at the next use of the pipeline
                self._failure = error
                if on_failure is not None:
                    try:
                        on_failure(error)
                    except BaseException as another:  # every error: a note of the first
                        error.add_note(f"on_failure, called with this, failed: {another!r}")

        thread = self._thread = threading.Thread(target=work, name="worker")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            failure, self._failure, self._thread = self._failure, None, None
        if failure is not None:
            raise failure
