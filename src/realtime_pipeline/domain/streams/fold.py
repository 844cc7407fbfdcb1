"""The ordered fold of one partition's records: a function of the log's records and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from realtime_pipeline.domain.profile.changes import APPLIED, Changes, Recorded
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.identity import ProfileMerged, detach_profile, merge_profile
from realtime_pipeline.domain.profile.kinds import CANCELLED, CARTED, FORGOTTEN, PURCHASED, REVIEWED, SIGNED_IN, VIEWED
from realtime_pipeline.domain.profile.session import session_key
from realtime_pipeline.domain.shop.events import CustomerId, Event, ProductId
from realtime_pipeline.domain.streams.effects import DeadLetter, Effects, RecordClass
from realtime_pipeline.domain.streams.messages import Message, message_id
from realtime_pipeline.domain.streams.records import Foldable, Ignored, Record, Tick
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas

_ACTIONS: Final = (VIEWED, CARTED, PURCHASED, CANCELLED)
TOO_OLD: Final = "too_old: so many newer events of this customer were folded that a repeat could not be told from news"


def fold(
    records: Iterable[tuple[Record, Foldable]],
    customers: Mapping[CustomerId, Customer],
    watermark: Watermark,
    settings: FoldSettings,
) -> tuple[Effects, Watermark]:
    """Fold records of one partition, in log order.

    `customers` holds a customer (a blank one, if new) for every customer the records name; they belong to the fold,
    which changes them: after a refused commit they must be thrown away. Every record ends in exactly one class,
    each judged by itself. An event without a customer has no profile and no memory that could tell a repeat from
    news: it counts for its product as often as it comes.

    Raises:
        CannotMerge: profiles have parts, written by a newer release, that only that one can add up.
    """
    folding = _Folding(customers, watermark, settings)
    for record, decoded in records:
        folding.counts[folding.fold(record, decoded)] += 1
    return folding.effects(), folding.clock()


class _Folding:
    """The state of one call of `fold`."""

    def __init__(self, customers: Mapping[CustomerId, Customer], watermark: Watermark, settings: FoldSettings) -> None:
        self._customers = customers
        self._settings = settings
        self._profile_settings, self._max_future_skew_ms = settings.profile, settings.max_future_skew_ms
        self._watermark = watermark
        self._newest_ms, self._largest_ms = watermark.newest_ms, watermark.largest_ms
        self._appended_at_ms = watermark.appended_at_ms
        self._changed: dict[CustomerId, Customer] = {}
        self._changes = Changes()
        self._deltas = Deltas()
        self._dead_letters: list[DeadLetter] = []
        self._letters_forgotten: set[CustomerId] = set()
        self._messages: list[Message] = []
        self._ignored_types: dict[str, int] = {}
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
            messages=tuple(self._messages),
            ignored_types=self._ignored_types,
            letters_forgotten=frozenset(self._letters_forgotten),
        )

    def clock(self) -> Watermark:
        """The watermark after the records taken so far."""
        self._watermark = self._watermark.advanced(
            self._largest_ms, self._newest_ms, self._appended_at_ms, self._settings.max_out_of_orderness_ms
        )
        return self._watermark

    def _advance_time(self, record: Record, at_ms: int) -> None:
        """Count an event of a record into the two largest times."""
        at_ms = min(at_ms, record.appended_at_ms)
        if at_ms > self._largest_ms:
            self._newest_ms, self._largest_ms = self._largest_ms, at_ms
        elif at_ms > self._newest_ms:
            self._newest_ms = at_ms

    def fold(self, record: Record, decoded: Foldable) -> RecordClass:
        """Put one record into its class, with all that follows from it."""
        if isinstance(decoded, Event):
            taken = self._fold_event(record, decoded)
        elif isinstance(decoded, ProfileMerged):
            taken = self._merge_profile(record, decoded)
        elif isinstance(decoded, Tick):
            self._watermark = self.clock().ticked(record.appended_at_ms, decoded.floor_ms)
            taken = RecordClass.CONTROL
        elif isinstance(decoded, Ignored):
            self._ignored_types[decoded.event_type] = self._ignored_types.get(decoded.event_type, 0) + 1
            taken = RecordClass.IGNORED
        else:
            taken = self._reject(record, decoded.reason, decoded.customer_id)
        self._appended_at_ms = max(self._appended_at_ms, record.appended_at_ms)
        return taken

    def _reject(self, record: Record, reason: str, customer_id: CustomerId | None) -> RecordClass:
        self._dead_letters.append(DeadLetter(record, reason, customer_id))
        return RecordClass.DEAD_LETTER

    def _latest_ms(self, record: Record) -> int:
        return record.appended_at_ms + self._max_future_skew_ms

    def _reject_ahead(self, record: Record, at_ms: int, customer_id: CustomerId | None) -> RecordClass:
        ahead_s = (at_ms - record.appended_at_ms) // 1000
        return self._reject(record, f"in_the_future: happens {ahead_s} s after it was recorded", customer_id)

    def _fold_event(self, record: Record, event: Event) -> RecordClass:
        if event.kind is FORGOTTEN and event.customer_id is not None:
            return self._forget(record, event, event.customer_id)
        if event.occurred_at_ms > record.appended_at_ms + self._max_future_skew_ms and event.forwarded is None:
            return self._reject_ahead(record, event.occurred_at_ms, event.customer_id)
        recorded = APPLIED
        if event.customer_id is not None:
            customer = self._customers[event.customer_id]
            if event.kind is SIGNED_IN or customer.aliases.alias_of is not None:
                return self._record_of_visitor(record, event, customer)
            begins = session_key(record.partition, record.position)
            recorded = customer.record(event, begins, self._profile_settings, self._changes)
            if recorded.verdict is not Verdict.APPLIED:
                if recorded.verdict is Verdict.DUPLICATE and event.forwarded is not None:
                    self._changed[event.customer_id] = customer  # how far its partition has forwarded is noted
                return self._refuse(record, recorded.verdict, event.customer_id)
            self._changed[event.customer_id] = customer
        self._advance_time(record, event.occurred_at_ms)
        if event.product_id is not None:
            self._project(event, event.product_id, recorded)
        return RecordClass.APPLIED

    def _forget(self, record: Record, event: Event, customer_id: CustomerId) -> RecordClass:
        """Erase a customer. Nothing happened in the shop, so its time does not move on.

        By whatever clock it was asked for, it is done: as of the latest time that an event may have by now. Dead
        letters lie before it by their position, so they go also where it is as of a time that is forgotten already.
        """
        self._forget_letters(customer_id)
        latest_ms = self._latest_ms(record)
        at_ms, customer = min(event.occurred_at_ms, latest_ms), self._customers[customer_id]
        if at_ms <= customer.forgotten_at_ms:
            return RecordClass.FORGOTTEN
        customer.forget(at_ms, latest_ms, self._changes)
        self._changed[customer_id] = customer
        self._forget_visitors(event.event_id)
        return RecordClass.APPLIED

    def _record_of_visitor(self, record: Record, event: Event, visitor: Customer) -> RecordClass:
        """Let a visitor sign in; what comes of one who has goes on to the customer they turned out to be."""
        profile, at_ms = self._profile_settings, event.occurred_at_ms
        # By a clock that is ahead a message would outlive a forgetting that comes after it in the log.
        sent_ms = min(at_ms, record.appended_at_ms)
        verdict = visitor.admit(event, profile)
        if verdict is not Verdict.APPLIED:
            return self._refuse(record, verdict, visitor.customer_id)
        self._changed[visitor.customer_id] = visitor
        if event.kind is not SIGNED_IN:
            visitor.visits.last_seen_ms = max(visitor.visits.last_seen_ms or 0, at_ms)
            to = visitor.aliases.alias_of or visitor.customer_id
            self._messages.append(Message(to, event.event_id, sent_ms, visitor.customer_id, record))
            return RecordClass.FORWARDED
        self._advance_time(record, at_ms)
        if event.identified_as is not None and event.identified_as != visitor.aliases.alias_of:
            history = detach_profile(visitor, event.identified_as, profile, self._changes)
            event_id = message_id(visitor.customer_id, event.event_id)
            place = record.partition, record.position
            message = Message(
                event.identified_as, event_id, sent_ms, visitor.customer_id, profile=history, signed_in=place
            )
            self._messages.append(message)
        visitor.visits.last_seen_ms = max(visitor.visits.last_seen_ms or 0, at_ms)
        return RecordClass.APPLIED

    def _merge_profile(self, record: Record, merged: ProfileMerged) -> RecordClass:
        """Add what a visitor had done to the customer they turned out to be; where that one is forgotten, both are."""
        if merged.occurred_at_ms > self._latest_ms(record):  # the sign-in was taken in: what follows is not lost again
            merged = attrs.evolve(merged, occurred_at_ms=self._latest_ms(record))
        customer, profile = self._customers[merged.customer_id], self._profile_settings
        if merged.is_merged_into(customer):
            return RecordClass.DUPLICATE  # longer ago than the memory may reach
        if merged.occurred_at_ms <= customer.forgotten_at_ms:
            self._changes.visitors_forgotten[merged.visitor] = customer.forgotten_at_ms
            self._forget_visitors(merged.event_id)
            return RecordClass.FORGOTTEN
        begins = session_key(record.partition, record.position)
        session = merge_profile(customer, merged, begins, profile, self._changes)
        self._changed[merged.customer_id] = customer
        self._retract_duplicates()
        self._forget_visitors(merged.event_id)
        # Time does not move on: the sign-in has moved it on where it lies, and one event may count only once.
        if session is not None:
            moved = merged.profile.visits.open_sessions[-1].products
            for product_id, (touched_ms, _) in moved.items():
                self._deltas.product(product_id)  # views know a product once a delta names it
                self._deltas.index_session(product_id, session.key, touched_ms)
        return RecordClass.APPLIED

    def _retract_duplicates(self) -> None:
        """Take out of the views what a visitor's events added that their customer has counted, too."""
        repeats, self._changes.duplicates = self._changes.duplicates, []
        for one in repeats:
            if one.product_id is None:
                continue
            product = self._deltas.product(one.product_id)  # views know a product once a delta names it
            if one.kind is REVIEWED and one.rating is not None:
                product.ratings -= 1
                product.rating_sum -= one.rating
            elif one.kind in _ACTIONS:
                self._deltas.count_activity(one.product_id, one.kind, one.at_ms, one.country, -1)
                product.interactions -= one.kind is not CANCELLED

    def _forget_visitors(self, because_of: str) -> None:
        """Have the owners of visitors forget them, who go with the customer they turned out to be."""
        gone, self._changes.visitors_forgotten = self._changes.visitors_forgotten, {}
        self._messages += (Message(one, message_id(one, because_of), at_ms) for one, at_ms in gone.items())

    def _refuse(self, record: Record, verdict: Verdict, customer_id: CustomerId) -> RecordClass:
        if verdict is Verdict.DUPLICATE:
            return RecordClass.DUPLICATE
        if verdict is Verdict.FORGOTTEN:
            return RecordClass.FORGOTTEN
        return self._reject(record, TOO_OLD, customer_id)

    def _forget_letters(self, customer_id: CustomerId) -> None:
        """Take the customer's own dead letters back; those emitted before, the outputs take back."""
        self._letters_forgotten.add(customer_id)
        self._dead_letters = [letter for letter in self._dead_letters if letter.customer_id != customer_id]

    def _project(self, event: Event, product_id: ProductId, recorded: Recorded) -> None:
        """Add what the event means to everybody: the product's facts, ratings, activity and list of sessions."""
        kind, at_ms = event.kind, event.occurred_at_ms
        product = self._deltas.product(product_id)
        price = None if kind is CANCELLED else event.price  # what is taken back may have been paid long ago
        product.describe(event.name, event.category, price, at_ms)
        if kind is REVIEWED:
            product.ratings += recorded.ratings
            product.rating_sum += recorded.rating_sum
            return
        if kind not in _ACTIONS:
            return
        self._deltas.count_activity(product_id, kind, at_ms, event.country if event.context else None)
        if kind is CANCELLED:
            return
        product.interactions += 1
        if recorded.session is not None:
            self._deltas.index_session(product_id, recorded.session, at_ms)
