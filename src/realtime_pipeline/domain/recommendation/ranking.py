"""Ranking: candidates are weighted by their ratings, filtered and weighted by the rules, and cut to a list."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import attrs

from realtime_pipeline.domain.plurals import counted, numbered
from realtime_pipeline.domain.recommendation.blending import Candidate, by_score
from realtime_pipeline.domain.recommendation.diversity import category_of, diversified
from realtime_pipeline.domain.recommendation.list_rules import DISLIKED_MAX, ListRules
from realtime_pipeline.domain.recommendation.pins import pins_of, with_pins
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats, bayesian_average

RATING_MEAN = 3.5
"""The rating, in stars, that a product without ratings is assumed to have."""


@attrs.frozen
class Visitor:
    """What the ranking needs of the customer.

    `seen` are the products of this visit, which are not recommended again now. The rules use `bought`, `disliked` and
    `shown`: how often each product was shown to the customer.
    """

    seen: Collection[ProductId] = frozenset()
    bought: Collection[ProductId] = frozenset()
    disliked: Collection[ProductId] = frozenset()
    shown: Mapping[ProductId, int] = attrs.Factory(dict)


@attrs.frozen
class Ranking:
    """The chosen candidates, the best first, and notes on what the rules did, a line each.

    `passed` is how many candidates passed the filters, before the list was diversified and cut.
    """

    chosen: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    passed: int = 0


@attrs.frozen
class _Filtered:
    """Candidates by what the filters say: `passing`, `overexposed` (shown too often), `failed` by filter."""

    passing: list[Candidate]
    overexposed: list[Candidate]
    failed: Counter[str]


def disliked(reviewed: Mapping[ProductId, tuple[int, int]]) -> frozenset[ProductId]:
    """Return the products that a customer rated with `DISLIKED_MAX` stars or less."""
    return frozenset(product_id for product_id, (rating, _) in reviewed.items() if rating <= DISLIKED_MAX)


def ranked(
    candidates: Sequence[Candidate],
    visitor: Visitor,
    rules: ListRules,
    products: Mapping[ProductId, Product],
    limit: int,
    *,
    exhausted: bool = True,
) -> Ranking:
    """Choose at most `limit` candidates by the rules.

    Filters and `hide_bought` always hold. When nothing is left because every candidate was shown too often, `shown_max`
    is dropped, with a note. When no candidate is left at all, the notes say what removed them: filters,
    this visit, low ratings.

    Args:
        candidates: the candidates with their scores.
        visitor: what the customer saw, bought and disliked.
        rules: the rules of the list.
        products: descriptions of the candidates and of pinned products; one that is missing fails no filter but those
            of prices and `only_categories`.
        limit: the length of the list.
        exhausted: whether these are all candidates; else more of them may follow.
    """
    pins = pins_of(rules, products, limit)
    filtered = _filtered(candidates, visitor, rules, products, pins.values())
    passing, notes = filtered.passing, []
    if exhausted and not passing and filtered.overexposed:
        count = counted(len(filtered.overexposed), "product")
        notes.append(f"shown_max set aside, which had left nothing of {count}")
        passing = filtered.overexposed
    chosen = diversified(sorted(passing, key=by_score), rules, products, limit, list(pins.values()))
    if not chosen:
        notes += filter_notes(filtered.failed, len(candidates))
        if not pins:
            notes += _hidden_notes(candidates, visitor)
    return Ranking(tuple(with_pins(chosen, pins, limit)), tuple(notes), len(passing))


def _filtered(
    candidates: Sequence[Candidate],
    visitor: Visitor,
    rules: ListRules,
    products: Mapping[ProductId, Product],
    pinned: Collection[ProductId],
) -> _Filtered:
    """Apply the filters, and multiply the scores of candidates that pass by the weights of the rules."""
    hidden = {*visitor.seen, *visitor.disliked, *pinned}
    has_weights, bought = rules.weights or rules.category_weights, visitor.bought if rules.hide_bought else ()
    passing: list[Candidate] = []
    overexposed: list[Candidate] = []
    failed: Counter[str] = Counter()
    for candidate in candidates:
        if candidate.product_id in hidden:
            continue
        product = products.get(candidate.product_id) or Product(candidate.product_id)
        failed_filter = "hide_bought" if candidate.product_id in bought else rules.failed_filter(product)
        if failed_filter is not None:
            failed[failed_filter] += 1
            continue
        weight = rules.weight(product) if has_weights else 1.0
        if weight != 1:
            rule = f"{'boosted' if weight > 1 else 'buried'} to {weight:g} times its score"
            candidate = candidate.adjusted(rule, weight)  # noqa: PLW2901
        is_overexposed = rules.shown_max and visitor.shown.get(candidate.product_id, 0) >= rules.shown_max
        (overexposed if is_overexposed else passing).append(candidate)
    return _Filtered(passing, overexposed, failed)


def filter_notes(failed: Counter[str], products: int) -> list[str]:
    """Write, for a list that the filters left empty, how many products each filter refused, a line each.

    Args:
        failed: the number of refused products by filter.
        products: how many products were filtered.
    """
    return [
        f"{name} left nothing: it refused {count:,} of {counted(products, 'product')}"
        for name, count in failed.most_common()
    ]


def _hidden_notes(candidates: Sequence[Candidate], visitor: Visitor) -> list[str]:
    """Write how many candidates an empty list lacks because of this visit, and because of low ratings."""
    found = {candidate.product_id for candidate in candidates}
    seen = found.intersection(visitor.seen)
    low = found.intersection(visitor.disliked) - seen
    return [
        f"{count:,} of {counted(len(found), 'product')} {numbered(count, 'was', 'were')} left out: {why}"
        for count, why in ((len(seen), "seen in this visit"), (len(low), f"rated {DISLIKED_MAX} stars or less"))
        if count
    ]


def inject_cold_start_products(
    ranking: Ranking,
    new: Sequence[Candidate],
    slots: int,
    rules: ListRules,
    products: Mapping[ProductId, Product],
    limit: int,
) -> Ranking:
    """Give at most so many of a list's last slots to the first of the new products.

    Pinned products keep their slots, and no category gets more than `per_category` products.
    """
    pins = pins_of(rules, products, limit)
    chosen = [candidate for candidate in ranking.chosen if candidate.reason.kind is not ReasonKind.PINNED]
    free = limit - len(pins) - len(chosen)
    slots = min(slots, free + len(chosen))
    used = Counter(category_of(candidate.product_id, products) for candidate in ranking.chosen)
    injected: list[Candidate] = []
    for candidate in new:
        if len(injected) == slots:
            break
        leaving = None
        if len(injected) >= free:
            leaving = category_of(chosen[free - 1 - len(injected)].product_id, products)
        category = category_of(candidate.product_id, products)
        fits = category is None or used[category] - (category == leaving) < rules.per_category
        if fits or not rules.per_category:
            injected.append(candidate)
            used[leaving] -= 1
            used[category] += 1
    replaced = max(0, len(injected) - free)
    staying = chosen[: len(chosen) - replaced]
    return attrs.evolve(ranking, chosen=tuple(with_pins([*staying, *injected], pins, limit)))


def weighted_by_rating(
    candidates: Sequence[Candidate], stats: Mapping[ProductId, ProductStats], rules: ListRules, prior_ratings: float
) -> list[Candidate]:
    """Multiply scores by (Bayesian average of the product's ratings / an average rating)^`rating`, and sort them.

    Args:
        candidates: the candidates with their scores.
        stats: the ratings of products; one without keeps its score.
        rules: `rating` is the exponent; 0 changes nothing.
        prior_ratings: how many average ratings a product starts with.
    """
    if not rules.rating:
        return list(candidates)
    weighted = []
    for candidate in candidates:
        product_stats = stats.get(candidate.product_id)
        if product_stats is not None and product_stats.ratings:
            average = bayesian_average(product_stats.ratings, product_stats.rating_sum, RATING_MEAN, prior_ratings)
            weight = (average / RATING_MEAN) ** rules.rating
            candidate = candidate.adjusted(f"rated {average:.1f}", weight)  # noqa: PLW2901
        weighted.append(candidate)
    return sorted(weighted, key=by_score)
