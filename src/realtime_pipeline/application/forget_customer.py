"""ForgetCustomer: have everything about one customer erased."""

from collections.abc import Callable, Mapping

from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.publish_events import PublishEvents
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, EventKind


class ForgetCustomer:
    """Publishes that a customer is to be forgotten. The worker that owns the customer does it, in the log's order."""

    def __init__(
        self,
        publish: PublishEvents,
        cells: CellStore,
        clock: Clock,
        encode_event: Callable[[Mapping[str, object]], bytes],
    ) -> None:
        self._publish = publish
        self._cells = cells
        self._clock = clock
        self._encode_event = encode_event

    def __call__(self, customer_id: CustomerId) -> int:
        """Ask for a customer to be forgotten; return the time as of which they are, in ms.

        That is now, or when they were last seen, if by their clock that is later still. Records up to it that come
        later, by a replay, are counted as forgotten and not folded.
        """
        customer = self._cells.customer(customer_id)
        last_seen_ms = customer.last_seen_ms if customer is not None else None
        as_of_ms = max(self._clock.now_ms(), last_seen_ms or 0)
        known_as = "session_id" if customer_id.startswith(ANONYMOUS) else "user_id"
        event = {
            "event_type": EventKind.CUSTOMER_FORGOTTEN.value,
            known_as: customer_id.removeprefix(ANONYMOUS),
            "timestamp": as_of_ms,
        }
        self._publish([self._encode_event(event)])
        return as_of_ms
