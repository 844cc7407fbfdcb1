"""Compare what a store holds, field by field, with what the oracle says it must hold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from operator import attrgetter
from typing import Final

from harness.checking.views import in_lists, in_products, in_top_rated, in_trending
from harness.oracle.customer import Stub
from harness.oracle.expected import Expected
from harness.oracle.judging import NEVER_MS, ExpectedSeen, Remembered
from harness.oracle.profile import ExpectedCustomer
from harness.oracle.sessions import ExpectedSession
from harness.oracle.sign_in import KEY_STRIDE
from harness.oracle.sorting import UNREADABLE, identified
from harness.support.diff import CHUNK, Line, chunks, diff, each_once, shown
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.views import Views
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

FOLD_CODES: Final = frozenset(("too_old", "misrouted", "in_the_future"))
"""Codes of records that could be decoded; these are compared."""
DIGEST: Final = 8
ENTRY: Final = 6 + DIGEST
"""Bytes of an event that is remembered: its time, then the digest of its id."""
_PLAIN_FIELDS: Final = {
    "units": attrgetter("purchases.units"),
    "orders_placed": attrgetter("purchases.orders_placed"),
    "sessions_begun": attrgetter("visits.sessions_begun"),
    "first_seen_ms": attrgetter("visits.first_seen_ms"),
    "last_seen_ms": attrgetter("visits.last_seen_ms"),
    "country": attrgetter("visits.country"),
    "closed_sessions": attrgetter("visits.closed_sessions"),
    "forgotten_at_ms": attrgetter("forgotten_at_ms"),
    "counts": attrgetter("visits.counts"),
    "affinity": attrgetter("interests.affinity"),
    "recent": attrgetter("interests.recent"),
    "purchases": attrgetter("purchases.by_product"),
    "shown": attrgetter("exposures.shown"),
}
"""By the name of what is expected, where a customer has it."""


def differences(
    expected: Expected,
    cells: CellStore,
    views: Views,
    outputs: Outputs,
    session_retention_ms: int,
    listed_max: int,
    limit: int = 20,
    trending: TrendingSettings | None = None,
) -> list[str]:
    """List where a store differs from the oracle, one line each; over `limit`, a last line says how many more.

    `trending` are rules whose window lies within the hours of activity that the store keeps; the default ones, if
    none are given.
    """
    found = chain(
        expected.missing_messages,
        _in_counts(expected, cells),
        _in_customers(expected, cells),
        _in_forgotten(expected, cells),
        _in_sessions(expected, cells, session_retention_ms),
        in_products(expected, views),
        in_lists(expected, views, listed_max),
        in_trending(expected, views, trending or TrendingSettings()),
        in_top_rated(expected, views),
        _in_dead_letters(expected, outputs),
    )
    lines = list(islice(found, limit))
    more = sum(1 for _ in found)
    return [*lines, f"and {more:,} more differences"] if more else lines


def compared(expected: Expected) -> str:
    """Say in one line how much there was to compare."""
    return (
        f"{len(expected.customers):,} customers, {len(expected.sessions):,} sessions, "
        f"{len(expected.products):,} products, {sum(expected.counts.values()):,} records"
    )


def _in_counts(expected: Expected, cells: CellStore) -> Iterator[Line]:
    held = cells.counts()
    for class_ in RecordClass:
        yield from diff(f"the count of {class_}", held.get(class_, 0), expected.counts.get(class_, 0))


def _in_customers(expected: Expected, cells: CellStore) -> Iterator[Line]:
    reviews: dict[CustomerId, dict[ProductId, tuple[int, str, int]]] = {}
    for (customer_id, product_id), said in expected.reviews.items():
        reviews.setdefault(customer_id, {})[product_id] = said
    times_seen: Counter[CustomerId] = Counter()
    for customer in cells.scan():
        customer_id = customer.customer_id
        times_seen[customer_id] += 1
        wanted = expected.customers.get(customer_id)
        stub = expected.stubs.get(customer_id)
        if stub is not None:
            found = _in_visitor(customer, stub)
        elif wanted is not None:
            found = _in_customer(customer, wanted, expected.sessions)
        else:
            yield f"customer {customer_id}: is in the store, and should not be"
            continue
        for line in found:
            yield f"customer {customer_id}: {line}"
        if cells.read_customer(customer_id) != customer:
            yield f"customer {customer_id}: is another when read alone than in the scan of all"
        for line in _in_reviews(cells, customer_id, reviews.get(customer_id, {})):
            yield f"customer {customer_id}: {line}"
    yield from each_once("customer", {**expected.customers, **expected.stubs}, times_seen)


def _in_visitor(found: Customer, stub: Stub) -> Iterator[Line]:
    """Of who has signed in, nothing may be left but whom they forward to, and what is to be erased one day."""
    wanted = Customer(
        found.customer_id,
        visits=Visits(last_seen_ms=stub.last_seen_ms, closed_sessions=stub.closed_sessions),
        opinions=Opinions(stub.reviewed),
        aliases=Aliases(alias_of=stub.to),
        seen=found.seen,
        forgotten_at_ms=stub.forgotten_at_ms,
    )
    if found != wanted:
        yield f"is {shown(found)}, should be {shown(wanted)}"
    yield from _in_seen(found.seen, stub.seen)


def _in_seen(found: SeenEvents, wanted: ExpectedSeen) -> Iterator[Line]:
    repairs = found.repairs or SeenIds()
    yield from _in_memory("memory", found, wanted.floor_ms, wanted.own)
    yield from _in_memory("memory of repairs", repairs, wanted.repairs_floor_ms, wanted.repairs)
    merged = tuple(found.merged_ids[at : at + DIGEST].hex() for at in range(0, len(found.merged_ids), DIGEST))
    yield from diff("the ids that came by a sign-in", merged, wanted.merged)
    yield from diff("forwarded_up_to", found.forwarded_up_to, wanted.forwarded_up_to)


def _in_memory(name: str, found: SeenIds, floor_ms: int, wanted: Remembered) -> Iterator[Line]:
    yield from diff(f"the {name}'s floor_ms", found.floor_ms, floor_ms)
    entries = [found.entries[at : at + ENTRY] for at in range(0, len(found.entries), ENTRY)]
    held = {(int.from_bytes(entry[:-DIGEST]), entry[-DIGEST:].hex()) for entry in entries}
    for at_ms, digest in sorted(held ^ wanted):
        what = "is remembered, and should not be" if (at_ms, digest) in held else "is not remembered"
        yield f"an event of {at_ms} ms {what}"


def _in_customer(
    found: Customer, wanted: ExpectedCustomer, sessions: Mapping[SessionKey, ExpectedSession]
) -> Iterator[Line]:
    if found.purchases.spend != wanted.spend:
        yield f"spend is {in_units(found.purchases.spend, 4)}, should be {in_units(wanted.spend, 4)}"
    for name, held_in in _PLAIN_FIELDS.items():
        yield from diff(name, held_in(found), getattr(wanted, name))
    orders = {id_: (order.placed_at_ms, order.units, order.amount) for id_, order in found.purchases.orders.items()}
    # The order of arrival decides which leaves next, so it is compared too.
    for name, held, right in (
        ("orders", orders, wanted.orders),
        ("reviewed", found.opinions.reviewed, wanted.reviewed),
        ("visitors", found.aliases.visitors, wanted.visitors),
    ):
        yield from diff(name, held, right)
        if held.keys() == right.keys():
            yield from diff(f"{name} by arrival", list(held), list(right))
    yield from diff("alias_of", found.aliases.alias_of, None)
    yield from _in_seen(found.seen, wanted.seen)
    yield from diff("open_sessions", sorted(one.key for one in found.visits.open_sessions), wanted.open_sessions)
    for session in found.visits.open_sessions:
        if session.key in wanted.open_sessions:
            yield from _in_session(session, sessions[session.key])


def _in_trail(key: SessionKey, found: SessionSummary, wanted: ExpectedSession) -> Iterator[Line]:
    products = {product_id: weight for product_id, (_, weight) in wanted.products.items()}
    yield from diff(f"session {key}'s last_at_ms for others", found.last_at_ms, wanted.last_at_ms)
    yield from diff(f"session {key}'s products for others", found.products, products)
    times = [wanted.products[product_id][0] for product_id in found.products if product_id in products]
    if times != sorted(times):
        yield f"session {key}'s products for others are not in order of time: {list(found.products)}"


def _in_session(found: Session, wanted: ExpectedSession) -> Iterator[Line]:
    for name in ("session_id", "started_at_ms", "last_at_ms", "events", "products"):
        yield from diff(f"session {found.key}'s {name}", getattr(found, name), getattr(wanted, name))
    times = [at_ms for at_ms, _ in found.products.values()]
    if times != sorted(times):
        yield f"session {found.key}'s products are not in order of time: {list(found.products)}"


def _in_reviews(
    cells: CellStore, customer_id: CustomerId, wanted: Mapping[ProductId, tuple[int, str, int]]
) -> Iterator[Line]:
    found = cells.reviews(customer_id)
    held = {review.product_id: (review.rating, review.text, review.occurred_at_ms) for review in found}
    yield from diff("review", held, wanted)
    in_order = sorted(found, key=lambda review: (-review.occurred_at_ms, review.product_id))
    if found != in_order or len(held) != len(found):
        yield "reviews are not each once, the latest first"


def _in_forgotten(expected: Expected, cells: CellStore) -> Iterator[Line]:
    """Nothing may be left of who was forgotten but when, for the owner."""
    by_partition: dict[int, list[CustomerId]] = {}
    for customer_id in expected.forgotten:
        by_partition.setdefault(expected.belongs(customer_id), []).append(customer_id)
        if cells.read_customer(customer_id) is not None:
            yield f"customer {customer_id}: can be read, and should be forgotten"
        if cells.reviews(customer_id):
            yield f"customer {customer_id}: has reviews, and should be forgotten"
    for partition, customer_ids in by_partition.items():
        for chunk in chunks(customer_ids):
            for customer_id, customer in cells.load_customers({partition: chunk}).items():
                wanted = Customer(customer_id, forgotten_at_ms=expected.forgotten[customer_id])
                if customer != wanted:
                    yield f"customer {customer_id}: is loaded as {shown(customer)}, should be {shown(wanted)}"


def _in_sessions(expected: Expected, cells: CellStore, session_retention_ms: int) -> Iterator[Line]:
    for chunk in chunks([*expected.sessions, *expected.sessions_gone]):
        found = cells.session_summaries(chunk)
        for key in chunk:
            trail, wanted = found.get(key), expected.sessions.get(key)
            if wanted is None:
                if trail is not None:
                    yield f"session {key}: is in the store, and should be gone"
                continue
            oldest_ms = expected.newest_ms.get(key % KEY_STRIDE, NEVER_MS) - session_retention_ms
            if (trail is None) != (wanted.last_at_ms < oldest_ms):
                what = "is missing" if trail is None else "is in the store, and should have expired"
                yield f"session {key}: {what}"
            elif trail is not None:
                yield from _in_trail(key, trail, wanted)


def _in_dead_letters(expected: Expected, outputs: Outputs) -> Iterator[Line]:
    letters = outputs.dead_letters(len(expected.dead_letters) + len(expected.dead_letters_gone) + CHUNK)
    places = [(letter.record.partition, letter.record.position) for letter in letters]
    held = {place: _compared_code(letter.reason) for place, letter in zip(places, letters, strict=True)}
    wanted = {(partition, position): code for partition, position, code in expected.dead_letters}
    if not outputs.can_retract:  # then it depends on when it was put out whether a forgotten customer's letter is there
        gone = expected.dead_letters_gone
        held = {place: code for place, code in held.items() if (*place, code) not in gone}
    yield from diff("dead letter", held, wanted)
    for place, letter in zip(places, letters, strict=True):
        if expected.letters.get(place, known := identified(letter.record)) != known:
            yield f"dead letter {place}: its record is not the one in the log, whole"
    if places != sorted(set(places)):
        yield "dead letters are not each once, by partition and position"


def _compared_code(reason: str) -> str:
    """The code of a dead letter, as far as the oracle has one; a reason without code and explanation as it is."""
    code, _, explanation = reason.partition(":")
    if code in FOLD_CODES:
        return code
    return UNREADABLE if code.strip() and explanation.strip() else reason
