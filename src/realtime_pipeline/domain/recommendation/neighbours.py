"""Session neighbours: the sessions most like this one, and what they say of other products.

Candidates are found as by VMIS-kNN (Kersbergen, Sprangers, Schelter, "Serenade: Low-Latency Session-Based
Recommendation in e-Commerce at Scale", SIGMOD 2022, algorithm 1): of each product the newest sessions, read at once.
They are weighed as by STAN (Garg et al., "Sequence and Time Aware Neighborhood for Session-based Recommendations",
SIGIR 2019: position, age and order, each by an exponential) with the weights that VSTAN adds (Ludewig, Mauro, Latifi,
Jannach, "Empirical analysis of session-based recommendation algorithms", 2021: rarity, and how far back the shared
product lies).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Self, TypeVar

import attrs

from realtime_pipeline.domain.limits import POWER_MAX, at_least, at_most
from realtime_pipeline.domain.profile.session import SessionKey, SessionSummary
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME

DAY_MS: Final = 86_400_000

K = TypeVar("K")


@attrs.frozen
class NeighbourSettings:
    """Which sessions are neighbours, and what each of them counts.

    What was taken out of the cart weighs 0, and neither leads anywhere nor is led to.

    Of each of the visitor's `last` products the `m` newest sessions are candidates; the `k` nearest count. Weights fall
    to 1/e over a reach: of steps back among the visitor's products (`position_reach`), of days by which a session is
    older than the newest candidate (`recency_days`), of steps back to the latest product shared (`shared_reach`), and
    of steps from there to a product in the neighbour's own order (`order_reach`; `before` is what products count that
    came before it). A session of n products is divided by n^`length_damping`: 0.5 is the cosine's. `idf_weight` is how
    much more rare products count, `action_power` how much more those carted and bought: their weight to this power.
    """

    m: int = 200
    k: int = 100
    last: int = 3
    position_reach: float = 2.5
    recency_days: float = 20.0
    shared_reach: float = 1.0
    order_reach: float = 3.0
    before: float = 0.8
    length_damping: float = 0.0
    idf_weight: float = 1.0
    action_power: float = 0.5

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_least(1, self, "m", "k", "last")
        at_least(0.01, self, "position_reach", "recency_days", "shared_reach", "order_reach")
        at_most(POWER_MAX, self, "length_damping", "action_power")


class ScoredProduct(NamedTuple):  # hundreds for every list of recommendations
    """A product that neighbours lead to: how much, how many of them, and through which of the visitor's products.

    One of the visitor's own is led to by itself only where no other one leads there.
    """

    product_id: ProductId
    score: float
    sessions: int
    via: tuple[ProductId, ...]


@attrs.frozen
class NeighbourScores:
    """What neighbours lead to: the score of each product, and for each neighbour that led there through which product.

    `steps` is how many steps back the visitor's products lie. Of hundreds of products only the best are looked at more
    closely: that is why `best` says what there is to know of them, and not of all.
    """

    scores: Mapping[ProductId, float]
    via: Mapping[ProductId, Sequence[ProductId]]
    steps_back: Mapping[ProductId, int]

    def __len__(self) -> int:
        return len(self.scores)

    def weighted_by_idf(self, idf: Mapping[ProductId, float], weight: float) -> Self:
        """Rare products count more: each score times 1 + rarity · ln(all interactions / those with the product).

        A product of which `idf` says nothing is common.
        """
        rare = idf.get
        scores = {product_id: worth * (1 + weight * rare(product_id, 0.0)) for product_id, worth in self.scores.items()}
        return attrs.evolve(self, scores=scores)

    def best(self, limit: int) -> list[ScoredProduct]:
        """The best `limit` products, the best first; ties to the smaller id."""
        first = sorted((-self.scores[one], one) for one in _highest(self.scores, limit))[:limit]
        found = []
        for worth, one in first:
            via = self.via[one]
            if one in self.steps_back:  # that it leads to itself says nothing, unless nothing else does
                via = [way for way in via if way != one] or via
            found.append(ScoredProduct(one, -worth, len(via), self._via(via)))
        return found

    def _via(self, via: Sequence[ProductId]) -> tuple[ProductId, ...]:
        """The visitor's products by which neighbours were found, the one that led most often first; ties to the
        later."""
        distinct = dict.fromkeys(via)
        if len(distinct) == 1:
            return tuple(distinct)
        return tuple(sorted(distinct, key=lambda product_id: (-via.count(product_id), self.steps_back[product_id])))


def nearest_sessions(
    seeds: Mapping[ProductId, int],
    lists: Mapping[ProductId, Mapping[SessionKey, int]],
    settings: NeighbourSettings,
    own_sessions: Collection[SessionKey],
    now_ms: int = END_OF_TIME,
) -> dict[SessionKey, float]:
    """Find the k nearest sessions and how near each is, the nearest first; ties to the newer.

    `session` holds the visitor's products, the one touched last at the end, each with the weight of what was done;
    `lists` each product's m newest sessions with the time in ms. A session's similarity is
    Σ weight^action_power · e^(−steps back / position_reach) over the shared products, times e^(−days older than the
    newest / recency_days). Of all sessions listed, the m newest are candidates. `own` sessions are passed over. None is
    newer than `now_ms`, whatever it says: else one of a clock that was ahead would make all others old.
    """
    similarity: dict[SessionKey, float] = {}
    times: dict[SessionKey, int] = {}
    for back, (product_id, weight) in enumerate(_newest_first(seeds, settings)):
        worth = weight**settings.action_power * math.exp(-back / settings.position_reach)
        listed = lists.get(product_id, {})
        if not times:
            times, similarity = dict(listed), dict.fromkeys(listed, worth)
            continue
        for key, at_ms in listed.items():
            known_ms = times.get(key)
            if known_ms is None:
                similarity[key] = worth
                times[key] = at_ms
            else:
                similarity[key] += worth
                if at_ms > known_ms:
                    times[key] = at_ms
    for key in own_sessions:
        times.pop(key, None)
    if not times:
        return {}
    newest_first = sorted(times.values(), reverse=True)
    newest_ms, oldest_ms = min(newest_first[0], now_ms), newest_first[: settings.m][-1]
    reach_ms, exp = settings.recency_days * DAY_MS, math.exp
    near = [
        (similarity[key] * exp((at_ms - newest_ms) / reach_ms) if at_ms < newest_ms else similarity[key], at_ms, key)
        for key, at_ms in times.items()
        if at_ms >= oldest_ms
    ]
    if len(near) > settings.m:  # some are as old as the last of them
        near = sorted(near, key=lambda one: one[1:], reverse=True)[: settings.m]
    near.sort(reverse=True)
    return {key: worth for worth, _, key in near[: settings.k]}


def _highest(values: Mapping[K, float], limit: int) -> list[K]:
    """The keys of the `limit` highest values, in no order, and of those that are as high as the last of them.

    Numbers are sorted, not pairs: that is half the cost.
    """
    if len(values) <= limit:
        return list(values)
    least = sorted(values.values(), reverse=True)[limit - 1]
    return [key for key, value in values.items() if value >= least]


def inverse_document_frequency(known: int, total: int) -> float:
    """How rare a product is: ln(all interactions / those with the product); 0 where none are known, as if all were."""
    return math.log(total / known) if 0 < known < total else 0.0


def score_products(
    seeds: Mapping[ProductId, int],
    neighbours: Mapping[SessionKey, float],
    summaries: Mapping[SessionKey, SessionSummary],
    settings: NeighbourSettings,
) -> NeighbourScores:
    """Score what the neighbours saw.

    A product's score is the sum over the neighbours that saw it of similarity · e^(−x / shared_reach) ·
    n^(−length_damping) · e^(−d / order_reach) · weight^action_power, where x is how many steps back the latest shared
    product lies for the visitor (0: it is the last), n how many products the neighbour has, d how many steps the
    product lies from the shared one there; times `before` where it came earlier. Sessions that are gone are skipped.
    """
    steps = {product_id: back for back, (product_id, _) in enumerate(_newest_first(seeds, settings))}
    shared_worth = {product_id: math.exp(-back / settings.shared_reach) for product_id, back in steps.items()}
    others = [(similarity, summaries[key].products) for key, similarity in neighbours.items() if key in summaries]
    longest = max((len(products) for _, products in others), default=0)
    after = [math.exp(-step / settings.order_reach) for step in range(longest + 1)]
    curve = [settings.before * worth for worth in reversed(after[1:])] + after
    power = _Powers(settings.action_power)
    scores: dict[ProductId, float] = {}
    led: dict[ProductId, list[ProductId]] = {}
    for similarity, products in others:
        for latest in steps:
            if products.get(latest):
                break
        else:
            continue
        base = similarity * shared_worth[latest]
        if settings.length_damping:
            base *= len(products) ** -settings.length_damping
        step = longest - list(products).index(latest)
        for product_id, weight in products.items():
            if weight:
                if product_id in scores:
                    scores[product_id] += base * curve[step] * power[weight]
                    led[product_id].append(latest)
                else:
                    scores[product_id] = base * curve[step] * power[weight]
                    led[product_id] = [latest]
            step += 1
    return NeighbourScores(scores, led, steps)


class _Powers(dict[int, float]):
    """Weights to a power, each worked out once."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self._power = power

    def __missing__(self, weight: int) -> float:
        self[weight] = found = float(weight**self._power)
        return found


def _newest_first(session: Mapping[ProductId, int], settings: NeighbourSettings) -> list[tuple[ProductId, int]]:
    return [item for item in reversed(list(session.items())) if item[1]][: settings.last]
