"""Compare what the views hold with what the oracle says they must hold."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import attrs

from harness.oracle.expected import HOUR_MS, Expected
from harness.support.diff import CHUNK, Line, chunks, diff, each_once, same, shown
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.product_stats import ProductState

Counted = Mapping[tuple[int, ProductId], tuple[int, int, int]]
"""Views, carts and purchases by hour and product."""

CATEGORIES: Final = 8
"""Trending is compared in so many categories: each is a query over all of the activity."""
COUNTRIES: Final = 50
PRIORS: Final = (5.0, 1.0)
_FIXED_POINT: Final = 2**20
_WEIGHTS: Final = ("view_weight", "cart_weight", "purchase_weight")
_ALONE: Final = {"views": (1, 0, 0), "carts": (0, 1, 0), "purchases": (0, 0, 1)}
"""Each looked at alone, since no port shows the activity itself."""


def in_products(expected: Expected, views: ProductQueries) -> Iterator[Line]:
    """Compare every product, the number of all interactions, and how far each partition's time has come."""
    times_seen: Counter[ProductId] = Counter()
    for product_id, state in views.scan():
        times_seen[product_id] += 1
        if product_id not in expected.products:
            yield f"product {product_id}: is in the store, and should not be"
            continue
        wanted = attrs.asdict(expected.products[product_id])
        for name, value in _described(state).items():
            yield from diff(f"product {product_id}'s {name}", value, wanted[name])
    yield from each_once("product", expected.products, times_seen)
    total = sum(product.interactions for product in expected.products.values())
    yield from diff("interactions", views.interactions(), total)
    marks = views.watermarks()
    newest_ms = {partition: mark.newest_ms for partition, mark in marks.items() if mark.newest_ms >= 0}
    yield from diff("newest_ms", newest_ms, expected.newest_ms)
    largest_ms = {partition: mark.largest_ms for partition, mark in marks.items() if mark.largest_ms >= 0}
    yield from diff("largest_ms", largest_ms, expected.largest_ms)
    appended_ms = {partition: mark.appended_at_ms for partition, mark in marks.items() if mark.appended_at_ms >= 0}
    yield from diff("appended_at_ms", appended_ms, expected.appended_ms)
    at_ms = {partition: mark.at_ms for partition, mark in marks.items() if partition in expected.waited_to_ms}
    yield from diff("at_ms", at_ms, expected.waited_to_ms)


def _described(state: ProductState) -> dict[str, object]:
    facts = {"name": state.name, "category": state.category, "price": state.price}
    return {
        "interactions": state.interactions,
        "ratings": state.ratings,
        "rating_sum": state.rating_sum,
        **facts,
    }


def in_lists(expected: Expected, views: ProductQueries, listed_max: int) -> Iterator[Line]:
    """Compare the newest sessions of every product."""
    for chunk in chunks(list(expected.products)):
        found = views.sessions_of(chunk, listed_max)
        for product_id in chunk:
            held = [(at_ms, key) for key, at_ms in found.get(product_id, {}).items()]
            wanted = expected.lists.get(product_id, [])[:listed_max]
            if held != wanted:
                at = next((at for at, pair in enumerate(zip(held, wanted, strict=False)) if pair[0] != pair[1]), None)
                where = (
                    f"{len(held)} long, should be {len(wanted)}" if at is None else f"another from entry {at + 1} on"
                )
                yield f"product {product_id}: its list of sessions is {where}"


def in_trending(expected: Expected, views: ProductQueries, settings: TrendingSettings) -> Iterator[Line]:
    """Compare what is trending: in all, in the largest categories and countries, and by each kind of action alone."""
    by_category: dict[str, set[ProductId]] = {}
    for product_id, product in expected.products.items():
        if product.category is not None:
            by_category.setdefault(product.category[0], set()).add(product_id)
    largest = sorted(by_category, key=lambda category: (-len(by_category[category]), category))[:CATEGORIES]
    yield from _in_ranking("trending", expected, views, settings, None, expected.products)
    for category in largest:
        where = f"trending in {category}"
        yield from _in_ranking(where, expected, views, settings, category, by_category[category])
    abroad: dict[str, dict[tuple[int, ProductId], tuple[int, int, int]]] = {}
    for (hour, country, product_id), counted in expected.by_country.items():
        abroad.setdefault(country, {})[hour, product_id] = counted
    for country in sorted(abroad, key=lambda country: (-len(abroad[country]), country))[:COUNTRIES]:
        where = f"trending in {country}"
        yield from _in_ranking(where, expected, views, settings, None, expected.products, country, abroad[country])
    for name, weights in _ALONE.items():
        alone = attrs.evolve(settings, **dict(zip(_WEIGHTS, weights, strict=True)))
        yield from _in_ranking(f"trending by {name}", expected, views, alone, None, expected.products)


def _in_ranking(
    where: str,
    expected: Expected,
    views: ProductQueries,
    settings: TrendingSettings,
    category: str | None,
    of: Collection[ProductId],
    country: str | None = None,
    activity: Counted | None = None,
) -> Iterator[Line]:
    """Compare the whole ranking, and that a short one is its beginning."""
    wanted = _ranking(expected, settings, of, expected.activity if activity is None else activity)
    found, short = (
        [(one.product_id, one.score, one.actions) for one in views.trending(settings, category, limit, country)]
        for limit in (len(of) + CHUNK, 10)
    )
    yield from _in_ranks(where, found, wanted)
    if short != found[:10]:
        yield f"{where}: the first ten are others than those of the whole ranking"


def _ranking(
    expected: Expected, settings: TrendingSettings, of: Collection[ProductId], activity: Counted
) -> list[tuple[ProductId, float, int]]:
    """Σ over the last hours of round(2^20 · 2^(−age / half-life)) · weighted actions, in 2^-20."""
    now = expected.now_ms // HOUR_MS
    scores: Counter[ProductId] = Counter()
    actions: Counter[ProductId] = Counter()
    for (hour, product_id), (views, carts, purchases) in activity.items():
        if now - settings.window_hours < hour and product_id in of:
            decay = round(_FIXED_POINT * 2.0 ** (-max(0, now - hour) / settings.half_life_hours))
            scores[product_id] += decay * (
                views * settings.view_weight + carts * settings.cart_weight + purchases * settings.purchase_weight
            )
            actions[product_id] += views + carts + purchases
    best_first = sorted((-score, product_id) for product_id, score in scores.items() if score > 0)
    return [(product_id, -score / _FIXED_POINT, actions[product_id]) for score, product_id in best_first]


def _in_ranks(where: str, found: Sequence[object], wanted: Sequence[object]) -> Iterator[Line]:
    yield from diff(f"{where}: how many there are", len(found), len(wanted))
    for rank, (one, right) in enumerate(zip(found, wanted, strict=False), 1):
        if not same(one, right):
            yield f"{where}: number {rank} is {shown(one)}, should be {shown(right)}; those after it are not compared"
            return


def in_top_rated(expected: Expected, views: ProductQueries) -> Iterator[Line]:
    """Compare the Bayesian averages (C·m + Σ ratings) / (C + n) of all products that have ratings."""
    rated = {id_: (one.ratings, one.rating_sum) for id_, one in expected.products.items() if one.ratings}
    ratings = sum(count for count, _ in rated.values())
    mean = sum(total for _, total in rated.values()) / ratings if ratings else 0.0
    for prior in PRIORS:
        where = f"top rated with {prior} average ratings"
        found = [(one.product_id, one.average, one.ratings) for one in views.top_rated(prior, len(rated) + CHUNK)]
        averages = {id_: ((prior * mean + total) / (prior + count), count) for id_, (count, total) in rated.items()}
        held = {product_id: (average, count) for product_id, average, count in found}
        yield from diff(f"{where}: (average, ratings)", held, averages)
        # Averages are compared to 1e-9 and the order by the averages found: equal ones may differ in the last bit.
        if found != sorted(found, key=lambda one: (-one[1], one[0])) or len(held) != len(found):
            yield f"{where}: the products are not each once, the best first"
        if [one.product_id for one in views.top_rated(prior, 10)] != [product_id for product_id, _, _ in found[:10]]:
            yield f"{where}: the first ten are others than those of the whole ranking"
