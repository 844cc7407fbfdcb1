"""The ordered fold of one partition's records: a function of the log's records and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Final

from realtime_pipeline.domain.shop.customer import (
    APPLIED,
    CANCELLED,
    FORGOTTEN,
    REVIEWED,
    Changes,
    Customer,
    Recorded,
)
from realtime_pipeline.domain.shop.event_memory import Verdict
from realtime_pipeline.domain.shop.events import CustomerId, Event, ProductId
from realtime_pipeline.domain.shop.profile_rules import CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.shop.session import session_key
from realtime_pipeline.domain.streams.effects import DeadLetter, Deltas, Effects, RecordClass
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Tick
from realtime_pipeline.domain.streams.rules import FoldRules
from realtime_pipeline.domain.streams.watermark import Watermark

_ACTIONS: Final = (VIEWED, CARTED, PURCHASED, CANCELLED)
TOO_OLD: Final = "too_old: so many newer events of this customer were folded that a repeat could not be told from news"


def fold(
    records: Iterable[tuple[Record, Decoded]],
    customers: Mapping[CustomerId, Customer],
    watermark: Watermark,
    rules: FoldRules,
) -> tuple[Effects, Watermark]:
    """Fold records of one partition, in log order.

    `customers` holds a customer (a blank one, if new) for every customer the records name; they belong to the fold,
    which changes them: after a refused commit they must be thrown away. Every record ends in exactly one class,
    each judged by itself. An event without a customer has no profile and no memory that could tell a repeat from
    news: it counts for its product as often as it comes.
    """
    folding = _Folding(customers, watermark, rules)
    for record, decoded in records:
        folding.counts[folding.take(record, decoded)] += 1
    return folding.effects(), folding.clock()


class _Folding:
    """The state of one call of `fold`."""

    def __init__(self, customers: Mapping[CustomerId, Customer], watermark: Watermark, rules: FoldRules) -> None:
        self._customers = customers
        self._rules = rules
        self._watermark = watermark
        self._newest_ms = watermark.newest_ms
        self._appended_at_ms = watermark.appended_at_ms
        self._changed: dict[CustomerId, Customer] = {}
        self._changes = Changes()
        self._deltas = Deltas()
        self._dead_letters: list[DeadLetter] = []
        self.counts = dict.fromkeys(RecordClass, 0)

    def effects(self) -> Effects:
        return Effects(
            customers={id_: customer for id_, customer in self._changed.items() if not customer.is_blank},
            sessions=self._changes.sessions,
            sessions_dropped=frozenset(self._changes.sessions_dropped),
            reviews=self._changes.reviews,
            tombstones=self._changes.tombstones,
            deltas=self._deltas,
            dead_letters=tuple(self._dead_letters),
            counts={name: count for name, count in self.counts.items() if count},
        )

    def clock(self) -> Watermark:
        """The watermark after the records taken so far."""
        self._watermark = self._watermark.seen(self._newest_ms, self._appended_at_ms, self._rules.disorder_ms)
        return self._watermark

    def take(self, record: Record, decoded: Decoded) -> RecordClass:
        """Put one record into its class, with all that follows from it."""
        if isinstance(decoded, Event):
            taken = self._event(record, decoded)
        elif isinstance(decoded, Tick):
            self._watermark = self.clock().ticked(record.appended_at_ms, decoded.floor_ms)
            taken = RecordClass.CONTROL
        elif isinstance(decoded, Ignored):
            taken = RecordClass.IGNORED
        else:
            taken = self._reject(record, decoded.reason, decoded.customer_id)
        self._appended_at_ms = max(self._appended_at_ms, record.appended_at_ms)
        return taken

    def _reject(self, record: Record, reason: str, customer_id: CustomerId | None) -> RecordClass:
        self._dead_letters.append(DeadLetter(record, reason, customer_id))
        return RecordClass.DEAD_LETTER

    def _event(self, record: Record, event: Event) -> RecordClass:
        if event.occurred_at_ms > record.appended_at_ms + self._rules.future_ms:
            ahead_s = (event.occurred_at_ms - record.appended_at_ms) // 1000
            reason = f"in_the_future: happens {ahead_s} s after it was recorded"
            return self._reject(record, reason, event.customer_id)
        recorded = APPLIED
        if event.customer_id is not None:
            customer = self._customers[event.customer_id]
            begins = session_key(record.partition, record.position)
            recorded = customer.record(event, begins, self._rules.profile, self._changes)
            if recorded.verdict is not Verdict.APPLIED:
                return self._refuse(record, recorded.verdict, event.customer_id)
            self._changed[event.customer_id] = customer
            if event.kind is FORGOTTEN:
                self._forget_letters(event.customer_id)
                return RecordClass.APPLIED  # nothing happened in the shop, so its time does not move on
        self._newest_ms = max(self._newest_ms, event.occurred_at_ms)
        if event.product_id is not None:
            self._share(event, event.product_id, recorded)
        return RecordClass.APPLIED

    def _refuse(self, record: Record, verdict: Verdict, customer_id: CustomerId) -> RecordClass:
        if verdict is Verdict.DUPLICATE:
            return RecordClass.DUPLICATE
        if verdict is Verdict.FORGOTTEN:
            return RecordClass.FORGOTTEN
        return self._reject(record, TOO_OLD, customer_id)

    def _forget_letters(self, customer_id: CustomerId) -> None:
        """Take the customer's own dead letters back; those emitted before are taken back with the tombstone."""
        self._dead_letters = [letter for letter in self._dead_letters if letter.customer_id != customer_id]

    def _share(self, event: Event, product_id: ProductId, recorded: Recorded) -> None:
        """Add what the event means to everybody: the product's facts, ratings, activity and list of sessions."""
        kind, at_ms = event.kind, event.occurred_at_ms
        product = self._deltas.product(product_id)
        product.describe(event.name, event.category, event.price, at_ms)
        if kind is REVIEWED:
            product.ratings += recorded.ratings
            product.rating_sum += recorded.rating_sum
            return
        if kind not in _ACTIONS:
            return
        active = self._deltas.active(product_id, at_ms)
        if kind is CANCELLED:
            active.purchases -= 1
            return
        if kind is VIEWED:
            active.views += 1
        elif kind is CARTED:
            active.carts += 1
        elif kind is PURCHASED:
            active.purchases += 1
        product.interactions += 1
        if recorded.session is not None:
            self._deltas.list_session(product_id, recorded.session, at_ms)
