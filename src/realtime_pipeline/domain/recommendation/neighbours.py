"""VMIS-kNN: the sessions most like this one, and what they say of other products.

Source: Kersbergen, Sprangers, Schelter, "Serenade: Low-Latency Session-Based Recommendation in e-Commerce at
Scale", SIGMOD 2022, algorithm 1 and section 3.
"""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.session import Session, SessionKey


@attrs.frozen
class NeighbourRules:
    """`m` newest sessions are considered for each product, `k` nearest kept, the last `last` products looked at."""

    m: int = 500
    k: int = 100
    last: int = 9

    def __attrs_post_init__(self) -> None:
        at_least(1, self)


@attrs.frozen
class Neighbour:
    """A session that shares products with this one; `similarity` is the sum of the shared products' decays."""

    key: SessionKey
    similarity: float


@attrs.frozen
class Scored:
    """A product that neighbours lead to: how much, how many of them, and through which of the visitor's products."""

    product_id: ProductId
    score: float
    sessions: int
    through: tuple[ProductId, ...]


def nearest(
    session: Sequence[ProductId],
    lists: Mapping[ProductId, Sequence[tuple[int, SessionKey]]],
    rules: NeighbourRules,
    own: Collection[SessionKey],
) -> list[Neighbour]:
    """Find the k nearest sessions.

    `session` holds the visitor's products, oldest first, each once; `lists` each product's (time, session), newest
    first. A product counts (L − steps back) / L. At most m sessions are candidates: when full, a newer session
    takes the place of the oldest. `own` sessions are passed over. The nearest first; ties to the newer.
    """
    products = session[-rules.last :]
    similarity: dict[SessionKey, float] = {}
    newest: dict[SessionKey, int] = {}
    oldest: list[tuple[int, SessionKey]] = []
    for back, product_id in enumerate(reversed(products)):
        weight = (len(products) - back) / len(products)
        for at_ms, key in lists.get(product_id, ())[: rules.m]:
            if key in own:
                continue
            if key in similarity:
                similarity[key] += weight
                continue
            if len(similarity) >= rules.m:
                if (at_ms, key) <= oldest[0]:
                    break
                del similarity[heapq.heapreplace(oldest, (at_ms, key))[1]]
            else:
                heapq.heappush(oldest, (at_ms, key))
            similarity[key] = weight
            newest[key] = at_ms
    order = heapq.nsmallest(rules.k, similarity, key=lambda key: (-similarity[key], -newest[key], -key))
    return [Neighbour(key, similarity[key]) for key in order]


def score(
    session: Sequence[ProductId],
    neighbours: Sequence[Neighbour],
    sessions: Mapping[SessionKey, Session],
    *,
    interactions: Mapping[ProductId, int],
    interactions_total: int,
    rules: NeighbourRules,
) -> list[Scored]:
    """Score what the neighbours saw: Σ over them of similarity · (1 − 0.1·x) · idf.

    x is how many steps back (from 1) the visitor's latest shared product lies; idf = ln(all interactions / those
    with the product), 1 where they are not known. The product looked at last is no candidate. Sessions that are
    gone are skipped. The best first; ties to the smaller id.
    """
    products = session[-rules.last :]
    steps = {product_id: back + 1 for back, product_id in enumerate(reversed(products))}
    scores: dict[ProductId, float] = {}
    counts: dict[ProductId, int] = {}
    through: dict[ProductId, dict[ProductId, int]] = {}
    for neighbour in neighbours:
        other = sessions.get(neighbour.key)
        shared = [product for product in other.products if product in steps] if other is not None else []
        if other is None or not shared:
            continue
        latest = min(shared, key=lambda product: steps[product])
        weight = neighbour.similarity * max(0.0, 1 - 0.1 * steps[latest])
        if weight <= 0:
            continue
        for product_id in other.products:
            if product_id == products[-1]:
                continue
            scores[product_id] = scores.get(product_id, 0.0) + weight
            counts[product_id] = counts.get(product_id, 0) + 1
            led = through.setdefault(product_id, {})
            led[latest] = led.get(latest, 0) + 1
    scored = []
    for product_id, summed in scores.items():
        known = interactions.get(product_id, 0)
        idf = math.log(interactions_total / known) if 0 < known < interactions_total else float(known == 0)
        if idf > 0:
            by_count = sorted(through[product_id].items(), key=lambda item: (-item[1], steps[item[0]]))
            ways = tuple(product for product, _ in by_count)
            scored.append(Scored(product_id, summed * idf, counts[product_id], ways))
    return sorted(scored, key=lambda one: (-one.score, one.product_id))
