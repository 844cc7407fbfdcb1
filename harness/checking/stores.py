"""Compare what a store holds, field by field, with what the oracle expects."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from operator import attrgetter
from typing import Final

from harness.checking.late_events import compare_late_events
from harness.checking.views import (
    compare_listings,
    compare_products,
    compare_session_lists,
    compare_top_rated,
    compare_trending,
)
from harness.oracle.customer import ExpectedVisitor
from harness.oracle.deduplication import NEVER_MS, ExpectedSeenEvents, TimedIds
from harness.oracle.expected import Expected
from harness.oracle.identity import KEY_STRIDE
from harness.oracle.profile import ExpectedCustomer
from harness.oracle.record_classes import UNREADABLE, checksum_of
from harness.oracle.sessions import ExpectedSession
from harness.support.diff import CHUNK, Line, chunks, diff, exactly_once, shown
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import SeenEvents, SeenIds
from realtime_pipeline.domain.profile.opinions import Opinions
from realtime_pipeline.domain.profile.session import Session, SessionKey, SessionSummary
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.money import in_units
from realtime_pipeline.domain.streams.effects import RecordClass

FOLD_CODES: Final = frozenset(("too_old", "misrouted", "in_the_future", "stock_too_late"))
"""Reason codes of records that could be decoded; only these are compared."""
DIGEST_BYTES: Final = 8
ENTRY_BYTES: Final = 6 + DIGEST_BYTES
"""Bytes of an event that is remembered: its time in 6 bytes, then the digest of its id."""
_PLAIN_FIELDS: Final = {
    "units": attrgetter("purchases.units"),
    "orders_placed": attrgetter("purchases.orders_placed"),
    "sessions_begun": attrgetter("visits.sessions_begun"),
    "first_seen_ms": attrgetter("visits.first_seen_ms"),
    "last_seen_ms": attrgetter("visits.last_seen_ms"),
    "country": attrgetter("visits.country"),
    "closed_sessions": attrgetter("visits.closed_sessions"),
    "forgotten_at_ms": attrgetter("forgotten_at_ms"),
    "excluded": attrgetter("visits.excluded"),
    "minute": attrgetter("visits.minute"),
    "counts": attrgetter("visits.counts"),
    "affinity": attrgetter("interests.affinity"),
    "recent": attrgetter("interests.recent"),
    "purchases": attrgetter("purchases.by_product"),
    "shown": attrgetter("exposures.shown"),
}
"""By the name of an expected field, where a customer has it."""


def differences(
    expected: Expected,
    owner: CellStore,
    cells: CustomerQueries,
    views: ProductQueries,
    outputs: Outputs,
    session_retention_ms: int,
    listed_max: int,
    limit: int = 20,
    trending: TrendingSettings | None = None,
) -> list[str]:
    """List where a store differs from what the oracle expects, one line each.

    Args:
        expected: what the oracle expects.
        owner: the cells, as their owner loads them.
        cells: the customers' side of the store, as readers see it.
        views: the products' side of the store.
        outputs: where dead letters and late events are.
        session_retention_ms: how long the store keeps a session.
        listed_max: how many sessions the store lists for a product.
        limit: how many lines there are at most; where there are more differences, a last line has their number.
        trending: settings whose window lies within the hours of activity that the store keeps (default: the defaults).
    """
    found = chain(
        expected.missing_messages,
        _compare_counts(expected, cells),
        _compare_customers(expected, cells),
        _compare_forgotten(expected, owner, cells),
        _compare_sessions(expected, cells, session_retention_ms),
        compare_products(expected, views),
        compare_listings(expected, views),
        compare_session_lists(expected, views, listed_max),
        compare_trending(expected, views, trending or TrendingSettings()),
        compare_top_rated(expected, views),
        _compare_dead_letters(expected, outputs),
        compare_late_events(expected, outputs),
    )
    lines = list(islice(found, limit))
    more = sum(1 for _ in found)
    return [*lines, f"and {more:,} more differences"] if more else lines


def summary_of(expected: Expected) -> str:
    """Write in one line how much was compared."""
    return (
        f"{len(expected.customers):,} customers, {len(expected.sessions):,} sessions, "
        f"{len(expected.products):,} products, {sum(expected.counts.values()):,} records"
    )


def _compare_counts(expected: Expected, cells: CustomerQueries) -> Iterator[Line]:
    held = cells.counts()
    for class_ in RecordClass:
        yield from diff(f"the count of {class_}", held.get(class_, 0), expected.counts.get(class_, 0))


def _compare_customers(expected: Expected, cells: CustomerQueries) -> Iterator[Line]:
    reviews: dict[CustomerId, dict[ProductId, tuple[int, str, int]]] = {}
    for (customer_id, product_id), review in expected.reviews.items():
        reviews.setdefault(customer_id, {})[product_id] = review
    times_seen: Counter[CustomerId] = Counter()
    for customer in cells.scan():
        customer_id = customer.customer_id
        times_seen[customer_id] += 1
        wanted = expected.customers.get(customer_id)
        visitor = expected.visitors.get(customer_id)
        if visitor is not None:
            found = _compare_visitor(customer, visitor)
        elif wanted is not None:
            found = _compare_customer(customer, wanted, expected.sessions)
        else:
            yield f"customer {customer_id}: is in the store, and should not be"
            continue
        for line in found:
            yield f"customer {customer_id}: {line}"
        if cells.read_customer(customer_id) != customer:
            yield f"customer {customer_id}: differs when it is read by itself and in a scan"
        for line in _compare_reviews(cells, customer_id, reviews.get(customer_id, {})):
            yield f"customer {customer_id}: {line}"
    yield from exactly_once("customer", {**expected.customers, **expected.visitors}, times_seen)


def _compare_visitor(found: Customer, expected: ExpectedVisitor) -> Iterator[Line]:
    """Of a visitor who has signed in, only the alias may be left, and what a forgetting has to erase."""
    wanted = Customer(
        found.customer_id,
        visits=Visits(last_seen_ms=expected.last_seen_ms, closed_sessions=expected.closed_sessions),
        opinions=Opinions(expected.reviewed),
        aliases=Aliases(alias_of=expected.alias_of),
        seen=found.seen,
        forgotten_at_ms=expected.forgotten_at_ms,
    )
    if found != wanted:
        yield f"is {shown(found)}, should be {shown(wanted)}"
    yield from _compare_seen_events(found.seen, expected.seen)


def _compare_seen_events(found: SeenEvents, wanted: ExpectedSeenEvents) -> Iterator[Line]:
    replays = found.repairs or SeenIds()
    yield from _compare_ids("seen events", found, wanted.floor_ms, wanted.own_ids)
    yield from _compare_ids("seen replays", replays, wanted.replays_floor_ms, wanted.replayed_ids)
    merged = tuple(
        found.merged_ids[start : start + DIGEST_BYTES].hex() for start in range(0, len(found.merged_ids), DIGEST_BYTES)
    )
    yield from diff("the merged ids", merged, wanted.merged_ids)
    yield from diff("forwarded_up_to", found.forwarded_up_to, wanted.forwarded_up_to)


def _compare_ids(name: str, found: SeenIds, floor_ms: int, wanted: TimedIds) -> Iterator[Line]:
    yield from diff(f"floor_ms of the {name}", found.floor_ms, floor_ms)
    entries = [found.entries[start : start + ENTRY_BYTES] for start in range(0, len(found.entries), ENTRY_BYTES)]
    held = {(int.from_bytes(entry[:-DIGEST_BYTES]), entry[-DIGEST_BYTES:].hex()) for entry in entries}
    for at_ms, digest in sorted(held ^ wanted):
        what = "is remembered, and should not be" if (at_ms, digest) in held else "is not remembered"
        yield f"an event of {at_ms} ms {what}"


def _compare_customer(
    found: Customer, wanted: ExpectedCustomer, sessions: Mapping[SessionKey, ExpectedSession]
) -> Iterator[Line]:
    spend = found.purchases.spend
    if spend != wanted.spend:
        yield f"spend is {in_units(spend, 4)}, should be {in_units(wanted.spend, 4)}"
    for name, field_of in _PLAIN_FIELDS.items():
        yield from diff(name, field_of(found), getattr(wanted, name))
    orders = {id_: (order.placed_at_ms, order.units, order.amount) for id_, order in found.purchases.orders.items()}
    # The order of arrival decides which entry is evicted next, so it is compared too.
    for name, held, wanted_entries in (
        ("orders", orders, wanted.orders),
        ("reviewed", found.opinions.reviewed, wanted.reviewed),
        ("visitors", found.aliases.visitors, wanted.visitors),
    ):
        yield from diff(name, held, wanted_entries)
        if held.keys() == wanted_entries.keys():
            yield from diff(f"{name} by arrival", list(held), list(wanted_entries))
    yield from diff("alias_of", found.aliases.alias_of, None)
    yield from _compare_seen_events(found.seen, wanted.seen)
    yield from diff(
        "open_sessions", sorted(session.key for session in found.visits.open_sessions), wanted.open_sessions
    )
    for session in found.visits.open_sessions:
        if session.key in wanted.open_sessions:
            yield from _compare_session(session, sessions[session.key])


def _compare_session_summary(key: SessionKey, found: SessionSummary, wanted: ExpectedSession) -> Iterator[Line]:
    products = {product_id: weight for product_id, (_, weight) in wanted.products.items()}
    yield from diff(f"session {key}'s last_at_ms in its summary", found.last_at_ms, wanted.last_at_ms)
    yield from diff(f"session {key}'s products in its summary", found.products, products)
    times = [wanted.products[product_id][0] for product_id in found.products if product_id in products]
    if times != sorted(times):
        yield f"session {key}'s products in its summary are not in order of time: {list(found.products)}"


def _compare_session(found: Session, wanted: ExpectedSession) -> Iterator[Line]:
    for name in ("session_id", "started_at_ms", "last_at_ms", "events", "products"):
        yield from diff(f"session {found.key}'s {name}", getattr(found, name), getattr(wanted, name))
    times = [at_ms for at_ms, _ in found.products.values()]
    if times != sorted(times):
        yield f"session {found.key}'s products are not in order of time: {list(found.products)}"


def _compare_reviews(
    cells: CustomerQueries, customer_id: CustomerId, wanted: Mapping[ProductId, tuple[int, str, int]]
) -> Iterator[Line]:
    found = cells.reviews(customer_id)
    held = {review.product_id: (review.rating, review.text, review.occurred_at_ms) for review in found}
    yield from diff("review", held, wanted)
    in_order = sorted(found, key=lambda review: (-review.occurred_at_ms, review.product_id))
    if found != in_order or len(held) != len(found):
        yield "reviews are not each there once, the latest first"


def _compare_forgotten(expected: Expected, owner: CellStore, cells: CustomerQueries) -> Iterator[Line]:
    """Of a forgotten customer, only the time of the forgetting may be left, and only for the cell's owner."""
    by_partition: dict[int, list[CustomerId]] = {}
    for customer_id in expected.forgotten:
        by_partition.setdefault(expected.partition_of(customer_id), []).append(customer_id)
        if cells.read_customer(customer_id) is not None:
            yield f"customer {customer_id}: can be read, and should be forgotten"
        if cells.reviews(customer_id):
            yield f"customer {customer_id}: has reviews, and should be forgotten"
    for partition, customer_ids in by_partition.items():
        for chunk in chunks(customer_ids):
            for customer_id, customer in owner.load_customers({partition: chunk}).items():
                wanted = Customer(customer_id, forgotten_at_ms=expected.forgotten[customer_id])
                if customer != wanted:
                    yield f"customer {customer_id}: is loaded as {shown(customer)}, should be {shown(wanted)}"


def _compare_sessions(expected: Expected, cells: CustomerQueries, session_retention_ms: int) -> Iterator[Line]:
    for chunk in chunks([*expected.sessions, *expected.sessions_erased]):
        found = cells.session_summaries(chunk)
        for key in chunk:
            summary, wanted = found.get(key), expected.sessions.get(key)
            if wanted is None:
                if summary is not None:
                    yield f"session {key}: is in the store, and should not be"
                continue
            oldest_ms = expected.newest_ms.get(key % KEY_STRIDE, NEVER_MS) - session_retention_ms
            if (summary is None) != (wanted.last_at_ms < oldest_ms):
                what = "is missing" if summary is None else "is in the store, and should have expired"
                yield f"session {key}: {what}"
            elif summary is not None:
                yield from _compare_session_summary(key, summary, wanted)


def _compare_dead_letters(expected: Expected, outputs: Outputs) -> Iterator[Line]:
    letters = outputs.dead_letters(len(expected.dead_letters) + len(expected.dead_letters_erased) + CHUNK)
    positions = [(letter.record.partition, letter.record.position) for letter in letters]
    held = {position: _comparable_code(letter.reason) for position, letter in zip(positions, letters, strict=True)}
    wanted = {(partition, position): code for partition, position, code in expected.dead_letters}
    if not outputs.can_retract:  # a forgotten customer's letter is there if it was emitted before the forgetting
        erased = expected.dead_letters_erased
        held = {position: code for position, code in held.items() if (*position, code) not in erased}
    yield from diff("dead letter", held, wanted)
    for position, letter in zip(positions, letters, strict=True):
        if expected.letter_checksums.get(position, known := checksum_of(letter.record)) != known:
            yield f"dead letter {position}: its record is not equal to the one in the log"
    if positions != sorted(set(positions)):
        yield "dead letters are not each there once, by partition and position"


def _comparable_code(reason: str) -> str:
    """The code of a dead letter, `UNREADABLE` for codes of decoders; a reason without code or explanation itself."""
    code, _, explanation = reason.partition(":")
    if code in FOLD_CODES:
        return code
    return UNREADABLE if code.strip() and explanation.strip() else reason
