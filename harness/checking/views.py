"""Compare what the views hold with what the oracle expects."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import attrs

from harness.oracle.expected import Expected
from harness.oracle.views import HOUR_MS, Actions
from harness.support.diff import CHUNK, Line, chunks, diff, exactly_once, same, shown
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.product_stats import ProductState

HourlyCounts = Mapping[tuple[int, ProductId], Actions]
"""Views, carts and purchases by hour and product."""

CATEGORIES: Final = 8
"""In how many categories trending is compared: each is a query over all activity."""
COUNTRIES: Final = 50
PRIORS: Final = (5.0, 1.0)
_FIXED_POINT: Final = 2**20
_WEIGHTS: Final = ("view_weight", "cart_weight", "purchase_weight")
_SINGLE_ACTIONS: Final = {"views": (1, 0, 0), "carts": (0, 1, 0), "purchases": (0, 0, 1)}
"""Weights that count one kind of action only. No port shows the activity itself, so it is compared through these."""


def compare_products(expected: Expected, views: ProductQueries) -> Iterator[Line]:
    """Compare every product, the number of all interactions, and the times of each partition."""
    times_seen: Counter[ProductId] = Counter()
    for product_id, state in views.scan():
        times_seen[product_id] += 1
        if product_id not in expected.products:
            yield f"product {product_id}: is in the store, and should not be"
            continue
        wanted = attrs.asdict(expected.products[product_id])
        for name, value in _fields_of(state).items():
            yield from diff(f"product {product_id}'s {name}", value, wanted[name])
    yield from exactly_once("product", expected.products, times_seen)
    total = sum(product.interactions for product in expected.products.values())
    yield from diff("interactions", views.interactions(), total)
    watermarks = views.watermarks()
    newest_ms = {partition: mark.newest_ms for partition, mark in watermarks.items() if mark.newest_ms >= 0}
    yield from diff("newest_ms", newest_ms, expected.newest_ms)
    largest_ms = {partition: mark.largest_ms for partition, mark in watermarks.items() if mark.largest_ms >= 0}
    yield from diff("largest_ms", largest_ms, expected.largest_ms)
    appended_ms = {partition: mark.appended_at_ms for partition, mark in watermarks.items() if mark.appended_at_ms >= 0}
    yield from diff("appended_at_ms", appended_ms, expected.appended_ms)
    at_ms = {partition: mark.at_ms for partition, mark in watermarks.items() if partition in expected.watermarks_ms}
    yield from diff("at_ms", at_ms, expected.watermarks_ms)


def compare_listings(expected: Expected, views: ProductQueries) -> Iterator[Line]:
    """Compare what the catalogue states of every product, and the products that are listed."""
    for chunk in chunks(list(expected.products)):
        found = views.listings(chunk)
        for product_id in chunk:
            wanted = expected.listings.get(product_id)
            listing = found.get(product_id)
            yield from diff(
                f"product {product_id}'s facts in the catalogue",
                None if listing is None else listing.facts,
                None if wanted is None else wanted.facts,
            )
            if listing is not None and wanted is not None:
                yield from diff(f"product {product_id}'s units sold since", listing.sold, wanted.sold)
    removed = {id_ for id_, listing in expected.listings.items() if listing.facts.get("removed", ("0",))[0] == "1"}
    not_listed = set(views.listed(CHUNK, 0.0)) - (expected.listings.keys() - removed)
    yield from diff("the products that are listed and should not be", not_listed, set())


def _fields_of(state: ProductState) -> dict[str, object]:
    facts = {"name": state.name, "category": state.category, "price": state.price}
    return {
        "interactions": state.interactions,
        "ratings": state.ratings,
        "rating_sum": state.rating_sum,
        **facts,
    }


def compare_session_lists(expected: Expected, views: ProductQueries, listed_max: int) -> Iterator[Line]:
    """Compare the list of the newest sessions of every product."""
    for chunk in chunks(list(expected.products)):
        found = views.sessions_of(chunk, listed_max)
        for product_id in chunk:
            held = [(at_ms, key) for key, at_ms in found.get(product_id, {}).items()]
            wanted = expected.session_lists.get(product_id, [])[:listed_max]
            if held != wanted:
                pairs = zip(held, wanted, strict=False)
                differing = next((number for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]), None)
                length = f"is {len(held)} long, should be {len(wanted)}"
                difference = length if differing is None else f"differs from entry {differing} on"
                yield f"product {product_id}: its list of sessions {difference}"


def compare_trending(expected: Expected, views: ProductQueries, settings: TrendingSettings) -> Iterator[Line]:
    """Compare the trending products: of all, of the largest categories and countries, and by each kind of action."""
    by_category: dict[str, set[ProductId]] = {}
    for product_id, product in expected.products.items():
        if product.category is not None:
            by_category.setdefault(product.category[0], set()).add(product_id)
    largest = sorted(by_category, key=lambda category: (-len(by_category[category]), category))[:CATEGORIES]
    yield from _compare_ranking("trending", expected, views, settings, None, expected.products)
    for category in largest:
        where = f"trending in {category}"
        yield from _compare_ranking(where, expected, views, settings, category, by_category[category])
    by_country: dict[str, dict[tuple[int, ProductId], Actions]] = {}
    for (hour, country, product_id), actions in expected.activity_by_country.items():
        by_country.setdefault(country, {})[hour, product_id] = actions
    for country in sorted(by_country, key=lambda country: (-len(by_country[country]), country))[:COUNTRIES]:
        where = f"trending in {country}"
        yield from _compare_ranking(
            where, expected, views, settings, None, expected.products, country, by_country[country]
        )
    for name, weights in _SINGLE_ACTIONS.items():
        single = attrs.evolve(settings, **dict(zip(_WEIGHTS, weights, strict=True)))
        yield from _compare_ranking(f"trending by {name}", expected, views, single, None, expected.products)


def _compare_ranking(
    where: str,
    expected: Expected,
    views: ProductQueries,
    settings: TrendingSettings,
    category: str | None,
    products: Collection[ProductId],
    country: str | None = None,
    activity: HourlyCounts | None = None,
) -> Iterator[Line]:
    """Compare the whole ranking, and that a short ranking is its beginning."""
    wanted = _expected_ranking(expected, settings, products, expected.activity if activity is None else activity)
    found, short = (
        [(entry.product_id, entry.score, entry.actions) for entry in views.trending(settings, category, limit, country)]
        for limit in (len(products) + CHUNK, 10)
    )
    yield from _compare_ranks(where, found, wanted)
    if short != found[:10]:
        yield f"{where}: the first ten differ from those of the whole ranking"


def _expected_ranking(
    expected: Expected, settings: TrendingSettings, products: Collection[ProductId], activity: HourlyCounts
) -> list[tuple[ProductId, float, int]]:
    """Σ over the last hours of round(2^20 · 2^(−age / half-life)) · weighted actions, in 2^-20."""
    now = expected.now_ms // HOUR_MS
    scores: Counter[ProductId] = Counter()
    actions: Counter[ProductId] = Counter()
    for (hour, product_id), (views, carts, purchases) in activity.items():
        if now - settings.window_hours < hour and product_id in products:
            decay = round(_FIXED_POINT * 2.0 ** (-max(0, now - hour) / settings.half_life_hours))
            scores[product_id] += decay * (
                views * settings.view_weight + carts * settings.cart_weight + purchases * settings.purchase_weight
            )
            actions[product_id] += views + carts + purchases
    best_first = sorted((-score, product_id) for product_id, score in scores.items() if score > 0)
    return [(product_id, -score / _FIXED_POINT, actions[product_id]) for score, product_id in best_first]


def _compare_ranks(where: str, found: Sequence[object], wanted: Sequence[object]) -> Iterator[Line]:
    yield from diff(f"{where}: the number of products", len(found), len(wanted))
    for rank, (entry, wanted_entry) in enumerate(zip(found, wanted, strict=False), 1):
        if not same(entry, wanted_entry):
            yield f"{where}: number {rank} is {shown(entry)}, should be {shown(wanted_entry)}; the rest is not compared"
            return


def compare_top_rated(expected: Expected, views: ProductQueries) -> Iterator[Line]:
    """Compare the Bayesian averages (C·m + Σ ratings) / (C + n) of all products that have ratings."""
    rated = {id_: (state.ratings, state.rating_sum) for id_, state in expected.products.items() if state.ratings}
    ratings = sum(count for count, _ in rated.values())
    mean = sum(total for _, total in rated.values()) / ratings if ratings else 0.0
    for prior in PRIORS:
        where = f"top rated with {prior} average ratings"
        top = views.top_rated(prior, len(rated) + CHUNK)
        found = [(entry.product_id, entry.average, entry.ratings) for entry in top]
        averages = {id_: ((prior * mean + total) / (prior + count), count) for id_, (count, total) in rated.items()}
        held = {product_id: (average, count) for product_id, average, count in found}
        yield from diff(f"{where}: (average, ratings)", held, averages)
        # Equal averages may differ in the last bit: values are compared to 1e-9, the order by the averages found.
        if found != sorted(found, key=lambda entry: (-entry[1], entry[0])) or len(held) != len(found):
            yield f"{where}: the products are not each there once, the best first"
        first_ten = [entry.product_id for entry in views.top_rated(prior, 10)]
        if first_ten != [product_id for product_id, _, _ in found[:10]]:
            yield f"{where}: the first ten differ from those of the whole ranking"
