"""Simple models to compare with: popularity, association rules and sequential rules."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from realtime_pipeline.application.evaluation.model import Model, Scores
from realtime_pipeline.application.evaluation.visits import Touch
from realtime_pipeline.domain.shop.events import ProductId

ROUNDING: Final = 1e-9
STEPS_MAX: Final = 10
"""How far back sequential rules look (Ludewig and Jannach, 2018)."""


class Popularity(Model):
    """Recommends the products that are touched most."""

    def __init__(self) -> None:
        self._counts: Counter[ProductId] = Counter()
        self._visits: dict[str, Counter[ProductId]] = defaultdict(Counter)

    def learn(self, touch: Touch) -> None:
        """Count the touch."""
        self._counts[touch.product_id] += 1
        self._visits[touch.visit][touch.product_id] += 1

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """A product's score is its count."""
        return _without(self._counts, self._visits.get(visit, {}))


class AssociationRules(Model):
    """AR: how often two products were touched in one visit, in either order; a repeat counts twice for itself."""

    def __init__(self) -> None:
        self._visits: dict[str, list[ProductId]] = {}
        self._rules: dict[ProductId, Counter[ProductId]] = defaultdict(Counter)

    def learn(self, touch: Touch) -> None:
        """Count the product together with each earlier product of the visit."""
        before = self._visits.setdefault(touch.visit, [])
        for product_id in before:
            self._rules[product_id][touch.product_id] += 1
            self._rules[touch.product_id][product_id] += 1
        before.append(touch.product_id)

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """A product's score is how often it was touched together with the visitor's last product."""
        own: Counter[ProductId] = Counter()
        seen = self._visits.get(visit, [])
        for index, product_id in enumerate(seen):
            if product_id == products[-1]:
                own.update(seen[:index] + seen[index + 1 :])
        return _without(self._rules.get(products[-1], {}), own)


class SequentialRules(Model):
    """SR: how often a product follows another within ten steps; each time counts 1 / steps."""

    def __init__(self) -> None:
        self._visits: dict[str, list[ProductId]] = {}
        self._rules: dict[ProductId, dict[ProductId, float]] = defaultdict(lambda: defaultdict(float))

    def learn(self, touch: Touch) -> None:
        """Count the product as a successor of each of the last products."""
        before = self._visits.setdefault(touch.visit, [])
        for steps, product_id in enumerate(reversed(before[-STEPS_MAX:]), start=1):
            self._rules[product_id][touch.product_id] += 1 / steps
        before.append(touch.product_id)

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """A product's score is how often it follows the visitor's last product."""
        own: dict[ProductId, float] = defaultdict(float)
        seen = self._visits.get(visit, [])
        for index, product_id in enumerate(seen):
            if product_id == products[-1]:
                for steps, successor in enumerate(seen[index + 1 : index + 1 + STEPS_MAX], start=1):
                    own[successor] += 1 / steps
        return _without(self._rules.get(products[-1], {}), own)


def _without(scores: Scores, own: Scores) -> Scores:
    """Subtract what the visit itself has added to the scores."""
    if not own:
        return scores
    left = {product_id: score - own.get(product_id, 0.0) for product_id, score in scores.items()}
    return {product_id: score for product_id, score in left.items() if score > ROUNDING}
