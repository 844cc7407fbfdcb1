"""What is compared: every model sees touches one by one, in order of time, and can be asked at any moment."""

import heapq
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from harness.evaluation.visits import Touch

Scores = Mapping[str, float]

ROUNDING: Final = 1e-9
STEPS_MAX: Final = 10
"""How far back sequential rules look (Ludewig and Jannach, 2018)."""


class Model(ABC):
    """Guesses what a visitor touches next."""

    @abstractmethod
    def see(self, touch: Touch) -> None:
        """Learn of one touch; touches of other visits come in between."""

    @abstractmethod
    def scores(self, visit: str, products: Sequence[str], at_ms: int) -> Scores:
        """Score products for a visitor who has touched `products`, repeats included, the newest last.

        `visit` itself, as far as it was seen, must not speak for itself.
        """

    def recommend(self, visit: str, products: Sequence[str], at_ms: int, limit: int) -> list[str]:
        """The best products, the best first; ties to the smaller id."""
        scores = self.scores(visit, products, at_ms)
        return heapq.nsmallest(limit, scores, key=lambda product: (-scores[product], product))


class Popularity(Model):
    """What everybody touches most."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._visits: dict[str, Counter[str]] = defaultdict(Counter)

    def see(self, touch: Touch) -> None:
        """Count."""
        self._counts[touch.product_id] += 1
        self._visits[touch.visit][touch.product_id] += 1

    def scores(self, visit: str, products: Sequence[str], at_ms: int) -> Scores:
        """The counts."""
        return _without(self._counts, self._visits.get(visit, {}))


class AssociationRules(Model):
    """AR: how often two products were touched in one visit, whichever came first; with itself twice for a repeat."""

    def __init__(self) -> None:
        self._visits: dict[str, list[str]] = {}
        self._rules: dict[str, Counter[str]] = defaultdict(Counter)

    def see(self, touch: Touch) -> None:
        """Count the new touch with each before it."""
        before = self._visits.setdefault(touch.visit, [])
        for product_id in before:
            self._rules[product_id][touch.product_id] += 1
            self._rules[touch.product_id][product_id] += 1
        before.append(touch.product_id)

    def scores(self, visit: str, products: Sequence[str], at_ms: int) -> Scores:
        """What goes with the product touched last."""
        own: Counter[str] = Counter()
        seen = self._visits.get(visit, [])
        for place, product_id in enumerate(seen):
            if product_id == products[-1]:
                own.update(seen[:place] + seen[place + 1 :])
        return _without(self._rules.get(products[-1], {}), own)


class SequentialRules(Model):
    """SR: which products follow, within ten steps, the nearer the more: 1 / steps."""

    def __init__(self) -> None:
        self._visits: dict[str, list[str]] = {}
        self._rules: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def see(self, touch: Touch) -> None:
        """Add to what follows each of the products before."""
        before = self._visits.setdefault(touch.visit, [])
        for steps, product_id in enumerate(reversed(before[-STEPS_MAX:]), start=1):
            self._rules[product_id][touch.product_id] += 1 / steps
        before.append(touch.product_id)

    def scores(self, visit: str, products: Sequence[str], at_ms: int) -> Scores:
        """What follows the product touched last."""
        own: dict[str, float] = defaultdict(float)
        seen = self._visits.get(visit, [])
        for place, product_id in enumerate(seen):
            if product_id == products[-1]:
                for steps, follows in enumerate(seen[place + 1 : place + 1 + STEPS_MAX], start=1):
                    own[follows] += 1 / steps
        return _without(self._rules.get(products[-1], {}), own)


def _without(scores: Scores, own: Scores) -> Scores:
    """What is left of scores without what the visit itself has added to them."""
    if not own:
        return scores
    left = {product_id: score - own.get(product_id, 0.0) for product_id, score in scores.items()}
    return {product_id: score for product_id, score in left.items() if score > ROUNDING}
