"""What a customer is interested in: categories by affinity, and the products touched last."""

from collections.abc import Iterable
from typing import Final, Self

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, ProductId

LEAST_AFFINITY: Final = 1e-9
"""What is left of an affinity below this is rounding."""


@attrs.define
class Interests:
    """What a customer is interested in, by what they viewed, carted and bought.

    `affinity` maps a category to (score, the time in ms at which the score holds); `recent` a product to when it was
    last touched. A category or product that is crowded out and comes back begins at 0.
    """

    affinity: dict[str, tuple[float, int]] = attrs.Factory(dict)
    recent: dict[ProductId, int] = attrs.Factory(dict)

    def favourite_categories(self, half_life_ms: int) -> list[tuple[str, float]]:
        """Categories with their affinity as of the newest one, the highest first (ties: by name)."""
        decayed = [(-score, name) for score, name in self._affinities(half_life_ms)]
        return [(name, -score) for score, name in sorted(decayed)]

    def recent_products(self, limit: int) -> list[ProductId]:
        """The products touched last, the latest first (ties: the larger id)."""
        return sorted(self.recent, key=lambda product: (self.recent[product], product), reverse=True)[:limit]

    def record(self, event: Event, at_ms: int, weight: int, settings: ProfileSettings) -> None:
        """Note the interest of this weight that an event shows in its product and category."""
        product_id, category = event.product_id, event.category
        if product_id is not None:
            self._touch(product_id, at_ms, settings.recent_products_max)
        if category is not None:
            self._add_affinity(category, at_ms, weight, settings)

    def _touch(self, product_id: ProductId, at_ms: int, products_max: int) -> None:
        """Note when a product was touched; over `products_max` the one of longest ago leaves (ties: the smaller id)."""
        times = self.recent
        known_ms = times.get(product_id)
        if known_ms is None or at_ms > known_ms:
            times[product_id] = at_ms
        if len(times) > products_max:
            first_ms = min(times.values())
            del times[min([product for product, at_ms in times.items() if at_ms == first_ms])]

    def _add_affinity(self, category: str, at_ms: int, weight: float, settings: ProfileSettings) -> None:
        """Add a weight that halves every half-life.

        The score holds at the newest time it has: score(t) = Σ w·2^(−(t − tᵢ)/h). A late event is decayed to that
        time before it is added. Over `categories_max` the weakest category leaves (ties: the first by name).
        """
        half_life_ms = settings.affinity_half_life_ms
        score, scored_at_ms = self.affinity.get(category, (0.0, at_ms))
        if at_ms >= scored_at_ms:
            new = (_decay(score, at_ms - scored_at_ms, half_life_ms) + weight, at_ms)
        else:
            new = (score + _decay(weight, scored_at_ms - at_ms, half_life_ms), scored_at_ms)
        self.affinity[category] = new
        if len(self.affinity) > settings.categories_max:
            del self.affinity[min(self._affinities(half_life_ms))[1]]

    def _affinities(self, half_life_ms: int) -> list[tuple[float, str]]:
        """Categories with their affinity as of the newest one."""
        newest_ms = max([at_ms for _, at_ms in self.affinity.values()], default=0)
        return [
            (_decay(score, newest_ms - at_ms, half_life_ms), name) for name, (score, at_ms) in self.affinity.items()
        ]

    def without(self, duplicates: Iterable[Contribution], settings: ProfileSettings) -> Self:
        """Take single events out of the affinity; when a product was touched stays."""
        affinity = dict(self.affinity)
        for event in duplicates:
            weight = settings.interest_weight(event.kind)
            if weight and event.category in affinity:
                score, at_ms = affinity[event.category]
                aged = _decay(weight, at_ms - event.at_ms, settings.affinity_half_life_ms)
                affinity[event.category] = (score - aged, at_ms)
        return attrs.evolve(self, affinity={name: kept for name, kept in affinity.items() if kept[0] > LEAST_AFFINITY})

    def merge(self, visitor: Self, settings: ProfileSettings) -> None:
        """Add a visitor's interests."""
        for category, (score, scored_ms) in visitor.affinity.items():
            self._add_affinity(category, scored_ms, score, settings)
        for product_id, touched_ms in visitor.recent.items():
            self._touch(product_id, touched_ms, settings.recent_products_max)


def _decay(score: float, elapsed_ms: int, half_life_ms: int) -> float:
    """Halve a score every half-life."""
    return float(score * 2.0 ** (-elapsed_ms / half_life_ms))
