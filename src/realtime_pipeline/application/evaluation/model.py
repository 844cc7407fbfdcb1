"""The model that an evaluation asks for recommendations."""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from realtime_pipeline.application.evaluation.visits import Touch
from realtime_pipeline.domain.shop.events import ProductId

Scores = Mapping[ProductId, float]
"""How strongly a model recommends each product; a larger score is better."""


class Model(ABC):
    """Predicts which product a visitor touches next.

    A protocol calls `learn` with touches in order of time, and may ask for scores between any two of them.
    """

    @abstractmethod
    def learn(self, touch: Touch) -> None:
        """Learn from one touch. Touches of different visits are interleaved."""

    @abstractmethod
    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """Score products for a visitor who has touched `products`.

        What the model has learnt from `visit` itself must not count: a visit is not evidence for itself.

        Args:
            visit: the key of the visit that is going on.
            products: its products so far, repeats included, the newest last.
            at_ms: the time of the request, in ms since 1970.
        """

    def recommend(self, visit: str, products: Sequence[ProductId], at_ms: int, limit: int) -> list[ProductId]:
        """List the `limit` products with the largest scores, the best first; of equal scores, the smaller id first."""
        scores = self.scores(visit, products, at_ms)
        return heapq.nsmallest(limit, scores, key=lambda product_id: (-scores[product_id], product_id))
