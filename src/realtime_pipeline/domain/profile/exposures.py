"""What was recommended to a customer, and how often."""

from collections.abc import Iterable
from typing import Self

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.kinds import SHOWN
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.shop.money import bounded


@attrs.define
class Exposures:
    """The products recommended to a customer: `shown` maps each to (how often, when last in ms)."""

    shown: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)

    def record(self, event: Event, settings: ProfileSettings) -> None:
        """Note a list of recommendations that was shown."""
        for product_id in event.shown:
            self._add(product_id, 1, event.occurred_at_ms, settings)

    def _add(self, product_id: ProductId, times: int, last_ms: int, settings: ProfileSettings) -> None:
        """Over `shown_products_max` the product not shown for longest leaves (ties: the smaller id)."""
        shown = self.shown
        before, before_ms = shown.get(product_id, (0, 0))
        shown[product_id] = (bounded(before + times), max(before_ms, last_ms))
        if len(shown) > settings.shown_products_max:
            del shown[min(shown, key=lambda known: (shown[known][1], known))]

    def without(self, duplicates: Iterable[Contribution]) -> Self:
        """Take single lists out."""
        shown = dict(self.shown)
        for event in duplicates:
            for product_id in event.shown if event.kind is SHOWN else ():
                if product_id in shown:
                    times, last_ms = shown[product_id]
                    shown[product_id] = (times - 1, last_ms)
        return attrs.evolve(self, shown={product_id: seen for product_id, seen in shown.items() if seen[0] > 0})

    def merge(self, visitor: Self, settings: ProfileSettings) -> None:
        """Add what was shown to a visitor."""
        for product_id, (times, last_ms) in visitor.shown.items():
            self._add(product_id, times, last_ms, settings)
