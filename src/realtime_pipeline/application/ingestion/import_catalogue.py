"""ImportCatalogue: publish the products of a source as catalogue events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ingestion.prepare_records import PrepareRecords
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.decoding import Decode
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.shop.facts import STOCK
from realtime_pipeline.domain.streams.records import Record, Rejected
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.timeliness import untimely
from realtime_pipeline.domain.streams.watermark import BEGINNING_OF_TIME
from realtime_pipeline.domain.views.listings import CATALOGUE_KINDS

_READ_AT_ONCE = 1_000


@attrs.frozen
class CatalogueImport:
    """What an import did.

    `published` counts events, `products` the distinct products in them, `invalid` events that become dead letters, of
    which `first_invalid` says where the first is from and why; `removed` are products that the source does not have.
    """

    published: int
    products: int
    invalid: int
    removed: int
    first_invalid: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as a JSON document."""
        return attrs.asdict(self)


class ImportCatalogue:
    """Publishes what a source states of products, and removes the products that it does not have, if asked to.

    An import can be repeated: facts of a later time replace those before.
    """

    def __init__(
        self, publish: PublishEvents, decode: Decode, products: ProductQueries, settings: FoldSettings, clock: Clock
    ) -> None:
        self._publish = publish
        self._decode = decode
        self._products = products
        self._settings = settings
        self._clock = clock

    def __call__(
        self,
        source: Source,
        prepare: PrepareRecords,
        at_ms: int,
        removed_max_share: float | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> CatalogueImport:
        """Import the products of a source.

        Args:
            source: where from; it is read from its start.
            prepare: makes catalogue events of its records.
            at_ms: the time of the events that remove products.
            removed_max_share: products that are listed in the store and not in the source are removed, unless they are
                more than this share of those listed; None removes none.
            on_progress: called with the number of events published so far.

        Raises:
            InvalidEvents: the records become events of other kinds; or products would have to be removed, and some
                events are invalid, or they are too many. All else is published by then.
        """
        published, invalid = 0, list[str]()
        found: set[ProductId] = set()
        now_ms, newest_ms = self._clock.now_ms(), cache(self._newest_ms)
        lines = self._publish.lines()
        for outgoing in _batches(source, prepare):
            for made in outgoing:
                try:
                    event = self._event_of(made)
                    self._check_time(event, now_ms, newest_ms)
                except ValueError as error:
                    invalid.append(f"{made.origin}: {error}" if not invalid else "")
                else:
                    found.update(() if event.product_id is None else (event.product_id,))
            published += lines.publish(outgoing)
            on_progress(published)
        lines.end()
        removed = 0
        if removed_max_share is not None:
            removed = self._remove_others(found, invalid, at_ms, removed_max_share)
        return CatalogueImport(published + removed, len(found), len(invalid), removed, "".join(invalid[:1]))

    def _event_of(self, made: Outgoing) -> Event:
        """Read a catalogue event.

        Raises:
            ValueError: the event is invalid; the message is the reason of its dead letter.
            InvalidEvents: it is no catalogue event.
        """
        decoded = self._decode(Record(0, 0, made.key, made.value, 0, made.origin))
        if isinstance(decoded, Rejected):
            raise ValueError(decoded.reason)
        if isinstance(decoded, Event) and decoded.kind in CATALOGUE_KINDS:
            return decoded
        kind = decoded.kind if isinstance(decoded, Event) else "of no known type"
        raise InvalidEvents(
            f"{made.origin}: it becomes an event {kind}: the mapping of an import makes product_updated, "
            "product_removed and stock_set"
        )

    def _check_time(self, event: Event, now_ms: int, newest_ms: Callable[[], int]) -> None:
        """Check that the worker will accept an event's time, as far as can be told before its partition is known.

        Raises:
            ValueError: it is in the future, or its stock level is too late; the message is the reason.
        """
        is_late = now_ms - event.occurred_at_ms > self._settings.stock_lateness_ms
        watermark_ms = newest_ms() if is_late and STOCK in event.facts else BEGINNING_OF_TIME
        reason = untimely(event, now_ms, watermark_ms, self._settings)
        if reason is not None:
            raise ValueError(reason)

    def _newest_ms(self) -> int:
        """The largest watermark of the store: no partition is further."""
        return max((mark.at_ms for mark in self._products.watermarks().values()), default=BEGINNING_OF_TIME)

    def _remove_others(self, found: set[ProductId], invalid: Sequence[str], at_ms: int, share_max: float) -> int:
        listed = list(self._listed())
        missing = [product_id for product_id in listed if product_id not in found]
        if missing and invalid:
            raise InvalidEvents(
                f"no product was removed: {counted(len(invalid), 'event')} of the source are invalid, and may be of "
                f"products that would be removed; correct them, and import again ({invalid[0]})"
            )
        if len(missing) > share_max * len(listed):
            raise InvalidEvents(
                f"no product was removed: {len(missing):,} of {counted(len(listed), 'product')} are not in the source, "
                f"more than the share {share_max:g}; raise it, if the source is complete"
            )
        documents: list[Mapping[str, object]] = [
            {"event_type": EventKind.PRODUCT_REMOVED.value, "product_id": product_id, "timestamp": at_ms}
            for product_id in missing
        ]
        return self._publish.documents(documents) if documents else 0

    def _listed(self) -> Iterator[ProductId]:
        """The products that the store lists."""
        known = [product_id for product_id, _ in self._products.scan()]
        for begin in range(0, len(known), _READ_AT_ONCE):
            listings = self._products.listings(known[begin : begin + _READ_AT_ONCE])
            yield from (product_id for product_id, listing in listings.items() if not listing.is_removed)


def _batches(source: Source, prepare: PrepareRecords) -> Iterator[list[Outgoing]]:
    try:
        source.open({})
        while (batch := source.read(BATCH_RECORDS_MAX, 0.0)) is not None:
            yield [made for record in batch.records for made in prepare(record)]
    finally:
        source.close()
