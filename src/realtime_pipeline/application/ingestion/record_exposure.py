"""RecordExposure: say that a list was shown, so that it counts for repeats and for experiments."""

from collections.abc import Callable, Sequence

from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId, naming


class RecordExposure:
    """Publishes that products were shown to a customer."""

    def __init__(
        self,
        publish: PublishEvents,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._new_id = new_id

    def __call__(
        self, customer_id: CustomerId, products: Sequence[ProductId], experiment: str = "", variant: str = ""
    ) -> None:
        """Publish an exposure as of now.

        Raises:
            InvalidEvents: no products were shown, or too many for one list.
        """
        properties: dict[str, object] = {"products": list(products)}
        if experiment:
            properties |= {"experiment": experiment, "variant": variant}
        event = {
            "event_id": self._new_id(),
            "event_type": EventKind.RECOMMENDATIONS_SHOWN.value,
            **naming(customer_id),
            "timestamp": self._clock.now_ms(),
            "properties": properties,
        }
        self._publish.documents([event])
