"""From candidates to a list: scores are blended, filtered by the rules, weighed, mixed, and pinned to slots."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush

import attrs

from realtime_pipeline.domain.plurals import counted, numbered
from realtime_pipeline.domain.recommendation.blending import Candidate, by_score
from realtime_pipeline.domain.recommendation.list_rules import DISLIKED_MAX, ListRules
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats, bayesian_average

RATING_MEAN = 3.5
"""What a product without ratings is taken to be rated."""


@attrs.frozen
class Visitor:
    """What the ranking must know of whom the list is for, beside the candidates.

    `seen` is not shown again now; `bought`, `disliked` and how often what was `shown` are for the rules.
    """

    seen: Collection[ProductId] = frozenset()
    bought: Collection[ProductId] = frozenset()
    disliked: Collection[ProductId] = frozenset()
    shown: Mapping[ProductId, int] = attrs.Factory(dict)


@attrs.frozen
class Ranking:
    """The products chosen, and what the rules have to say of it: one line each.

    `passed` is how many candidates passed the filters, before the list was mixed and cut.
    """

    chosen: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    passed: int = 0


def disliked(reviewed: Mapping[ProductId, tuple[int, int]]) -> frozenset[ProductId]:
    """The products that a customer gave one star or two."""
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
    """Choose at most `limit` of the candidates, which are all there are, or else the first of them.

    Filters and `hide_bought` hold whatever happens. Where nothing is left because the customer has been shown
    everything, `shown_max` is set aside, and the notes say so. Where candidates were found and none is left, the notes
    say what took them out: filters, this visit, low ratings.
    """
    pins = _pins(rules, limit)
    hidden = {*visitor.seen, *visitor.disliked, *pins.values()}
    weighs, bought = rules.weights or rules.category_weights, visitor.bought if rules.hide_bought else ()
    refused: Counter[str] = Counter()
    passing: list[Candidate] = []
    stale: list[Candidate] = []
    for one in candidates:
        if one.product_id in hidden:
            continue
        product = products.get(one.product_id) or Product(one.product_id)
        refusal = "hide_bought" if one.product_id in bought else rules.failed_filter(product)
        if refusal is not None:
            refused[refusal] += 1
            continue
        weight = rules.weight(product) if weighs else 1.0
        if weight != 1:
            one = one.adjusted(f"{'boosted' if weight > 1 else 'buried'} to {weight:g} times its score", weight)  # noqa: PLW2901
        is_stale = rules.shown_max and visitor.shown.get(one.product_id, 0) >= rules.shown_max
        (stale if is_stale else passing).append(one)
    notes = []
    if exhausted and not passing and stale:
        notes.append(f"shown_max set aside, which had left nothing of {counted(len(stale), 'product')}")
        passing = stale
    chosen = _diversified(sorted(passing, key=by_score), rules, products, limit, list(pins.values()))
    if not chosen:
        notes += filter_notes(refused, len(candidates))
        if not pins:
            notes += _hidden_notes(candidates, visitor)
    return Ranking(tuple(_pinned(chosen, pins, limit)), tuple(notes), len(passing))


def filter_notes(refused: Counter[str], products: int) -> list[str]:
    """Say which filters refused how many of the products looked at, a line each, where they left nothing."""
    return [
        f"{name} left nothing: it refused {count:,} of {counted(products, 'product')}"
        for name, count in refused.most_common()
    ]


def _hidden_notes(candidates: Sequence[Candidate], visitor: Visitor) -> list[str]:
    """Say how many candidates the visitor's own doing hid, where nothing is left."""
    found = {one.product_id for one in candidates}
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
    """Give at most so many of a list's last places to the first of the new products.

    What is pinned stays at its place, and no category comes to have more than `per_category`.
    """
    pins = _pins(rules, limit)
    chosen = [one for one in ranking.chosen if one.reason.kind is not ReasonKind.PINNED]
    room = limit - len(pins) - len(chosen)
    slots = min(slots, room + len(chosen))
    used = Counter(_category(one.product_id, products) for one in ranking.chosen)
    taken: list[Candidate] = []
    for one in new:
        if len(taken) == slots:
            break
        leaving = None
        if len(taken) >= room:
            leaving = _category(chosen[room - 1 - len(taken)].product_id, products)
        category = _category(one.product_id, products)
        is_room = category is None or used[category] - (category == leaving) < rules.per_category
        if is_room or not rules.per_category:
            taken.append(one)
            used[leaving] -= 1
            used[category] += 1
    instead = max(0, len(taken) - room)
    staying = chosen[: len(chosen) - instead]
    return attrs.evolve(ranking, chosen=tuple(_pinned([*staying, *taken], pins, limit)))


def weighted_by_rating(
    candidates: Sequence[Candidate], stats: Mapping[ProductId, ProductStats], rules: ListRules, prior_ratings: float
) -> list[Candidate]:
    """Weigh products by (Bayesian average of their ratings / an average rating)^`rating`."""
    if not rules.rating:
        return list(candidates)
    weighed = []
    for one in candidates:
        product_stats = stats.get(one.product_id)
        if product_stats is not None and product_stats.ratings:
            average = bayesian_average(product_stats.ratings, product_stats.rating_sum, RATING_MEAN, prior_ratings)
            one = one.adjusted(f"rated {average:.1f}", (average / RATING_MEAN) ** rules.rating)  # noqa: PLW2901
        weighed.append(one)
    return sorted(weighed, key=by_score)


def _diversified(
    candidates: Sequence[Candidate],
    rules: ListRules,
    products: Mapping[ProductId, Product],
    limit: int,
    pinned: Sequence[ProductId],
) -> list[Candidate]:
    """Take the best one after the other, each as the list is then; what is pinned is in it already.

    By maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): (1 − diversity) · score − diversity · the best
    score, the latter for a category that the list has already.
    """
    if not rules.diversity and not rules.per_category:
        return list(candidates[:limit])
    categories = [_category(one.product_id, products) for one in candidates]
    waiting: dict[str | None, list[int]] = {}  # places by category, the next one last
    for place in reversed(range(len(categories))):
        waiting.setdefault(categories[place], []).append(place)
    taken: list[Candidate] = []
    used: Counter[str | None] = Counter(filter(None, (_category(one, products) for one in pinned)))
    new, repeats = 0, list[int]()  # the first place of a category not used yet; the next of each that is, in a heap
    for category, times in used.items():
        if category in waiting and not 0 < rules.per_category <= times:
            heappush(repeats, waiting[category][-1])
    penalty = rules.diversity * candidates[0].score if candidates else 0.0
    while len(taken) < limit:
        while new < len(categories) and categories[new] in used:
            new += 1
        heads = sorted(([new] if new < len(categories) else []) + repeats[:1])
        if not heads:
            break
        worths = [
            (1 - rules.diversity) * candidates[place].score - penalty * (categories[place] in used) for place in heads
        ]
        place = heads[worths.index(max(worths))]  # the first of equals
        taken.append(candidates[place] if place == heads[0] else candidates[place].adjusted("moved up for diversity"))
        category = categories[place]
        if category is None:
            new += 1
            continue
        if category in used:
            heappop(repeats)
        used[category] += 1
        waiting[category].pop()
        if waiting[category] and not (rules.per_category and used[category] >= rules.per_category):
            heappush(repeats, waiting[category][-1])
    return taken


def _category(product_id: ProductId, products: Mapping[ProductId, Product]) -> str | None:
    product = products.get(product_id)
    return None if product is None else product.category


def _pins(rules: ListRules, limit: int) -> dict[int, ProductId]:
    """The products pinned to the places of a list."""
    return dict(sorted((slot, product_id) for product_id, slot in rules.pinned.items() if slot <= limit))


def _pinned(chosen: Sequence[Candidate], pins: Mapping[int, ProductId], limit: int) -> list[Candidate]:
    """Put pinned products into their places; where the list is shorter than that, into the last ones."""
    length = min(limit, len(chosen) + len(pins))
    placed = {slot: product_id for slot, product_id in pins.items() if slot <= length}
    further = [product_id for slot, product_id in pins.items() if slot > length]
    if further:
        free = [slot for slot in range(1, length + 1) if slot not in placed]
        placed.update(zip(free[-len(further) :], further, strict=True))
    rest = iter(chosen)
    return [_pin(placed[slot], slot) if slot in placed else next(rest) for slot in range(1, length + 1)]


def _pin(product_id: ProductId, slot: int) -> Candidate:
    return Candidate(product_id, 0.0, Reason(ReasonKind.PINNED, 0), (f"pinned to place {slot}",))
