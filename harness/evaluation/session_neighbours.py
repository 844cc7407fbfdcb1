"""Session kNN as published (VSKNN, STAN, VSTAN), to compare with; formulas as in session-rec.

Sources: Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018 (VSKNN); Garg et al., SIGIR
2019 (STAN); Ludewig, Mauro, Latifi, Jannach, "Empirical analysis of session-based recommendation algorithms", 2021
(VSTAN, and the settings tuned on RetailRocket).
"""

import heapq
import math
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import attrs

from realtime_pipeline.application.evaluation.model import Model, Scores
from realtime_pipeline.application.evaluation.visits import Touch
from realtime_pipeline.domain.shop.events import ProductId

DAY_MS: Final = 86_400_000
PositionWeight = Literal["same", "quadratic"]
SharedWeight = Literal["division", "linear"]


class SessionNeighbours(Model):
    """Session kNN: recommends what the most similar of the newest visits that share a product touched."""

    def __init__(self, k: int, sample_size: int) -> None:
        self._k = k
        self._sample_size = sample_size
        self._positions: dict[str, dict[ProductId, int]] = {}
        self._lengths: Counter[str] = Counter()
        self._times: dict[str, int] = {}
        self._visits_with: dict[ProductId, set[str]] = defaultdict(set)
        self._counts: Counter[ProductId] = Counter()

    def learn(self, touch: Touch) -> None:
        """Add the touch to its visit; the visit gets the time of its newest touch."""
        self._lengths[touch.visit] += 1
        self._positions.setdefault(touch.visit, {})[touch.product_id] = self._lengths[touch.visit]
        self._times[touch.visit] = touch.at_ms
        self._visits_with[touch.product_id].add(touch.visit)
        self._counts[touch.product_id] += 1

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """Σ over the neighbours of similarity times the variant's weights."""
        last = {product_id: number for number, product_id in enumerate(products, start=1)}
        sharing = set().union(*(self._visits_with.get(product_id, ()) for product_id in last)) - {visit}
        sample = heapq.nlargest(self._sample_size, sharing, key=lambda candidate: (self._times[candidate], candidate))
        similarities = {candidate: self.similarity(last, len(products), candidate, at_ms) for candidate in sample}
        nearest = heapq.nlargest(
            self._k,
            similarities,
            key=lambda candidate: (similarities[candidate], self._times[candidate], candidate),
        )
        scores: dict[ProductId, float] = {}
        for neighbour in nearest:
            positions = self._positions[neighbour]
            shared = [product_id for product_id in last if product_id in positions]
            steps_back = len(products) - max(last[product_id] for product_id in shared) + 1
            last_shared = max(positions[product_id] for product_id in shared)
            weight = similarities[neighbour] * self.shared_weight(steps_back)
            for product_id, position in positions.items():
                scores[product_id] = scores.get(product_id, 0.0) + weight * self.order_weight(position - last_shared)
        return {product_id: score * self.idf_weight(product_id) for product_id, score in scores.items() if score > 0}

    @abstractmethod
    def similarity(self, last: Mapping[ProductId, int], length: int, visit: str, at_ms: int) -> float:
        """How similar `visit` is; `last` maps the visitor's products to their last position, from 1 to `length`."""

    @abstractmethod
    def shared_weight(self, steps_back: int) -> float:
        """The weight of a neighbour whose latest shared product was `steps_back` touches ago; 1 is the newest touch."""

    def order_weight(self, steps: int) -> float:
        """The weight of a product that comes `steps` after the last shared product in the neighbour's visit."""
        return 1.0

    @abstractmethod
    def idf_weight(self, product_id: ProductId) -> float:
        """The weight of a product by its inverse document frequency."""

    def _idf(self, product_id: ProductId) -> float:
        return math.log(len(self._times) / self._counts[product_id])

    def _shared(self, last: Mapping[ProductId, int], visit: str) -> list[ProductId]:
        positions = self._positions[visit]
        return [product_id for product_id in last if product_id in positions]


@attrs.frozen
class VsknnSettings:
    """The defaults reproduce the golden lists of VSKNN on rsc15_100k."""

    k: int = 500
    sample_size: int = 2_500
    position: PositionWeight = "quadratic"
    shared: SharedWeight = "division"
    idf: float = 5.0


VSKNN_RETAILROCKET: Final = VsknnSettings(k=1_500, sample_size=2_500, position="same", shared="linear", idf=10.0)


class Vsknn(SessionNeighbours):
    """VSKNN: later products weigh more, in the similarity and in the score."""

    def __init__(self, settings: VsknnSettings) -> None:
        super().__init__(settings.k, settings.sample_size)
        self._settings = settings

    def similarity(self, last: Mapping[ProductId, int], length: int, visit: str, at_ms: int) -> float:
        """Σ of the shared products' position weights, over the number of the visitor's products."""
        shared = self._shared(last, visit)
        return sum(_position(self._settings.position, last[product_id], length) for product_id in shared) / len(last)

    def shared_weight(self, steps_back: int) -> float:
        """A function of the steps back: by division or linear."""
        return _steps_back(self._settings.shared, steps_back)

    def idf_weight(self, product_id: ProductId) -> float:
        """1 + λ·idf."""
        return 1 + self._settings.idf * self._idf(product_id)


@attrs.frozen
class StanSettings:
    """λ₁ to λ₃ as tuned on RetailRocket; VSTAN adds `shared` and `idf`, which are infinite and 0 for STAN."""

    k: int = 500
    sample_size: int = 1_000
    position: float = 1.81
    recency_days: float = 100.0
    order: float = 0.4525
    shared: float = math.inf
    idf: float = 0.0
    is_cosine: bool = True


STAN: Final = StanSettings()
VSTAN: Final = StanSettings(1_000, 2_500, 3.62, 100.0, 0.4525, shared=3.62, idf=1.0, is_cosine=False)


class Stan(SessionNeighbours):
    """STAN and VSTAN: position, age and order, each weighted by an exponential, and IDF."""

    def __init__(self, settings: StanSettings) -> None:
        super().__init__(settings.k, settings.sample_size)
        self._settings = settings

    def similarity(self, last: Mapping[ProductId, int], length: int, visit: str, at_ms: int) -> float:
        """Cosine (or, as in VSKNN, sum over length) of the position weights, decayed by the neighbour's age."""
        weights = {
            product_id: math.exp((number - length) / self._settings.position) for product_id, number in last.items()
        }
        summed = sum(weights[product_id] for product_id in self._shared(last, visit))
        if self._settings.is_cosine:
            norm = math.sqrt(sum(weight**2 for weight in weights.values()) * len(self._positions[visit]))
        else:
            norm = len(last)
        age_days = (at_ms - self._times[visit]) / DAY_MS
        return summed / norm * math.exp(-age_days / self._settings.recency_days)

    def shared_weight(self, steps_back: int) -> float:
        """e^((p* − L) / λ)."""
        return math.exp((1 - steps_back) / self._settings.shared)

    def order_weight(self, steps: int) -> float:
        """e^(−|steps| / λ₃)."""
        return math.exp(-abs(steps) / self._settings.order)

    def idf_weight(self, product_id: ProductId) -> float:
        """1 + λ·idf."""
        return 1 + self._settings.idf * self._idf(product_id)


def _position(kind: PositionWeight, number: int, length: int) -> float:
    return (number / length) ** 2 if kind == "quadratic" else 1.0


def _steps_back(kind: SharedWeight, steps: int) -> float:
    return 1 / steps if kind == "division" else max(0.0, 1 - 0.1 * steps)
