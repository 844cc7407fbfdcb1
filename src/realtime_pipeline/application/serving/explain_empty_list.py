"""ExplainEmptyList: why a list is empty, and what to do about it."""

from collections.abc import Callable
from typing import Final

from realtime_pipeline.application.errors import PipelineError
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.serving.resolve_customers import resolve_customer
from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.domain.plurals import counted, numbered
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass

NO_EVENTS: Final = "the log has no events; publish some, and let a worker process them"
NO_SOURCES: Final = "every source of recommendations has weight 0; give one of [recommendations.blend] a weight"
STALE_TRENDING: Final = (
    "what is trending was read before there was any; ask again (the setting cache.trending_ms says when)"
)
NO_RATINGS: Final = "no review with a rating has been counted"


class ExplainEmptyList:
    """Finds the cause of an empty list: first in the log, then in the store, then in the settings.

    The notes of a list name what filters and the customer's session removed; this is for a list without notes. It reads
    the ends of the log and the positions of the store, which takes longer than a list: call it for people, not for
    every request. Each method returns one line.
    """

    def __init__(
        self,
        log: Callable[[], EventLog],
        customers: CustomerQueries,
        products: ProductQueries,
        cache: SharedCache,
        settings: RecommendationSettings,
        experiment: Experiment,
    ) -> None:
        self._experiment = experiment
        self._log = log
        self._customers = customers
        self._products = products
        self._cache = cache
        self._settings = settings

    def of_customer(self, customer_id: CustomerId) -> str:
        """Explain an empty list for a customer."""
        cause = self._why_nothing_counted()
        if cause is not None:
            return cause
        customer = resolve_customer(self._customers, customer_id)
        variant = self._experiment.variants.get(self._experiment.variant_of(customer.customer_id))
        settings = self._settings if variant is None else variant.recommendations
        if not any(settings.blend.weights().values()):
            return NO_SOURCES
        cause = (
            "nothing is known of customer {}" if customer.is_blank else "nothing that customer {} did leads to others"
        )
        return f"{cause.format(customer_id)}, and {self._why_nothing_trending(settings)}"

    def of_product(self, product_id: ProductId) -> str:
        """Explain an empty list for the page of a product."""
        cause = self._why_nothing_counted()
        if cause is not None:
            return cause
        if not any(self._settings.blend.weights().values()):
            return NO_SOURCES
        is_known = bool(self._products.interactions_of([product_id]))
        cause = "no visit leads from product {} to others" if is_known else "nothing is known of product {}"
        return f"{cause.format(product_id)}, and {self._why_nothing_trending(self._settings)}"

    def of_trending(self, country: str | None = None) -> str:
        """Explain an empty trending list of a country or of the whole shop."""
        cause = self._why_nothing_counted()
        if cause is not None:
            return cause
        if country is not None:
            if self._store_has_trending(self._settings, country):
                return STALE_TRENDING
            if self._store_has_trending(self._settings):
                return f"nothing is trending in {country}, but elsewhere; leave out the country"
        return self._why_nothing_trending(self._settings)

    def of_ratings(self) -> str:
        """Explain an empty list of top rated products."""
        return self._why_nothing_counted() or NO_RATINGS

    def _why_nothing_counted(self) -> str | None:
        """Return why no event has been counted; None if some have, and no record waits to be processed."""
        counts = self._customers.counts()
        processed = sum(counts.values())
        try:
            unprocessed = self._unprocessed_records()
        except PipelineError as error:
            return None if processed else f"nothing was processed yet, and the log cannot be read: {error}"
        if unprocessed:
            wait = numbered(unprocessed, "record waits", "records wait")
            way_out = "run a worker (realtime-pipeline worker), or wait until it has caught up"
            return f"{unprocessed:,} {wait} to be processed; {way_out}"
        if not processed:
            return NO_EVENTS
        if counts.get(RecordClass.APPLIED, 0):
            return None
        letters, ignored = counts.get(RecordClass.DEAD_LETTER, 0), counts.get(RecordClass.IGNORED, 0)
        causes = [
            f"{counted(letters, 'dead letter')} (realtime-pipeline dead-letters says why)" if letters else "",
            f"{ignored:,} of types that [event_types] does not map" if ignored else "",
        ]
        among = ", ".join(filter(None, causes))
        return f"{counted(processed, 'record')} processed, and none counts{f': {among}' if among else ''}"

    def _unprocessed_records(self) -> int:
        """Count the records of the log that the cells, or the view cells, have yet to process."""
        log = self._log()
        partitions = range(log.identity.partitions)
        cells, views = self._customers.positions(partitions), self._products.positions(partitions)
        bounds, ends = log.bounds(partitions), log.ends(partitions)
        return sum(
            max(0, ends[number] - max(bounds[number][0], min(cells[number], *views[number]))) for number in partitions
        )

    def _store_has_trending(self, settings: RecommendationSettings, country: str | None = None) -> bool:
        """Whether anything is trending, read from the store past all caches."""
        return bool(self._products.trending(settings.trending, None, 1, country, 0, self._cache.now_ms()))

    def _why_nothing_trending(self, settings: RecommendationSettings) -> str:
        if self._cache.trending(settings.trending):
            return "what is trending is not recommended: [recommendations.blend] has trending = 0"
        if self._store_has_trending(settings):
            return STALE_TRENDING
        if not self._products.interactions():
            return "no counted event views, carts or buys a product"
        hours = counted(settings.trending.window_hours, "hour")
        return (
            f"nothing is trending: in the {hours} up to the newest event, the views, carts and purchases of no product "
            "have a score above 0 by [recommendations.trending]"
        )
