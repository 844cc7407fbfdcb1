"""ForgetCustomer: have everything about one customer erased."""

from collections.abc import Callable, Mapping

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.publish_events import PublishEvents
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, EventKind


class ForgetCustomer:
    """Publishes that a customer is to be forgotten. The worker that owns the customer does it, in the log's order."""

    def __init__(
        self, publish: PublishEvents, clock: Clock, encode_event: Callable[[Mapping[str, object]], bytes]
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._encode_event = encode_event

    def __call__(self, customer_id: CustomerId) -> int:
        """Ask for a customer to be forgotten as of now; return that time in ms.

        Records up to it that come later, by a replay, are counted as forgotten and not folded.
        """
        now_ms = self._clock.now_ms()
        known_as = "session_id" if customer_id.startswith(ANONYMOUS) else "user_id"
        event = {
            "event_type": EventKind.CUSTOMER_FORGOTTEN.value,
            known_as: customer_id.removeprefix(ANONYMOUS),
            "timestamp": now_ms,
        }
        self._publish([self._encode_event(event)])
        return now_ms
