"""Sink: where the log's events are delivered to, as a table of a warehouse or a folder of files."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import attrs

from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.shop.money import as_number
from realtime_pipeline.domain.shop.times import utc_text

_SALES = (EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED)


@attrs.frozen
class Row:
    """An event of the log as a sink stores it; partition and position are its key.

    `event` is what the decoder understood; `document` is the event as it was published: a JSON object in UTF-8 without
    blanks or line ends between its parts, its fields in their order, its numbers digit for digit.
    """

    position: int
    appended_at_ms: int
    event: Event
    document: bytes
    origin: str | None = None

    def columns(self) -> dict[str, object]:
        """The values that a warehouse has in columns of their own, by name: ids as text, times as text in UTC.

        `amount` is the total of a purchase or refund, in units of the currency. What does not apply is None.
        """
        event = self.event
        is_sale = event.kind in _SALES
        return {
            "event_id": event.event_id,
            "kind": event.kind.value,
            "customer_id": event.customer_id,
            "session_id": event.session_id,
            "signed_in_as": event.identified_as,
            "product_id": event.product_id,
            "order_id": event.order_id,
            "quantity": event.quantity if is_sale else None,
            "amount": as_number(event.amount) if is_sale else None,
            "occurred_at": utc_text(event.occurred_at_ms),
            "appended_at": utc_text(self.appended_at_ms),
            "origin": self.origin,
        }


@attrs.frozen
class Delivery:
    """The events among the records [from, to) of one partition, in order; none, where no record is an event."""

    partition: int
    from_position: int
    to_position: int
    rows: tuple[Row, ...]


class Sink(ABC):
    """Stores the events of one log, together with the position up to which it has them.

    The position of a partition is the next one to deliver: the sink has every event before it, each once, and none from
    it on. It lies where the rows lie, and changes with them: so whoever delivers may be killed at any time, and goes on
    from the sink's positions.

    `RunSink` calls it from one thread: `bind` once, then `positions` once and after each refusal, then `write` for one
    batch of one partition after the other, of some thousand rows; while it follows the log, every few seconds. Every
    method may block for as long as the technology needs. Several processes may deliver to one sink at once: of two
    batches that begin at the same position, one is refused.
    """

    @abstractmethod
    def bind(self, log_id: str) -> None:
        """Tie the sink to a log, the first time; check it, every other time: positions mean nothing in another log.

        Raises:
            WrongLog: the sink has the events of another log.
            UnrecoverableState: what is stored is damaged, or a newer release wrote it.
            Unavailable: the sink cannot be opened or does not answer.
        """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the next position to deliver of each partition; 0 where nothing was delivered.

        Raises:
            UnrecoverableState: what is stored is damaged.
            Unavailable: the sink does not answer.
        """

    @abstractmethod
    def write(self, delivery: Delivery) -> None:
        """Store the rows and the position `to_position`, all or nothing; both are durable on return.

        Raises:
            PositionMismatch: the delivery does not begin at the partition's position, which the error carries; nothing
                was changed.
            UnrecoverableState: what is stored is damaged.
            Unavailable: the sink did not acknowledge it; it has stored all of it or nothing.
        """
