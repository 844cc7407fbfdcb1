"""Session kNN: the sessions most like the visitor's, and the products they lead to.

Candidate sessions are found as in VMIS-kNN (Kersbergen, Sprangers, Schelter, "Serenade: Low-Latency Session-Based
Recommendation in e-Commerce at Scale", SIGMOD 2022, algorithm 1): the newest sessions of each product, read at once.
They are weighted as in STAN (Garg et al., "Sequence and Time Aware Neighborhood for Session-based Recommendations",
SIGIR 2019: exponential decay by position, age and order), with the weights that VSTAN adds (Ludewig, Mauro, Latifi,
Jannach, "Empirical analysis of session-based recommendation algorithms", 2021: inverse document frequency, and the
position of the shared product).
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
    """Which sessions are neighbours, and how much each of them counts.

    The seeds are the visitor's `last` products. The `m` newest sessions of each seed are candidates; the `k` nearest of
    them are the neighbours. A product that was taken out of the cart has weight 0: it is neither seed nor candidate.

    Each reach is where an exponential decay falls to 1/e: `position_reach` in steps back among the seeds;
    `recency_days` in days between a session and the newest candidate session; `shared_reach` in steps back to the
    latest shared product; `order_reach` in steps from there to a product in the neighbour session. Products before the
    shared one count `before` as much. The score of a session of n products is divided by n^`length_damping`; 0.5 is
    cosine similarity. `idf_weight` scales the inverse document frequency. `action_power` is the exponent of an action's
    weight (view, cart, purchase).
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
    """A product of neighbour sessions: its score, the number of those sessions, and the seeds that found them.

    `via` lists the most frequent seed first. A seed counts as found via itself only if no other seed found it.
    """

    product_id: ProductId
    score: float
    sessions: int
    via: tuple[ProductId, ...]


@attrs.frozen
class NeighbourScores:
    """The products of all neighbour sessions: the score of each, and for each neighbour session the seed it shares.

    `steps_back` is the position of each seed, counted from the last. There are hundreds of products; only the `best` of
    them get a `ScoredProduct`.
    """

    scores: Mapping[ProductId, float]
    via: Mapping[ProductId, Sequence[ProductId]]
    steps_back: Mapping[ProductId, int]

    def __len__(self) -> int:
        return len(self.scores)

    def weighted_by_idf(self, idf: Mapping[ProductId, float], weight: float) -> Self:
        """Multiply each score by 1 + weight · inverse document frequency; a product that `idf` lacks has 0."""
        idf_of = idf.get
        scores = {
            product_id: score * (1 + weight * idf_of(product_id, 0.0)) for product_id, score in self.scores.items()
        }
        return attrs.evolve(self, scores=scores)

    def best(self, limit: int) -> list[ScoredProduct]:
        """Return the `limit` products with the highest scores, the best first; ties go to the smaller id."""
        first = sorted((-self.scores[product_id], product_id) for product_id in _highest(self.scores, limit))[:limit]
        found = []
        for negative_score, product_id in first:
            via = self.via[product_id]
            if product_id in self.steps_back:  # a seed: itself is a reason only if there is no other
                via = [seed for seed in via if seed != product_id] or via
            found.append(ScoredProduct(product_id, -negative_score, len(via), self._most_frequent_first(via)))
        return found

    def _most_frequent_first(self, via: Sequence[ProductId]) -> tuple[ProductId, ...]:
        """Return the distinct seeds, the most frequent first; ties go to the later seed."""
        distinct = dict.fromkeys(via)
        if len(distinct) == 1:
            return tuple(distinct)
        return tuple(sorted(distinct, key=lambda seed: (-via.count(seed), self.steps_back[seed])))


def nearest_sessions(
    seeds: Mapping[ProductId, int],
    lists: Mapping[ProductId, Mapping[SessionKey, int]],
    settings: NeighbourSettings,
    own_sessions: Collection[SessionKey],
    now_ms: int = END_OF_TIME,
) -> dict[SessionKey, float]:
    """Find the k nearest sessions, the nearest first; ties go to the newer session.

    The similarity of a session is Σ weight^action_power · e^(−steps back / position_reach) over the seeds it shares,
    times e^(−days older than the newest / recency_days). Of all listed sessions the m newest are candidates.

    Args:
        seeds: the visitor's products with the weight of the action, the last touched at the end.
        lists: the m newest sessions of each seed, with the time in ms at which each touched it.
        settings: k, m, and the reach of each decay.
        own_sessions: the visitor's own sessions; they are no neighbours.
        now_ms: the reader's clock in ms. A later time counts as `now_ms`: one sender's clock that is ahead must not
            make all other sessions old.

    Returns:
        The similarity of each neighbour session.
    """
    similarity: dict[SessionKey, float] = {}
    times: dict[SessionKey, int] = {}
    for steps_back, (product_id, weight) in enumerate(_newest_first(seeds, settings)):
        share = weight**settings.action_power * math.exp(-steps_back / settings.position_reach)
        listed = lists.get(product_id, {})
        if not times:
            times, similarity = dict(listed), dict.fromkeys(listed, share)
            continue
        for key, at_ms in listed.items():
            known_ms = times.get(key)
            if known_ms is None:
                similarity[key] = share
                times[key] = at_ms
            else:
                similarity[key] += share
                if at_ms > known_ms:
                    times[key] = at_ms
    for key in own_sessions:
        times.pop(key, None)
    return _k_nearest(times, similarity, settings, now_ms) if times else {}


def _k_nearest(
    times: Mapping[SessionKey, int], similarity: Mapping[SessionKey, float], settings: NeighbourSettings, now_ms: int
) -> dict[SessionKey, float]:
    """Of the m newest sessions return the k with the highest similarity after its decay by age."""
    newest_first = sorted(times.values(), reverse=True)
    newest_ms, oldest_ms = min(newest_first[0], now_ms), newest_first[: settings.m][-1]
    reach_ms, exp = settings.recency_days * DAY_MS, math.exp
    near = [
        (similarity[key] * exp((at_ms - newest_ms) / reach_ms) if at_ms < newest_ms else similarity[key], at_ms, key)
        for key, at_ms in times.items()
        if at_ms >= oldest_ms
    ]
    if len(near) > settings.m:  # several sessions have the time of the m-th newest
        near = sorted(near, key=lambda row: row[1:], reverse=True)[: settings.m]
    near.sort(reverse=True)
    return {key: decayed for decayed, _, key in near[: settings.k]}


def _highest(values: Mapping[K, float], limit: int) -> list[K]:
    """Return the keys of the `limit` highest values and of all values equal to the lowest of those, in no order.

    It sorts numbers, not pairs: that costs half.
    """
    if len(values) <= limit:
        return list(values)
    least = sorted(values.values(), reverse=True)[limit - 1]
    return [key for key, value in values.items() if value >= least]


def inverse_document_frequency(known: int, total: int) -> float:
    """Return ln(interactions of all products / interactions of the product); 0 if the product has none."""
    return math.log(total / known) if 0 < known < total else 0.0


def score_products(
    seeds: Mapping[ProductId, int],
    neighbours: Mapping[SessionKey, float],
    summaries: Mapping[SessionKey, SessionSummary],
    settings: NeighbourSettings,
) -> NeighbourScores:
    """Score the products of neighbour sessions.

    The score of a product is the sum, over the neighbour sessions that contain it, of similarity · e^(−x /
    shared_reach) · n^(−length_damping) · e^(−d / order_reach) · weight^action_power, times `before` if it lies before
    the shared product. x is how many steps back the latest shared seed lies (0: it is the last seed), n how many
    products the neighbour session has, d how many steps lie between the product and the shared one there.

    Args:
        seeds: the visitor's products with the weight of the action, the last touched at the end.
        neighbours: the similarity of each neighbour session.
        summaries: the products of the neighbour sessions; a session without a summary has expired and is skipped.
        settings: the reach of each decay.
    """
    steps_back = {product_id: steps for steps, (product_id, _) in enumerate(_newest_first(seeds, settings))}
    shared_weights = {product_id: math.exp(-steps / settings.shared_reach) for product_id, steps in steps_back.items()}
    sessions = [(similarity, summaries[key].products) for key, similarity in neighbours.items() if key in summaries]
    longest = max((len(products) for _, products in sessions), default=0)
    after = [math.exp(-step / settings.order_reach) for step in range(longest + 1)]
    curve = [settings.before * decay for decay in reversed(after[1:])] + after
    power = _Powers(settings.action_power)
    scores: dict[ProductId, float] = {}
    via: dict[ProductId, list[ProductId]] = {}
    for similarity, products in sessions:
        for shared in steps_back:
            if products.get(shared):
                break
        else:
            continue
        base = similarity * shared_weights[shared]
        if settings.length_damping:
            base *= len(products) ** -settings.length_damping
        step = longest - list(products).index(shared)
        for product_id, weight in products.items():
            if weight:
                if product_id in scores:
                    scores[product_id] += base * curve[step] * power[weight]
                    via[product_id].append(shared)
                else:
                    scores[product_id] = base * curve[step] * power[weight]
                    via[product_id] = [shared]
            step += 1
    return NeighbourScores(scores, via, steps_back)


class _Powers(dict[int, float]):
    """Weights to a fixed power, each computed once."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self._power = power

    def __missing__(self, weight: int) -> float:
        self[weight] = found = float(weight**self._power)
        return found


def _newest_first(seeds: Mapping[ProductId, int], settings: NeighbourSettings) -> list[tuple[ProductId, int]]:
    return [seed for seed in reversed(list(seeds.items())) if seed[1]][: settings.last]
