"""The oracle: what every store must hold, computed from the whole log by a plain batch program.

It shares values with the pipeline (events, settings) and none of its code: an error that the comparison does not find
must have been made twice.
"""

from collections.abc import Callable, Iterable, Mapping
from zlib import crc32

import attrs

from harness.oracle.customer import CustomerHistory, ExpectedVisitor, history_of
from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.deduplication import NEVER_MS
from harness.oracle.exclusion import NOTHING_EXCLUDED, fingerprint, is_excluded
from harness.oracle.identity import KEY_STRIDE, KeyedEvent
from harness.oracle.listings import ExpectedListing, expected_listings, late_stock
from harness.oracle.messages import ExpectedMessage
from harness.oracle.missing_messages import messages_in_log, missing_messages
from harness.oracle.profile import ExpectedCustomer
from harness.oracle.record_classes import (
    ClassifiedRecords,
    PartitionOf,
    checksum_of,
    classify,
    is_kept,
    routing_key,
)
from harness.oracle.sessions import ExpectedSession
from harness.oracle.timed_events import timed_events
from harness.oracle.views import Actions, ExpectedProduct, ViewTotals
from harness.oracle.windows import ExpectedWindows, TimedEvent, expected_windows, late_events_of
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings


@attrs.frozen
class Expected:
    """What the stores must hold.

    Customers: `partition_of` gives the partition of a customer's records. `forgotten` has the customers whose data is
    erased, and when they were forgotten; `visitors` what is left of visitors who signed in. `sessions` are all that
    were not evicted or erased (a store removes old ones), `sessions_erased` the others.

    Views: `activity` maps (hour, product) to actions, `activity_by_country` (hour, country, product) to the actions
    whose country is known. `session_lists` has all (time, session) of a product, the newest first (a store keeps some).
    `listings` has what the catalogue states of products.

    Outputs: `dead_letters` are (partition, position, code). `dead_letters_erased` were erased with their customers,
    where the outputs can retract. `late_events` has the definitions that each was late for, with the number of windows
    missed, by partition and position; `late_events_erased` were erased with their customers. `letter_checksums` and
    `late_event_checksums` have a checksum of each one's record, by partition and position.

    Times, by partition: `largest_ms` and `newest_ms` are the largest and the second-largest time of applied events,
    each at most its record's append time; `appended_ms` is the latest append time; `watermarks_ms` is the watermark of
    partitions without ticks.

    Windows: by definition, those of the whole log; `window_times_ms` is the time of each partition, by which events are
    late.

    Messages for other customers: `handed_on` is how many the log must have, `missing_messages` has a line for each that
    is missing or wrong.
    """

    partition_of: PartitionOf = attrs.field(eq=False)
    counts: dict[RecordClass, int]
    customers: dict[CustomerId, ExpectedCustomer]
    forgotten: dict[CustomerId, int]
    sessions: dict[SessionKey, ExpectedSession]
    sessions_erased: set[SessionKey]
    reviews: dict[tuple[CustomerId, ProductId], tuple[int, str, int]]
    products: dict[ProductId, ExpectedProduct]
    activity: dict[tuple[int, ProductId], Actions]
    session_lists: dict[ProductId, list[tuple[int, SessionKey]]]
    dead_letters: list[tuple[int, int, str]]
    newest_ms: dict[int, int]
    visitors: dict[CustomerId, ExpectedVisitor] = attrs.Factory(dict)
    missing_messages: list[str] = attrs.Factory(list)
    messages_expected: int = 0
    activity_by_country: dict[tuple[int, str, ProductId], Actions] = attrs.Factory(dict)
    dead_letters_erased: set[tuple[int, int, str]] = attrs.Factory(set)
    letter_checksums: dict[tuple[int, int], int] = attrs.field(factory=dict, eq=False)
    appended_ms: dict[int, int] = attrs.Factory(dict)
    watermarks_ms: dict[int, int] = attrs.Factory(dict)
    largest_ms: dict[int, int] = attrs.Factory(dict)
    listings: dict[ProductId, ExpectedListing] = attrs.Factory(dict)
    windows: dict[str, ExpectedWindows] = attrs.Factory(dict)
    window_times_ms: dict[int, int] = attrs.Factory(dict)
    late_events: dict[tuple[int, int], dict[str, int]] = attrs.Factory(dict)
    late_events_erased: dict[tuple[int, int], dict[str, int]] = attrs.Factory(dict)
    late_event_checksums: dict[tuple[int, int], int] = attrs.field(factory=dict, eq=False)

    @property
    def now_ms(self) -> int:
        """The shop's current time: the second-largest event time of all partitions, else the single one."""
        times = [*self.largest_ms.values(), *self.newest_ms.values()]
        return min(sorted(times)[-2:], default=NEVER_MS)


def expect(
    records: Iterable[Record],
    schema: EventSchema,
    settings: FoldSettings,
    partitions: int,
    partitioner: Callable[[bytes, int], int] = lambda key, partitions: crc32(key) % partitions,
) -> Expected:
    """Compute what the stores must hold after all records of a log.

    Args:
        records: the whole log, each partition's records in order.
        schema: how the shop writes its events.
        settings: the settings by which the pipeline folds.
        partitions: the number of partitions.
        partitioner: the partition of a key, by the number of partitions.
    """
    decode, exclude = OracleDecoder(schema), settings.exclude or NOTHING_EXCLUDED

    def partition_of(customer_id: CustomerId) -> int:
        return partitioner(routing_key(customer_id), partitions)

    classified = ClassifiedRecords(dict.fromkeys(RecordClass, 0))
    originals: dict[SessionKey, TimedEvent] = {}
    for record in records:
        decoded = decode(record)
        classify(record, decoded, settings.max_future_skew_ms, partition_of, classified)
        if settings.windows and isinstance(decoded, Event):
            key = SessionKey(record.position * KEY_STRIDE + record.partition)
            is_imported = record.origin is not None
            originals[key] = TimedEvent(decoded, True, record.appended_at_ms, checksum_of(record), is_imported)
    timed: dict[SessionKey, TimedEvent] = {}
    stock_partitions = frozenset(key % KEY_STRIDE for key, _ in classified.stock_events)
    totals = ViewTotals(classified.appended_ms_of_ahead, stock_partitions=stock_partitions)
    expected = Expected(partition_of, classified.counts, {}, {}, {}, set(), {}, {}, totals.activity, {}, [], {})
    messages: list[ExpectedMessage] = []
    in_log = messages_in_log(classified)
    while classified.by_customer:
        customer_id, events = classified.by_customer.popitem()
        history = history_of(customer_id, events, settings.profile, exclude)
        _add_events(customer_id, events, history, classified, totals)
        timed.update(timed_events(events, history, originals, exclude))
        _add_customer(customer_id, history, expected)
        messages += history.messages
    for key, event in classified.without_customer:
        if not event.facts:
            totals.add_time(key, event)
            if key in originals:
                timed[key] = attrs.evolve(originals[key], is_counted=not is_excluded(event, exclude))
        if not is_excluded(event, exclude):
            totals.add(event)
    stock_events = _timely_stock_events(classified, totals, settings)
    for _, event in stock_events:
        totals.add(event)
    expected.missing_messages.extend(
        missing_messages(messages, in_log, classified.message_times_ms, fingerprint(exclude))
    )
    _add_dead_letters(classified, expected)
    expected.products.update(totals.expected_products())
    for sessions in expected.session_lists.values():
        sessions.sort(reverse=True)
    windows, times_ms = expected_windows(settings.windows, timed, classified.window_ticks)
    _add_late_events(windows, originals, classified, expected)
    largest_ms = {partition: max(times) for partition, times in totals.largest_times.items()}
    return attrs.evolve(
        expected,
        messages_expected=len(messages),
        activity_by_country=totals.activity_by_country,
        letter_checksums=classified.letter_checksums,
        appended_ms=classified.appended_ms,
        watermarks_ms={
            partition: max(NEVER_MS, at_ms - settings.max_out_of_orderness_ms)
            for partition, at_ms in largest_ms.items()
            if partition not in classified.ticks
        },
        largest_ms=largest_ms,
        listings=expected_listings([*classified.without_customer, *stock_events], totals.sales),
        newest_ms={partition: min(times) for partition, times in totals.largest_times.items() if len(times) > 1},
        windows=windows,
        window_times_ms=times_ms,
    )


def _timely_stock_events(classified: ClassifiedRecords, totals: ViewTotals, settings: FoldSettings) -> list[KeyedEvent]:
    """Classify the events that state a stock; return those that are applied."""
    bounds_ms = settings.max_out_of_orderness_ms, settings.stock_lateness_ms
    late = late_stock(classified.stock_events, totals.times, classified.ticks, bounds_ms)
    keys = {key for key, _ in late}
    for key in keys:
        where = key % KEY_STRIDE, key // KEY_STRIDE
        classified.dead_letters.append((*where, "stock_too_late", None))
        classified.letter_checksums[where] = classified.stock_checksums[where]
    timely = [(key, event) for key, event in classified.stock_events if key not in keys]
    classified.counts[RecordClass.DEAD_LETTER] += len(keys)
    classified.counts[RecordClass.APPLIED] += len(timely)
    return timely


def _add_events(
    customer_id: CustomerId,
    events: list[KeyedEvent],
    history: CustomerHistory,
    classified: ClassifiedRecords,
    totals: ViewTotals,
) -> None:
    """Count a customer's records by class, and add the applied events to the totals of all customers."""
    for (key, event), class_ in zip(events, history.classes, strict=True):
        classified.counts[class_] += 1
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:  # also where its time is forgotten already
            classified.forgettings.append((key % KEY_STRIDE, key // KEY_STRIDE, customer_id))
        elif class_ is RecordClass.APPLIED:
            totals.add_time(key, event)
            if key not in history.excluded:
                totals.add(event)
        elif class_ is RecordClass.DEAD_LETTER:
            classified.dead_letters.append((key % KEY_STRIDE, key // KEY_STRIDE, "too_old", customer_id))
    for contribution in history.retracted:
        totals.retract(contribution)
    for product_id, rating in history.ratings:
        totals.ratings.setdefault(product_id, []).append(rating)


def _add_customer(customer_id: CustomerId, history: CustomerHistory, expected: Expected) -> None:
    """Add what is known of a customer, and their sessions to the products' lists."""
    if history.customer is not None:
        expected.customers[customer_id] = history.customer
    elif history.visitor is not None:
        expected.visitors[customer_id] = history.visitor
    elif RecordClass.APPLIED in history.classes:
        expected.forgotten[customer_id] = history.forgotten_at_ms
    expected.sessions.update(history.sessions)
    expected.sessions_erased.update(history.sessions_erased)
    expected.reviews.update({(customer_id, product_id): review for product_id, review in history.reviews.items()})
    for (product_id, session), at_ms in history.last_interactions.items():
        expected.session_lists.setdefault(product_id, []).append((at_ms, session))


def _add_dead_letters(classified: ClassifiedRecords, expected: Expected) -> None:
    for letter in sorted(classified.dead_letters, key=lambda letter: letter[:3]):
        if is_kept(letter, classified):
            expected.dead_letters.append(letter[:3])
        else:
            expected.dead_letters_erased.add(letter[:3])


def _add_late_events(
    windows: Mapping[str, ExpectedWindows],
    originals: Mapping[SessionKey, TimedEvent],
    classified: ClassifiedRecords,
    expected: Expected,
) -> None:
    """Add what was late, by where it lies. Like a dead letter, it is erased with the customer whom its record names."""
    for key, missed in late_events_of(windows).items():
        at = key % KEY_STRIDE, key // KEY_STRIDE
        original = originals[key]
        is_erased = not is_kept((*at, "", original.event.customer_id), classified)
        (expected.late_events_erased if is_erased else expected.late_events)[at] = missed
        expected.late_event_checksums[at] = original.checksum
