"""How well lists of recommendations foresee what a visitor touched next, as the session-rec framework counts it.

Source: Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018, section 4. A visit's
remaining products count with their repeats in recall's denominator. Average precision is our own: the precisions at the
ranks that hit, summed, over the list's length; do not compare it with published figures.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import attrs

RESAMPLES: Final = 500
MEASURES: Final = ("HR", "MRR", "P", "R", "MAP")


def measured(recommended: Sequence[str], remaining: Sequence[str], length: int) -> tuple[float, ...]:
    """HR, MRR, P, R and MAP of one list of at most `length`; `remaining` is what was touched, the next first."""
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
    """What one model came to: sums by visit, so that they can be resampled, and what it recommended at all."""

    length: int
    visits: dict[str, list[float]] = attrs.Factory(dict)
    predictions: int = 0
    recommended: dict[str, int] = attrs.Factory(dict)

    def note(self, visit: str, recommended: Sequence[str], remaining: Sequence[str]) -> None:
        """Add one list."""
        sums = self.visits.setdefault(visit, [0.0] * (1 + len(MEASURES)))
        sums[0] += 1
        for number, value in enumerate(measured(recommended, remaining, self.length), start=1):
            sums[number] += value
        for product_id in recommended:
            self.recommended[product_id] = self.recommended.get(product_id, 0) + 1
        self.predictions += 1

    def means(self) -> Mapping[str, float]:
        """Each measure's mean over all lists."""
        return _means(list(self.visits.values()))

    def intervals(self, rng: Random) -> Mapping[str, tuple[float, float]]:
        """95 % confidence intervals: percentiles of means over visits drawn with replacement."""
        rows = list(self.visits.values())
        drawn = [_means(rng.choices(rows, k=len(rows))) for _ in range(RESAMPLES)]
        found = {}
        for name in MEASURES:
            values = sorted(means[name] for means in drawn)
            found[name] = (values[round(0.025 * (RESAMPLES - 1))], values[round(0.975 * (RESAMPLES - 1))])
        return found

    def coverage(self, catalogue: int) -> float:
        """The share of all products that was recommended at least once."""
        return len(self.recommended) / catalogue

    def popularity(self, counts: Mapping[str, int]) -> float:
        """How much the products recommended are touched, on average, as a share of the most touched one."""
        most, lists = max(counts.values(), default=1), sum(self.recommended.values())
        summed = sum(counts.get(product_id, 0) * times for product_id, times in self.recommended.items())
        return summed / most / lists if lists else 0.0


def _means(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return {name: total / sums[0] for name, total in zip(MEASURES, sums[1:], strict=True)}
