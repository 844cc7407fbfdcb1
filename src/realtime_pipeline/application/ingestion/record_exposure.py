"""RecordExposure: publish that products were shown to a customer, for `shown_max` and for experiments."""

from collections.abc import Callable, Sequence

from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId, customer_id_field


class RecordExposure:
    """Publishes an event for each list that was shown to a customer."""

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
        """Publish an exposure with the time of the clock.

        Args:
            customer_id: the customer who saw the list.
            products: the products of the list.
            experiment: the experiment that made the list; "" for none.
            variant: its variant.

        Raises:
            InvalidEvents: there are no products, or more than a list can have.
        """
        properties: dict[str, object] = {"products": list(products)}
        if experiment:
            properties |= {"experiment": experiment, "variant": variant}
        event = {
            "event_id": self._new_id(),
            "event_type": EventKind.RECOMMENDATIONS_SHOWN.value,
            **customer_id_field(customer_id),
            "timestamp": self._clock.now_ms(),
            "properties": properties,
        }
        self._publish.documents([event])
