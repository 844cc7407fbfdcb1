"""Compare what a store holds, field by field, with what the oracle says it must hold."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import attrs

from harness.oracle import HOUR_MS, KEY_STRIDE, Expected, partition_of_customer
from harness.oracle_customer import NEVER_MS, ExpectedCustomer
from harness.oracle_sessions import ExpectedSession
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.recommendation.trending import TrendingRules
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.money import in_units
from realtime_pipeline.domain.shop.product import ProductState
from realtime_pipeline.domain.shop.session import Session, SessionKey
from realtime_pipeline.domain.streams.effects import RecordClass

CHUNK: Final = 1_000
CATEGORIES: Final = 8
"""Trending is compared in so many categories: each is a query over all of the activity."""
PRIORS: Final = (5.0, 1.0)
RELATIVE: Final = 1e-9
_FIXED_POINT: Final = 2**20
_PLAIN_FIELDS: Final = (
    "units",
    "orders_placed",
    "sessions_begun",
    "first_seen_ms",
    "last_seen_ms",
    "closed_sessions",
    "forgotten_at_ms",
)
_BY_WEIGHTS: Final = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
"""Views, carts and purchases, each looked at alone: no port shows the activity itself."""

Line = str


def differences(
    expected: Expected,
    cells: CellStore,
    views: Views,
    outputs: Outputs,
    session_keep_ms: int,
    listed_max: int,
    limit: int = 20,
    trending: TrendingRules | None = None,
) -> list[str]:
    """List where a store differs from the oracle, one line each; over `limit`, a last line says how many more.

    `trending` are rules whose window lies within the hours of activity that the store keeps; the default ones, if
    none are given.
    """
    found = chain(
        _in_counts(expected, cells),
        _in_customers(expected, cells),
        _in_forgotten(expected, cells),
        _in_sessions(expected, cells, session_keep_ms),
        _in_products(expected, views),
        _in_lists(expected, views, listed_max),
        _in_trending(expected, views, trending or TrendingRules()),
        _in_top_rated(expected, views),
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
    yield from _unlike(
        "records", {name: held.get(name, 0) for name in RecordClass}, _complete(expected.counts, RecordClass)
    )


def _complete(counts: Mapping[RecordClass, int], classes: Iterable[RecordClass]) -> dict[RecordClass, int]:
    return {class_: counts.get(class_, 0) for class_ in classes}


def _in_customers(expected: Expected, cells: CellStore) -> Iterator[Line]:
    reviews: dict[CustomerId, dict[ProductId, tuple[int, str, int]]] = {}
    for (customer_id, product_id), said in expected.reviews.items():
        reviews.setdefault(customer_id, {})[product_id] = said
    times_seen: Counter[CustomerId] = Counter()
    for customer in cells.scan():
        customer_id = customer.customer_id
        times_seen[customer_id] += 1
        wanted = expected.customers.get(customer_id)
        if wanted is None:
            yield f"customer {customer_id}: is in the store, and should not be"
            continue
        for line in _in_customer(customer, wanted, expected.sessions):
            yield f"customer {customer_id}: {line}"
        if cells.customer(customer_id) != customer:
            yield f"customer {customer_id}: is another when read alone than in the scan of all"
        for line in _in_reviews(cells, customer_id, reviews.get(customer_id, {})):
            yield f"customer {customer_id}: {line}"
    for customer_id in expected.customers:
        if times_seen[customer_id] != 1:
            yield f"customer {customer_id}: is {times_seen[customer_id] or 'not once'} in the store, should be once"


def _in_customer(
    found: Customer, wanted: ExpectedCustomer, sessions: Mapping[SessionKey, ExpectedSession]
) -> Iterator[Line]:
    if found.spend != wanted.spend:
        yield f"spend is {in_units(found.spend)}, should be {in_units(wanted.spend)}"
    for name in _PLAIN_FIELDS:
        yield from _unlike(name, getattr(found, name), getattr(wanted, name))
    yield from _unlike("counts", found.counts, wanted.counts)
    yield from _unlike("affinity", found.affinity, wanted.affinity)
    yield from _unlike("recent", found.recent, wanted.recent)
    orders = {id_: (order.placed_at_ms, order.units, order.amount) for id_, order in found.orders.items()}
    # The order of arrival decides which leaves next, so it is compared too.
    for name, held, right in (("orders", orders, wanted.orders), ("reviewed", found.reviewed, wanted.reviewed)):
        yield from _unlike(name, held, right)
        if held.keys() == right.keys():
            yield from _unlike(f"{name} by arrival", list(held), list(right))
    yield from _unlike("the memory's floor_ms", found.memory.floor_ms, wanted.memory_floor_ms)
    yield from _unlike("open_sessions", sorted(one.key for one in found.open_sessions), wanted.open_sessions)
    for session in found.open_sessions:
        if session.key in wanted.open_sessions:
            yield from _in_session(session, sessions[session.key])


def _in_session(found: Session, wanted: ExpectedSession) -> Iterator[Line]:
    for name in ("session_id", "started_at_ms", "last_at_ms", "events", "products"):
        yield from _unlike(f"session {found.key}'s {name}", getattr(found, name), getattr(wanted, name))


def _in_reviews(
    cells: CellStore, customer_id: CustomerId, wanted: Mapping[ProductId, tuple[int, str, int]]
) -> Iterator[Line]:
    found = cells.reviews(customer_id)
    held = {review.product_id: (review.rating, review.text, review.occurred_at_ms) for review in found}
    yield from _unlike("review", held, wanted)
    in_order = sorted(found, key=lambda review: (-review.occurred_at_ms, review.product_id))
    if found != in_order or len(held) != len(found):
        yield "reviews are not each once, the latest first"


def _in_forgotten(expected: Expected, cells: CellStore) -> Iterator[Line]:
    """Nothing may be left of who was forgotten but when, for the owner."""
    by_partition: dict[int, list[CustomerId]] = {}
    for customer_id in expected.forgotten:
        by_partition.setdefault(partition_of_customer(customer_id, expected.partitions), []).append(customer_id)
        if cells.customer(customer_id) is not None:
            yield f"customer {customer_id}: can be read, and should be forgotten"
        if cells.reviews(customer_id):
            yield f"customer {customer_id}: has reviews, and should be forgotten"
    for partition, customer_ids in by_partition.items():
        for chunk in _chunks(customer_ids):
            for customer_id, customer in cells.customers(partition, chunk).items():
                wanted = Customer(customer_id, forgotten_at_ms=expected.forgotten[customer_id])
                if customer != wanted:
                    yield f"customer {customer_id}: is loaded as {_shown(customer)}, should be {_shown(wanted)}"


def _in_sessions(expected: Expected, cells: CellStore, session_keep_ms: int) -> Iterator[Line]:
    for chunk in _chunks([*expected.sessions, *expected.sessions_gone]):
        found = cells.sessions(chunk)
        for key in chunk:
            session, wanted = found.get(key), expected.sessions.get(key)
            if wanted is None:
                if session is not None:
                    yield f"session {key}: is in the store, and should be gone"
                continue
            oldest_ms = expected.newest_ms[key % KEY_STRIDE] - session_keep_ms
            if (session is None) != (wanted.last_at_ms < oldest_ms):
                yield f"session {key}: is {'missing' if session is None else 'in the store, and should have expired'}"
            elif session is not None:
                yield from _in_session(session, wanted)


def _in_products(expected: Expected, views: Views) -> Iterator[Line]:
    times_seen: Counter[ProductId] = Counter()
    for product_id, state in views.scan():
        times_seen[product_id] += 1
        if product_id not in expected.products:
            yield f"product {product_id}: is in the store, and should not be"
            continue
        wanted = attrs.asdict(expected.products[product_id])
        yield from _unlike(f"product {product_id}", _described(state), wanted)
    for product_id in expected.products:
        if times_seen[product_id] != 1:
            yield f"product {product_id}: is {times_seen[product_id] or 'not once'} in the store, should be once"
    total = sum(product.interactions for product in expected.products.values())
    yield from _unlike("interactions", views.interactions(), total)
    newest_ms = {partition: mark.newest_ms for partition, mark in views.watermarks().items() if mark.newest_ms >= 0}
    yield from _unlike("newest_ms of partition", newest_ms, expected.newest_ms)


def _described(state: ProductState) -> dict[str, object]:
    facts = {"name": state.name, "category": state.category, "price": state.price}
    return {
        "interactions": state.interactions,
        "ratings": state.ratings,
        "rating_sum": state.rating_sum,
        **{name: None if fact is None else fact[0] for name, fact in facts.items()},
    }


def _in_lists(expected: Expected, views: Views, listed_max: int) -> Iterator[Line]:
    for chunk in _chunks(list(expected.products)):
        found = views.sessions_of(chunk, listed_max)
        for product_id in chunk:
            held, wanted = found.get(product_id, []), expected.lists.get(product_id, [])[:listed_max]
            if list(held) != wanted:
                at = next((at for at, pair in enumerate(zip(held, wanted, strict=False)) if pair[0] != pair[1]), None)
                where = f"{len(held)} long, should be {len(wanted)}" if at is None else f"another from entry {at + 1} on"
                yield f"product {product_id}: its list of sessions is {where}"


def _in_trending(expected: Expected, views: Views, rules: TrendingRules) -> Iterator[Line]:
    by_category: dict[str, set[ProductId]] = {}
    for product_id, product in expected.products.items():
        if product.category is not None:
            by_category.setdefault(product.category, set()).add(product_id)
    largest = sorted(by_category, key=lambda category: (-len(by_category[category]), category))[:CATEGORIES]
    yield from _in_ranking(expected, views, rules, None, expected.products)
    for category in largest:
        yield from _in_ranking(expected, views, rules, category, by_category[category])
    yield from _in_ranking(expected, views, rules, "no such category", ())
    for view, cart, purchase in _BY_WEIGHTS:
        alone = attrs.evolve(rules, view_weight=view, cart_weight=cart, purchase_weight=purchase)
        yield from _in_ranking(expected, views, alone, None, expected.products)


def _in_ranking(
    expected: Expected, views: Views, rules: TrendingRules, category: str | None, of: Collection[ProductId]
) -> Iterator[Line]:
    """Compare the whole ranking, and that a short one is its beginning."""
    where = "trending" if category is None else f"trending in {category!r}"
    if (rules.view_weight, rules.cart_weight, rules.purchase_weight) in _BY_WEIGHTS:
        where += f" by {('views', 'carts', 'purchases')[(rules.cart_weight + 2 * rules.purchase_weight)]}"
    wanted = _ranking(expected, rules, of)
    found = [(one.product_id, one.score, one.actions) for one in views.trending(rules, category, len(of) + CHUNK)]
    yield from _in_ranks(where, found, wanted)
    short = [(one.product_id, one.score, one.actions) for one in views.trending(rules, category, 10)]
    if short != found[:10]:
        yield f"{where}: the first ten are others than those of the whole ranking"


def _ranking(expected: Expected, rules: TrendingRules, of: Collection[ProductId]) -> list[tuple[ProductId, float, int]]:
    """Σ over the last hours of round(2^20 · 2^(−age / half-life)) · weighted actions, in 2^-20."""
    now = max(expected.newest_ms.values(), default=NEVER_MS) // HOUR_MS
    scores: Counter[ProductId] = Counter()
    actions: Counter[ProductId] = Counter()
    for (hour, product_id), (views, carts, purchases) in expected.activity.items():
        if now - rules.window_hours < hour <= now and product_id in of:
            decay = round(_FIXED_POINT * 2.0 ** (-(now - hour) / rules.half_life_hours))
            scores[product_id] += decay * (
                views * rules.view_weight + carts * rules.cart_weight + purchases * rules.purchase_weight
            )
            actions[product_id] += views + carts + purchases
    best_first = sorted((-score, product_id) for product_id, score in scores.items() if score > 0)
    return [(product_id, -score / _FIXED_POINT, actions[product_id]) for score, product_id in best_first]


def _in_ranks(where: str, found: Sequence[object], wanted: Sequence[object]) -> Iterator[Line]:
    yield from _unlike(f"{where}: how many there are", len(found), len(wanted))
    for rank, (one, right) in enumerate(zip(found, wanted, strict=False), 1):
        if not _same(one, right):
            yield f"{where}: number {rank} is {_shown(one)}, should be {_shown(right)}; those after it are not compared"
            return


def _in_top_rated(expected: Expected, views: Views) -> Iterator[Line]:
    rated = {id_: (one.ratings, one.rating_sum) for id_, one in expected.products.items() if one.ratings}
    ratings = sum(count for count, _ in rated.values())
    mean = sum(total for _, total in rated.values()) / ratings if ratings else 0.0
    for prior in PRIORS:
        where = f"top rated with {prior} average ratings"
        found = [(one.product_id, one.average, one.ratings) for one in views.top_rated(prior, len(rated) + CHUNK)]
        averages = {id_: ((prior * mean + total) / (prior + count), count) for id_, (count, total) in rated.items()}
        held = {product_id: (average, count) for product_id, average, count in found}
        yield from _unlike(f"{where}: product", held, averages)
        # Averages are compared to 1e-9 and the order by the averages found: equal ones may differ in the last bit.
        if found != sorted(found, key=lambda one: (-one[1], one[0])) or len(held) != len(found):
            yield f"{where}: the products are not each once, the best first"
        if [one.product_id for one in views.top_rated(prior, 10)] != [product_id for product_id, _, _ in found[:10]]:
            yield f"{where}: the first ten are others than those of the whole ranking"


def _in_dead_letters(expected: Expected, outputs: Outputs) -> Iterator[Line]:
    letters = outputs.dead_letters(len(expected.dead_letters) + CHUNK)
    places = [(letter.record.partition, letter.record.position) for letter in letters]
    held = {place: letter.reason.partition(":")[0] for place, letter in zip(places, letters, strict=True)}
    wanted = {(partition, position): code for partition, position, code in expected.dead_letters}
    yield from _unlike("dead letter", held, wanted)
    if places != sorted(held):
        yield "dead letters are not each once, by partition and position"


def _unlike(what: str, found: object, wanted: object) -> Iterator[Line]:
    """Compare two values; of mappings, each key."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            if key not in wanted:
                yield f"{what} of {key} is {_shown(found[key])}, should not be there"
            elif key not in found:
                yield f"{what} of {key} is missing, should be {_shown(wanted[key])}"
            else:
                yield from _unlike(f"{what} of {key}", found[key], wanted[key])
    elif not _same(found, wanted):
        yield f"{what} is {_shown(found)}, should be {_shown(wanted)}"


def _same(found: object, wanted: object) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=RELATIVE)
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    return found == wanted


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | tuple | list) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _chunks[T](values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
