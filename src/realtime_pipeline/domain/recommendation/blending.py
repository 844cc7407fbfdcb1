"""Make the scores of several sources comparable."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId


@attrs.frozen
class Blend:
    """What the best product of each source is worth; the others of the source are worth down to half as much.

    So by default every neighbour's product comes before what is trending; equal weights mix the sources. A source of
    weight 0 is not asked.
    """

    neighbours: float = 4.0
    trending_in_category: float = 2.0
    trending_in_country: float = 1.0
    trending: float = 0.5

    def __attrs_post_init__(self) -> None:
        at_least(0, self)

    @property
    def keeps_source_order(self) -> bool:
        """Whether no product of a source comes before one of the source before it."""
        weights = [weight for weight in self.weights().values() if weight]
        return all(one / 2 >= other for one, other in pairwise(weights))

    def weights(self) -> Mapping[ReasonKind, float]:
        """What each source is worth."""
        return {
            ReasonKind.NEIGHBOURS: self.neighbours,
            ReasonKind.TRENDING_IN_CATEGORY: self.trending_in_category,
            ReasonKind.TRENDING_IN_COUNTRY: self.trending_in_country,
            ReasonKind.TRENDING: self.trending,
        }


class Candidate(NamedTuple):  # many for every list of recommendations
    """A product that might be shown, with its score and why; `adjustments` names the rules that changed its place."""

    product_id: ProductId
    score: float
    reason: Reason
    adjustments: tuple[str, ...] = ()

    def adjusted(self, rule: str, weight: float = 1.0) -> "Candidate":
        """This candidate, with a rule that changed its place, and its score times a weight."""
        return Candidate(self.product_id, self.score * weight, self.reason, (*self.adjustments, rule))


def blended(sources: Sequence[Sequence[Candidate]], blend: Blend) -> list[Candidate]:
    """Make the scores of several sources, each of one kind, comparable; each product once, where it is worth most; the
    best first.

    The best of a source is worth the source's weight w, one with a score of s · best w · (1 + s) / 2. Ties go to the
    smaller id.
    """
    best: dict[ProductId, Candidate] = {}
    weights = blend.weights()
    for source in filter(None, sources):
        top = max([one.score for one in source])
        weight = weights.get(source[0].reason.kind, 0.0)
        for one in source:
            share = one.score / top if top > 0 else 0.0
            worth = weight * (1 + share) / 2
            known = best.get(one.product_id)
            if known is None or worth > known.score:
                best[one.product_id] = Candidate(one.product_id, worth, one.reason)
    return sorted(best.values(), key=by_score)


def by_score(one: Candidate) -> tuple[float, ProductId]:
    """The key that sorts candidates: the best first, ties to the smaller id."""
    return (-one.score, one.product_id)
