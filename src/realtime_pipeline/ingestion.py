"""Ingestion: the part of a `Pipeline` that takes events in."""

from collections.abc import Callable, Mapping, Sequence

from realtime_pipeline.application.ingestion.check_events import CheckReport
from realtime_pipeline.application.ingestion.import_catalogue import CatalogueImport
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX, SourceProgress
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.operations import Operations

RATE_MAX = 1e9
PRODUCTS = "products"
"""The shipped mapping of files of products."""
CHECK_WAIT_S = 1.0
"""For how long `check` waits for a source's next records."""


class Ingestion(Operations):
    """The part of a `Pipeline` that takes events in: from callers, and from sources."""

    def publish(self, events: Sequence[Mapping[str, object]], mapping: str = "") -> int:
        """Append events to the log, all or none; they are durable on return.

        Args:
            events: JSON documents in any accepted schema; or of a mapping's format.
            mapping: the name of a mapping, of the settings or shipped, that makes events of the documents: none, one or
                several of each.

        Returns:
            The number of events.

        Raises:
            InvalidEvents: an event is not valid, cannot be mapped, or is a copy that a worker made; the message says
                which, and why.
            InvalidSettings: there is no such mapping, or it needs the shop's currency.
            Unavailable: the log did not take them all. Kafka may have taken some: publish all again, with their ids.
            ProcessingFailed: the thread of `processing` has failed.
        """
        container = self._checked_container
        documents = container.map_documents(mapping)(events) if mapping else events
        return container.publish_events().documents(documents)

    def publish_source(
        self,
        source: Source,
        mapping: str = "",
        on_progress: Callable[[SourceProgress], object] = lambda _: None,
        rate: float | None = None,
    ) -> SourceProgress:
        """Publish what a source has to read, each record once: the log has the source's positions.

        The call may be repeated after any failure. What cannot become an event becomes a dead letter.

        Args:
            source: where from, as `FileSource("orders", ["orders.csv"], FileFormat("csv"))`.
            mapping: the name of a mapping that makes events of the records; without it they are events already, or have
                fields named as ours.
            on_progress: called after each batch.
            rate: how many events are published a second at most.

        Returns:
            How many records this call has read, and events published.

        Raises:
            InvalidEvents: a file is of another format.
            InvalidSettings: there is no such mapping, or it needs the shop's currency.
            UnrecoverableState: going on would lose or double something, or another process reads the source.
            Unavailable: the source or the log does not answer, or denies access.
            TypeError: `source` is no `Source`.
            ValueError: the rate is not more than 0.
            ProcessingFailed: the thread of `processing` has failed.
        """
        _check_source(source)
        if rate is not None and not 0 < rate <= RATE_MAX:
            raise ValueError(f"rate is a number of events a second, more than 0, not {rate}")
        container = self._checked_container
        prepare = container.prepare_records(source.name, mapping)
        return container.run_source().catch_up(source, prepare, on_progress, rate=rate)

    def import_catalogue(
        self,
        source: Source,
        mapping: str = PRODUCTS,
        at_ms: int | None = None,
        removed_max_share: float | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> CatalogueImport:
        """Publish what a source states of products. It can be repeated: later facts replace those before.

        Args:
            source: where from, as `FileSource("products", ["products.csv"], FileFormat("csv"))`.
            mapping: the name of a mapping that makes catalogue events of the records.
            at_ms: the time that records without a time are of, in ms since 1970; None: the time of the call. Sales
                after it reduce the stock; it may be 24 h ago (`fold.stock_lateness_ms`).
            removed_max_share: removes the products that are listed and not in the source, unless they are more than
                this share of those listed, from 0 to 1; None removes none.
            on_progress: called with the number of events published so far.

        Returns:
            How many events were published, and of how many products.

        Raises:
            InvalidEvents: a file is of another format; the mapping makes no catalogue events; or products should be
                removed, and are too many, or some events are invalid.
            InvalidSettings: there is no such mapping, or it needs the shop's currency.
            Unavailable: the source, the log or the store does not answer, or denies access.
            TypeError: `source` is no `Source`.
            ValueError: `removed_max_share` is not from 0 to 1.
            ProcessingFailed: the thread of `processing` has failed.
        """
        _check_source(source)
        if removed_max_share is not None and not 0 <= removed_max_share <= 1:
            raise ValueError(f"removed_max_share is a number from 0 to 1, not {removed_max_share}")
        container = self._checked_container
        time_ms = container.clock().now_ms() if at_ms is None else at_ms
        prepare = container.prepare_records(source.name, mapping, defaults={"timestamp": time_ms})
        return container.import_catalogue()(source, prepare, time_ms, removed_max_share, on_progress)

    def check(
        self, source: Source, mapping: str = "", records_max: int | None = None, at_ms: int | None = None
    ) -> CheckReport:
        """Say what a source's records would become, and publish nothing.

        Args:
            source: where from; it is read from its start, and nothing is acknowledged.
            mapping: as for `publish_source`.
            records_max: how many records are read at most.
            at_ms: the time that mapped records without a time are of, in ms since 1970; None for none.

        Returns:
            The classes, reasons and sums of the records.

        Raises:
            InvalidEvents: a file is of another format.
            InvalidSettings: there is no such mapping, or it needs the shop's currency.
            UnrecoverableState: a newer release's worker wrote a record of the source.
            Unavailable: the source does not answer, or denies access; or this pipeline was used before the process was
                forked.
            TypeError: `source` is no `Source`.
            ProcessingFailed: the thread of `processing` has failed.
        """
        _check_source(source)
        check, left = self._checked_container.check_events(mapping, at_ms=at_ms), records_max
        try:
            source.open({})
            while left is None or left > 0:
                batch = source.read(BATCH_RECORDS_MAX if left is None else min(left, BATCH_RECORDS_MAX), CHECK_WAIT_S)
                if batch is None:
                    break
                check.add(batch.records)
                left = None if left is None else left - len(batch.records)
        finally:
            source.close()
        return check.report()


def _check_source(source: object) -> None:
    if not isinstance(source, Source):
        raise TypeError(f"source is a Source, as FileSource(…), not a {type(source).__name__}")
