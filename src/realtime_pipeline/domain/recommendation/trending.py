"""Trending products: integer counts per hour, decayed when they are read."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from realtime_pipeline.domain.limits import WEIGHT_MAX, at_least, at_most
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity

FIXED_POINT_ONE: Final = 1 << 20
"""The weight 1 in fixed point: weights are multiples of 2^-20, so that sums are exact and every store ranks alike."""

CLOCK_SKEW_MAX_MS: Final = 5 * 60_000
"""How far in ms a sender's clock may be ahead of the reader's."""


@attrs.frozen
class TrendingSettings:
    """The length of the trending window, the half-life of an action, and the weight of each kind of action."""

    window_hours: int = 72
    half_life_hours: float = 12.0
    view_weight: int = 1
    cart_weight: int = 3
    purchase_weight: int = 5

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_most(WEIGHT_MAX, self, "view_weight", "cart_weight", "purchase_weight")
        at_least(1, self, "window_hours")
        if self.half_life_hours == 0:
            raise ValueError("half_life_hours must be more than 0, not 0")

    def hour_weight(self, age: int) -> int:
        """Return the weight of an action `age` hours ago, in 2^-20: 2^(-age / half-life), rounded."""
        decay: float = 2.0 ** (-age / self.half_life_hours)
        return round(FIXED_POINT_ONE * decay)

    def hour_weights(self) -> list[int]:
        """Return the weights of all hours of the window, the newest first."""
        return [self.hour_weight(age) for age in range(self.window_hours)]

    def score(self, activity: Activity) -> int:
        """Return the score of one hour's actions, without decay."""
        return (
            self.view_weight * activity.views
            + self.cart_weight * activity.carts
            + self.purchase_weight * activity.purchases
        )


def latest_hour(now_ms: int) -> int:
    """Return the last hour that counts at `now_ms` of the reader's clock, which may be `CLOCK_SKEW_MAX_MS` behind."""
    return (now_ms + CLOCK_SKEW_MAX_MS) // HOUR_MS


@attrs.frozen
class TrendingProduct:
    """A product with its decayed score; `actions` counts its views, carts and purchases in the window."""

    product_id: ProductId
    score: float
    actions: int


def trending(
    activity: Mapping[tuple[int, ProductId], Activity], newest_hour: int, latest_hour: int, settings: TrendingSettings
) -> list[TrendingProduct]:
    """Rank products by Σ over the hours of the window of 2^(-age / half-life) · weighted actions.

    The age of an hour is counted from `newest_hour`, the hour of the shop's watermark. Hours after it have age 0, up to
    `latest_hour` of the reader's clock; later hours do not count. Products with a score of 0 or less (all actions
    cancelled) are left out; ties go to the smaller id.
    """
    weights = settings.hour_weights()
    scores: dict[ProductId, int] = {}
    actions: dict[ProductId, int] = {}
    for (hour, product_id), counts in activity.items():
        age = max(0, newest_hour - hour)
        if hour <= latest_hour and age < settings.window_hours:
            scores[product_id] = scores.get(product_id, 0) + weights[age] * settings.score(counts)
            total = counts.views + counts.carts + counts.purchases
            actions[product_id] = actions.get(product_id, 0) + total
    return ranked((product_id, score, actions[product_id]) for product_id, score in scores.items())


def ranked(scored: Iterable[tuple[ProductId, int, int]]) -> list[TrendingProduct]:
    """Order rows of (product, score in 2^-20, actions) by score, the highest first; rows without a score are left
    out."""
    positive = sorted((row for row in scored if row[1] > 0), key=lambda row: (-row[1], row[0]))
    return [TrendingProduct(product_id, score / FIXED_POINT_ONE, actions) for product_id, score, actions in positive]
