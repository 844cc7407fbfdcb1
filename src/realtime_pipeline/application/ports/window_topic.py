"""WindowTopic: where programs that follow a stream find the results of final windows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.results import WindowResult


class WindowTopic(ABC):
    """Publishes results; each under a key of its definition, fingerprint, start and key.

    A result may be published again, with the same value under the same key: "once" is said of keys, not of records. The
    worker that emits windows calls it, from one thread, before it notes how far results are written.
    """

    @abstractmethod
    def publish(self, definition: WindowedAggregate, results: Sequence[WindowResult]) -> None:
        """Publish results; on return they are durable.

        Raises:
            Unreachable: not all are known to be published; call it again.
            UnrecoverableState: there is no such topic.
        """


class NoWindowTopic(WindowTopic):
    """For logs without topics: readers ask for results."""

    def publish(self, definition: WindowedAggregate, results: Sequence[WindowResult]) -> None:
        """Publish nothing."""
