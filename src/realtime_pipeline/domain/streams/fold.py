"""The ordered fold of one partition's records: a function of the log's records and nothing else."""

from collections.abc import Iterable, Mapping

from realtime_pipeline.domain.analytics.pane_table import PaneTable
from realtime_pipeline.domain.profile.changes import APPLIED, EXCLUDED
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.profile.kinds import FORGOTTEN, SIGNED_IN
from realtime_pipeline.domain.profile.session import session_key
from realtime_pipeline.domain.shop.events import NO_FACTS, CustomerId, Event
from realtime_pipeline.domain.streams.effects import Effects, EffectsBuilder, RecordClass
from realtime_pipeline.domain.streams.forgetting import forget_customer
from realtime_pipeline.domain.streams.records import Foldable, Ignored, Record, Tick, WatermarkTick
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.sign_in import forward, merge_visitor, sign_in
from realtime_pipeline.domain.streams.timeliness import untimely
from realtime_pipeline.domain.streams.watermark import EventClock, Watermark


def fold(
    records: Iterable[tuple[Record, Foldable]],
    customers: Mapping[CustomerId, Customer],
    watermark: Watermark,
    settings: FoldSettings,
    windows: PaneTable | None = None,
) -> tuple[Effects, Watermark]:
    """Fold records of one partition, in log order.

    Every record ends in exactly one class, each judged by itself. An event without a customer has no profile and no
    memory that could tell a repeat from a first delivery: it counts for its product as often as it comes.

    Args:
        records: each with what it was decoded to.
        customers: a customer (a blank one, if new) for every customer that the records name. They belong to the fold,
            which changes them: after a refused commit they must be thrown away.
        watermark: how far the partition's time had come before the records.
        settings: part of what a replay of the log gives.
        windows: the panes of the partition, with those that the records may need loaded; the fold changes them. None
            where no windows are defined.

    Returns:
        The effects, and the watermark after the records.

    Raises:
        CannotMerge: profiles have parts, written by a newer release, that only that one can add up.
    """
    folding = _Folding(customers, watermark, settings, windows)
    effects = folding.effects
    for record, decoded in records:
        effects.counts[folding.fold(record, decoded)] += 1
    return effects.build(), folding.clock.read()


class _Folding:
    """One call of `fold`."""

    def __init__(
        self,
        customers: Mapping[CustomerId, Customer],
        watermark: Watermark,
        settings: FoldSettings,
        windows: PaneTable | None,
    ) -> None:
        self.effects = EffectsBuilder(windows=windows)
        self._windows = windows
        self.clock = EventClock(watermark, settings.max_out_of_orderness_ms)
        self._customers = customers
        self._of_fold = settings
        self._settings, self._exclude = settings.profile, settings.exclude
        self._max_future_skew_ms = settings.max_future_skew_ms
        self._changed, self._changes = self.effects.changed, self.effects.changes
        self._adders = self.effects.deltas.adders()

    def fold(self, record: Record, decoded: Foldable) -> RecordClass:
        """Put one record into its class, with all that follows from it."""
        clock = self.clock
        if isinstance(decoded, Event):
            record_class = self._fold_event(record, decoded)
        elif isinstance(decoded, ProfileMerged):
            customer, latest_ms = self._customers[decoded.customer_id], record.appended_at_ms + self._max_future_skew_ms
            record_class = merge_visitor(record, decoded, customer, latest_ms, self._of_fold, self.effects)
        elif isinstance(decoded, Tick):
            if self._windows is not None:
                is_next = decoded.seen_ms == clock.appended_at_ms
                self._windows.tick(record.appended_at_ms, decoded.elapsed_ms, decoded.floor_ms if is_next else None)
            record_class = RecordClass.CONTROL
        elif isinstance(decoded, WatermarkTick):
            clock.tick(record.appended_at_ms, decoded.floor_ms)
            record_class = RecordClass.CONTROL
        elif isinstance(decoded, Ignored):
            record_class = self.effects.ignore(decoded.event_type)
        else:
            record_class = self.effects.reject(record, decoded.reason, decoded.customer_id)
        clock.appended_at_ms = max(clock.appended_at_ms, record.appended_at_ms)
        return record_class

    def _fold_event(self, record: Record, event: Event) -> RecordClass:
        """Fold an event, step by step.

        1. A forgetting erases its customer. Nothing happened in the shop, so its time does not move on.
        2. An event too far ahead of the time at which it was appended becomes a dead letter; so does a stock level
           of a time so early that sales after it may be deleted.
        3. A sign-in makes its visitor an alias; what an alias does later is forwarded to the customer.
        4. The customer refuses the event or applies it. An event without a customer is applied.
        5. The shop's time moves on, unless the event is of the catalogue: an import is no sign that customers' events
           have come so far.
        6. Windows count the event, and each projection adds what it means to everybody, unless it is excluded.
        """
        customer_id, kind, at_ms = event.customer_id, event.kind, event.occurred_at_ms
        appended_at_ms = record.appended_at_ms
        latest_ms = appended_at_ms + self._max_future_skew_ms
        if kind is FORGOTTEN and customer_id is not None:
            return forget_customer(event, self._customers[customer_id], latest_ms, self.effects)
        if at_ms > latest_ms or event.facts is not NO_FACTS:
            reason = untimely(event, appended_at_ms, self.clock.read().at_ms, self._of_fold)
            if reason is not None:
                return self.effects.reject(record, reason, customer_id)
        exclude, recorded = self._exclude, APPLIED
        if customer_id is not None:
            customer = self._customers[customer_id]
            alias_of = customer.aliases.alias_of
            if kind is SIGNED_IN:
                return self._sign_in(record, event, customer)
            if alias_of is not None:
                return self._forward(record, event, customer, alias_of)
            begins = session_key(record.partition, record.position)
            recorded = customer.record(event, begins, self._settings, self._changes, exclude)
            if recorded.verdict is not Verdict.APPLIED:
                return self._refuse(record, event, customer, recorded.verdict)
            self._changed[customer_id] = customer
        elif exclude is not None and exclude.covers(event):
            recorded = EXCLUDED
        if event.facts is NO_FACTS:
            if self._windows is not None:
                self._count_in_windows(record, event, event, is_counted=not (recorded.excluded or event.forwarded))
            self.clock.advance(at_ms, appended_at_ms)
        if not recorded.excluded:
            product_id = event.product_id
            for add in self._adders[kind]:
                add(event, product_id, recorded)
        return RecordClass.APPLIED

    def _sign_in(self, record: Record, event: Event, visitor: Customer) -> RecordClass:
        record_class = sign_in(record, event, visitor, self._of_fold, self.effects)
        if record_class is RecordClass.APPLIED:
            self._count_where_it_lies(record, event, event.identified_as)
            self.clock.advance(event.occurred_at_ms, record.appended_at_ms)
        return record_class

    def _forward(self, record: Record, event: Event, visitor: Customer, alias_of: CustomerId) -> RecordClass:
        """Send a visitor's event to the customer. Windows count it here, and not the copy: they are not the customer's,
        and the copy comes as late as the owner of this partition is behind."""
        record_class = forward(record, event, visitor, alias_of, self._settings, self.effects)
        if record_class is RecordClass.FORWARDED:
            self._count_where_it_lies(record, event, alias_of)
        return record_class

    def _count_where_it_lies(self, record: Record, event: Event, customer_id: CustomerId | None) -> None:
        """Count a visitor's event in windows, as the event of the customer that they are."""
        if self._windows is not None:
            exclude = self._exclude
            excluded = exclude is not None and (exclude.covers(event) or exclude.names(customer_id, None))
            counted = event._replace(customer_id=customer_id)
            self._count_in_windows(record, event, counted, is_counted=not excluded)

    def _count_in_windows(self, record: Record, event: Event, counted: Event, is_counted: bool) -> None:
        """Count an event, as windows see it, by the partition's time before it; then move that time on."""
        windows = self._windows
        if windows is not None:
            if is_counted and (missed := windows.count(counted)):
                self.effects.add_late(record, event, missed, windows.time_ms)
            windows.advance(event.occurred_at_ms, record.appended_at_ms, record.origin is not None)

    def _refuse(self, record: Record, event: Event, customer: Customer, verdict: Verdict) -> RecordClass:
        if verdict is Verdict.DUPLICATE and event.forwarded is not None:
            self._changed[customer.customer_id] = customer  # how far its partition has forwarded is noted
        return self.effects.refuse(record, verdict, customer.customer_id)
