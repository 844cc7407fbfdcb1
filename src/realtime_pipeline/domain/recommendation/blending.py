"""Blending: the scores of several candidate sources are made comparable."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId


@attrs.frozen
class Blend:
    """The weight of each candidate source: the blended score of its best product.

    The other products of a source get at least half of the weight. With the default weights every product from
    neighbour sessions therefore ranks before every trending one; equal weights mix the sources. A source with weight 0
    is not read.
    """

    neighbours: float = 4.0
    trending_in_category: float = 2.0
    trending_in_country: float = 1.0
    trending: float = 0.5

    def __attrs_post_init__(self) -> None:
        at_least(0, self)

    @property
    def keeps_source_order(self) -> bool:
        """Whether every product of a source ranks before all products of the later sources."""
        weights = [weight for weight in self.weights().values() if weight]
        return all(earlier / 2 >= later for earlier, later in pairwise(weights))

    def weights(self) -> Mapping[ReasonKind, float]:
        """Return the weight of each source."""
        return {
            ReasonKind.NEIGHBOURS: self.neighbours,
            ReasonKind.TRENDING_IN_CATEGORY: self.trending_in_category,
            ReasonKind.TRENDING_IN_COUNTRY: self.trending_in_country,
            ReasonKind.TRENDING: self.trending,
        }


class Candidate(NamedTuple):  # many for every list of recommendations
    """A product that may be recommended, with its score and reason.

    `adjustments` names the rules that changed its score or slot.
    """

    product_id: ProductId
    score: float
    reason: Reason
    adjustments: tuple[str, ...] = ()

    def adjusted(self, rule: str, weight: float = 1.0) -> "Candidate":
        """Return this candidate with its score times a weight, and with the rule added to its adjustments."""
        return Candidate(self.product_id, self.score * weight, self.reason, (*self.adjustments, rule))


def blended(sources: Sequence[Sequence[Candidate]], blend: Blend) -> list[Candidate]:
    """Blend candidate sources into one list, the best first; ties go to the smaller id.

    Each source holds candidates of one kind of reason. A source of weight w gives its best product the score w, and a
    product whose score is the fraction s of the best w · (1 + s) / 2. A product of several sources keeps its highest
    score.
    """
    best: dict[ProductId, Candidate] = {}
    weights = blend.weights()
    for source in filter(None, sources):
        highest = max([candidate.score for candidate in source])
        weight = weights.get(source[0].reason.kind, 0.0)
        for candidate in source:
            fraction = candidate.score / highest if highest > 0 else 0.0
            score = weight * (1 + fraction) / 2
            known = best.get(candidate.product_id)
            if known is None or score > known.score:
                best[candidate.product_id] = Candidate(candidate.product_id, score, candidate.reason)
    return sorted(best.values(), key=by_score)


def by_score(candidate: Candidate) -> tuple[float, ProductId]:
    """Return the sort key of a candidate: the highest score first, ties to the smaller id."""
    return (-candidate.score, candidate.product_id)
