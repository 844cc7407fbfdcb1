"""Strategies of customers, and a value of each kind that is stored, with its decoder."""

from collections.abc import Callable
from typing import Final

import attrs
import msgspec
from hypothesis import strategies as st

from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import SeenEvents, SeenIds
from realtime_pipeline.domain.profile.exposures import Exposures
from realtime_pipeline.domain.profile.interests import Interests
from realtime_pipeline.domain.profile.opinions import Opinions
from realtime_pipeline.domain.profile.purchases import Purchases
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.codecs.outbox import decode_entry, encode_entry
from realtime_pipeline.infrastructure.codecs.state import (
    decode_customer,
    decode_review,
    decode_session_summaries,
    decode_session_summary,
    encode_customer,
    encode_review,
    encode_session_summary,
)
from realtime_pipeline.infrastructure.redis.rows import decode_listing, decode_row, row_of

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
AT_MS: Final = 1_760_000_000_000

words = st.text("abcdefghij", min_size=1, max_size=6)
ids = words.map(ProductId)
numbers = st.integers(0, 2**40)
sessions = st.builds(
    Session,
    numbers.map(SessionKey),
    st.none() | words,
    numbers,
    numbers,
    st.integers(0, 9),
    st.dictionaries(ids, st.tuples(numbers, st.integers(0, 5)), max_size=3),
)
orders = st.builds(Order, st.none() | numbers, numbers, numbers)
memories = st.builds(SeenIds, st.binary(min_size=14, max_size=14), numbers)
seen = st.builds(SeenEvents, st.binary(min_size=28, max_size=28), numbers, st.none() | memories)
contributions = st.tuples(st.just(b"12345678"), st.sampled_from(EventKind), numbers).map(
    lambda fields: Contribution(*fields)
)
times = st.none() | numbers
amounts = st.integers(-(2**40), 2**40)
traded = st.dictionaries(ids, st.tuples(amounts, numbers), max_size=2)
visits = st.builds(
    Visits,
    st.dictionaries(st.sampled_from(EventKind), numbers, max_size=3),
    numbers,
    times,
    times,
    st.none() | st.tuples(st.just("DE"), numbers),
    st.lists(sessions, max_size=2, unique_by=lambda session: session.key),
    st.lists(numbers.map(SessionKey), max_size=2),
)
interests = st.builds(
    Interests,
    st.dictionaries(words, st.tuples(st.floats(0, 100), numbers), max_size=2),
    st.dictionaries(ids, numbers, max_size=3),
)
purchases = st.builds(Purchases, amounts, amounts, numbers, traded, st.dictionaries(words, orders, max_size=2))
aliases = st.builds(
    Aliases,
    st.none() | words.map(CustomerId),
    st.dictionaries(words.map(CustomerId), words, max_size=2),
    st.lists(contributions, max_size=2).map(tuple),
)
customers = st.builds(
    Customer,
    words.map(CustomerId),
    visits,
    interests,
    purchases,
    st.builds(Opinions, traded),
    st.builds(Exposures, traded),
    aliases,
    seen,
    numbers,
)
excluding_customers = st.builds(
    lambda customer, excluded, minute, left_out: attrs.evolve(
        customer,
        visits=attrs.evolve(customer.visits, excluded=excluded, minute=minute),
        aliases=attrs.evolve(customer.aliases, excluded_contributions=left_out),
    ),
    customers,
    st.integers(1, 9),
    st.none() | st.tuples(numbers, st.integers(1, 9)),
    st.lists(contributions, max_size=2).map(tuple),
)
"""With excluded events."""
values = st.recursive(
    st.none() | st.booleans() | numbers | words | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
additions = st.dictionaries(words.map(lambda name: f"new_{name}"), values, min_size=1, max_size=3)

ADA: Final = Customer(
    CustomerId("ada"),
    Visits(
        {EventKind.PRODUCT_VIEWED: 3},
        first_seen_ms=5,
        last_seen_ms=9,
        open_sessions=[Session(SessionKey(4096), "s", 5, 9, 3, {ProductId("mug"): (9, 1)})],
    ),
    purchases=Purchases(spend=125_000, orders={"o1": Order(5, 2, 125_000)}),
    seen=SeenEvents(b"1" * 14, 5, SeenIds(b"2" * 14, 6)),
)
BOT: Final = attrs.evolve(
    ADA,
    visits=attrs.evolve(ADA.visits, excluded=2, minute=(7, 3)),
    aliases=Aliases(excluded_contributions=(Contribution(b"12345678", EventKind.PRODUCT_VIEWED, 5),)),
)
"""A customer with excluded events."""
ENTRY: Final = OutboxEntry(
    0,
    3,
    5,
    Watermark(1, 2, 3, 4),
    Deltas(
        {ProductId("mug"): ProductState(1, name=("Mug", 5))},
        {(7, ProductId("mug")): Activity(1)},
        {(ProductId("mug"), SessionKey(4096)): 9},
    ),
    (DeadLetter(Record(0, 4, b"k", b"v", 9), "not_json: x"),),
    frozenset({CustomerId("bob"), CustomerId("cyd")}),
    (Outgoing(b"ada", b"{}"),),
    9,
)
WITH_SUMS: Final = attrs.evolve(
    ENTRY, deltas=attrs.evolve(ENTRY.deltas, sums={("returns", ProductId("mug"), "units"): 2})
)
LISTING: Final = Listing({"name": ("A mug", 9), "stock": ("5", 7)}, 2)
WITH_CATALOGUE: Final = attrs.evolve(
    ENTRY,
    deltas=attrs.evolve(
        ENTRY.deltas,
        listings={ProductId("mug"): Listing({"stock": ("5", 7)})},
        sales={(ProductId("mug"), 8): 2},
    ),
)
WITH_LATE_EVENTS: Final = attrs.evolve(
    WITH_SUMS,
    late_events=(
        LateEvent(
            Record(0, 3, b"k", b"\xff{}", 9, "orders.csv:17"),
            (MissedWindows("by_product", 4), MissedWindows("minutes", 1)),
            2,
            8,
            CustomerId("ada"),
        ),
    ),
)
REVIEW: Final = Review(CustomerId("ada"), ProductId("mug"), 4, "fine", 9)


@attrs.define
class CustomerOfFirstRelease:
    """A customer as the release before formats had it; its field names are those of the stored map."""

    customer_id: CustomerId
    counts: dict[EventKind, int]
    spend: int
    units: int
    orders_placed: int
    sessions_begun: int
    first_seen_ms: int | None
    last_seen_ms: int | None
    country: LastWrite | None
    affinity: dict[str, tuple[float, int]]
    recent: dict[ProductId, int]
    purchases: dict[ProductId, tuple[int, int]]
    shown: dict[ProductId, tuple[int, int]]
    orders: dict[str, Order]
    reviewed: dict[ProductId, tuple[int, int]]
    open_sessions: list[Session]
    closed_sessions: list[SessionKey]
    seen: SeenEvents
    forgotten_at_ms: int
    forwards_to: CustomerId | None
    visitors: dict[CustomerId, str]
    contributions: tuple[Contribution, ...]


def in_first_release(customer: Customer) -> CustomerOfFirstRelease:
    return CustomerOfFirstRelease(
        customer_id=customer.customer_id,
        counts=customer.visits.counts,
        spend=customer.purchases.spend,
        units=customer.purchases.units,
        orders_placed=customer.purchases.orders_placed,
        sessions_begun=customer.visits.sessions_begun,
        first_seen_ms=customer.visits.first_seen_ms,
        last_seen_ms=customer.visits.last_seen_ms,
        country=customer.visits.country,
        affinity=customer.interests.affinity,
        recent=customer.interests.recent,
        purchases=customer.purchases.by_product,
        shown=customer.exposures.shown,
        orders=customer.purchases.orders,
        reviewed=customer.opinions.reviewed,
        open_sessions=customer.visits.open_sessions,
        closed_sessions=customer.visits.closed_sessions,
        seen=customer.seen,
        forgotten_at_ms=customer.forgotten_at_ms,
        forwards_to=customer.aliases.alias_of,
        visitors=customer.aliases.visitors,
        contributions=customer.aliases.contributions,
    )


Stored = tuple[bytes, Callable[[bytes], object]]
STORED: Final[dict[str, Stored]] = {
    "customer": (encode_customer(ADA), decode_customer),
    "customer with excluded events": (encode_customer(BOT), decode_customer),
    "review": (encode_review(REVIEW), decode_review),
    "entry": (encode_entry(ENTRY), decode_entry),
    "entry with sums": (encode_entry(WITH_SUMS), decode_entry),
    "entry with a catalogue": (encode_entry(WITH_CATALOGUE), decode_entry),
    "entry with late events": (encode_entry(WITH_LATE_EVENTS), decode_entry),
    "listing": (pack([LISTING.facts, LISTING.sold]), decode_listing),
    "trail": (encode_session_summary(ADA.visits.open_sessions[0]), decode_session_summary),
    "trails": (
        encode_session_summary(ADA.visits.open_sessions[0]),
        lambda value: decode_session_summaries([None, value])[1],
    ),
    "row": (pack(row_of(ProductState(3, name=("Mug", 5)))), decode_row),
}
