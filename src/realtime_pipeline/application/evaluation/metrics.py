"""How well lists of recommendations predict what a visitor touches next, measured as the session-rec framework does.

Source: Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018, section 4. A visit's
remaining products count with their repeats in recall's denominator. Average precision is our own: the precisions at the
ranks that hit, summed, over the list's length; do not compare it with published figures.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import attrs

from realtime_pipeline.domain.shop.events import ProductId

RESAMPLES: Final = 500
METRICS: Final = ("HR", "MRR", "P", "R", "MAP")
"""Hit rate, mean reciprocal rank, precision, recall and mean average precision, in the order of `metrics_of`."""


def metrics_of(
    recommended: Sequence[ProductId], remaining: Sequence[ProductId], length: int
) -> tuple[float, float, float, float, float]:
    """Compute the metrics of one list.

    Args:
        recommended: the list, the best first; at most `length` products, each once.
        remaining: what the visitor touched afterwards, the next product first.
        length: how long the list may be (the k of HR@k).

    Returns:
        Hit rate and reciprocal rank of the next product; precision, recall and average precision of all remaining
        products; each from 0 to 1.
    """
    wanted = set(remaining)
    hits, precisions = 0, 0.0
    for rank, product_id in enumerate(recommended, start=1):
        if product_id in wanted:
            hits += 1
            precisions += hits / rank
    rank_of_next = recommended.index(remaining[0]) + 1 if remaining[0] in recommended else 0
    return (
        float(rank_of_next > 0),
        1 / rank_of_next if rank_of_next else 0.0,
        hits / length,
        hits / len(remaining),
        precisions / length,
    )


@attrs.define
class Scorecard:
    """The metrics of all lists of one model: summed by visit, so that visits can be resampled.

    `visits` has for each visit the number of its lists, then the sum of each metric. `recommended` counts how often
    each product was recommended.
    """

    length: int
    visits: dict[str, list[float]] = attrs.Factory(dict)
    predictions: int = 0
    recommended: dict[ProductId, int] = attrs.Factory(dict)

    def add(self, visit: str, recommended: Sequence[ProductId], remaining: Sequence[ProductId]) -> None:
        """Add the metrics of one list."""
        sums = self.visits.setdefault(visit, [0.0] * (1 + len(METRICS)))
        sums[0] += 1
        for number, value in enumerate(metrics_of(recommended, remaining, self.length), start=1):
            sums[number] += value
        for product_id in recommended:
            self.recommended[product_id] = self.recommended.get(product_id, 0) + 1
        self.predictions += 1

    def means(self) -> Mapping[str, float]:
        """Each metric's mean over all lists."""
        return _means(list(self.visits.values()))

    def intervals(self, rng: Random) -> Mapping[str, tuple[float, float]]:
        """Each metric's 95 % confidence interval: percentiles of the means over visits drawn with replacement."""
        rows = list(self.visits.values())
        drawn = [_means(rng.choices(rows, k=len(rows))) for _ in range(RESAMPLES)]
        intervals = {}
        for name in METRICS:
            values = sorted(means[name] for means in drawn)
            intervals[name] = (values[round(0.025 * (RESAMPLES - 1))], values[round(0.975 * (RESAMPLES - 1))])
        return intervals

    def coverage(self, catalogue_size: int) -> float:
        """The share of the catalogue's products that were recommended at least once."""
        return len(self.recommended) / catalogue_size

    def popularity(self, touch_counts: Mapping[ProductId, int]) -> float:
        """How often the recommended products are touched, on average, as a share of the most touched product."""
        most, listed = max(touch_counts.values(), default=1), sum(self.recommended.values())
        summed = sum(touch_counts.get(product_id, 0) * times for product_id, times in self.recommended.items())
        return summed / most / listed if listed else 0.0


def _means(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return {name: total / sums[0] for name, total in zip(METRICS, sums[1:], strict=True)}
