"""What a shop demands of a list of recommendations, as data: for one request, or for all by the settings."""

import math
from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from realtime_pipeline.domain.limits import POWER_MAX, in_bounds
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import PER_UNIT
from realtime_pipeline.domain.shop.product import Product

SLOTS_MAX = 1_000
DISLIKED_MAX = 2
"""A product that its customer gave so many stars, or fewer, is not recommended to them again."""


def _as_ids(said: Iterable[ProductId]) -> frozenset[ProductId]:
    """Where ids are numbers, somebody will name them as such."""
    if isinstance(said, str):
        raise ValueError(f"exclude is a set of names, also where it is one, not {said}")
    return frozenset(ProductId(str(one)) for one in said)


def _as_weights(said: Mapping[ProductId, float]) -> Mapping[ProductId, float]:
    return {ProductId(str(one)): weight for one, weight in said.items()}


def _as_slots(said: Mapping[ProductId, int]) -> Mapping[ProductId, int]:
    return {ProductId(str(one)): slot for one, slot in said.items()}


@attrs.frozen
class ListRules:
    """Which products may be shown, which are moved up or down, and how the list is mixed. By default nothing is.

    Filters: `exclude` products and `exclude_categories`; `only_categories`, where there are any; `in_stock` leaves out
    what is known to be sold out; prices are in units of the currency, and what has no known price does not pass them;
    `hide_bought` leaves out what the customer has bought. Weights multiply scores: more than 1 boosts, less buries.
    `rating` is the power to which a product's rating counts, as a share of an average one. `per_category` is how many
    of one category are shown at most, 0 for any number. `shown_max` is how often a product may have been shown to the
    customer before (by their profile, or as the request says), 0 for any number. `diversity` from 0 to 1 trades score
    for categories that are not yet in the list. `exploration_share` is the share of places, the last ones, for products
    that had fewer than `exploration_below` views, carts and purchases so far: else nobody would ever see them. `pinned`
    maps products to their slots, from 1: they are shown whatever the other rules say.
    """

    exclude: frozenset[ProductId] = attrs.field(default=frozenset(), converter=_as_ids)
    exclude_categories: frozenset[str] = frozenset()
    only_categories: frozenset[str] = frozenset()
    in_stock: bool = False
    price_min: float = 0.0
    price_max: float = math.inf
    hide_bought: bool = False
    weights: Mapping[ProductId, float] = attrs.field(factory=dict, converter=_as_weights)
    category_weights: Mapping[str, float] = attrs.Factory(dict)
    rating: float = 0.5
    per_category: int = 0
    shown_max: int = 0
    diversity: float = 0.0
    exploration_share: float = 0.0
    exploration_below: int = 20
    pinned: Mapping[ProductId, int] = attrs.field(factory=dict, converter=_as_slots)

    def __attrs_post_init__(self) -> None:
        self._check_sets()
        for name, weights in (("weights", self.weights), ("category_weights", self.category_weights)):
            for what, weight in weights.items():
                in_bounds(f"{name}: {what}", weight, 0)
        in_bounds("price_max", self.price_max, 0, math.inf)
        if self.price_min > self.price_max:
            raise ValueError(f"price_min {self.price_min} is more than price_max {self.price_max}")
        for name in ("price_min", "rating", "per_category", "shown_max", "exploration_below"):
            in_bounds(name, getattr(self, name), 0)
        for name in ("diversity", "exploration_share"):
            in_bounds(name, getattr(self, name), 0, 1)
        in_bounds("rating", self.rating, 0, POWER_MAX)
        self._check_pins()

    def _check_sets(self) -> None:
        for name in ("exclude_categories", "only_categories"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is a set of names, also where it is one, not {getattr(self, name)}")

    def _check_pins(self) -> None:
        slots = list(self.pinned.values())
        if any(slot not in range(1, SLOTS_MAX + 1) for slot in slots) or len(set(slots)) < len(slots):
            raise ValueError(f"pinned: slots are different whole numbers from 1 to {SLOTS_MAX}")

    @property
    def needs_descriptions(self) -> bool:
        """Whether products must be described before they can be chosen."""
        return bool(
            self.exclude_categories
            or self.only_categories
            or self.in_stock
            or self.price_min > 0
            or self.price_max < math.inf
            or self.category_weights
            or self.per_category
            or self.diversity
        )

    @property
    def filters(self) -> Self:
        """These rules without those that weigh, mix and pin, and those that are about the customer."""
        kept = ("exclude", "exclude_categories", "only_categories", "in_stock", "price_min", "price_max")
        return type(self)(**{name: getattr(self, name) for name in kept})

    @property
    def reorders_globally(self) -> bool:
        """Whether something that stands low by its score may come out on top."""
        return any(weight != 1 for weight in (*self.weights.values(), *self.category_weights.values()))

    def failed_filter(self, product: Product) -> str | None:
        """Name the filter that a product does not pass; None where it passes all."""
        category, price = product.category, product.price
        failed = None
        if product.product_id in self.exclude:
            failed = "exclude"
        elif category in self.exclude_categories:
            failed = "exclude_categories"
        elif self.only_categories and category not in self.only_categories:
            failed = "only_categories"
        elif self.in_stock and product.in_stock is False:
            failed = "in_stock"
        elif self.price_min > 0 and (price is None or price / PER_UNIT < self.price_min):
            failed = "price_min"
        elif self.price_max < math.inf and (price is None or price / PER_UNIT > self.price_max):
            failed = "price_max"
        return failed

    def weight(self, product: Product) -> float:
        """What a product's score is multiplied by."""
        by_category = self.category_weights.get(product.category, 1.0) if product.category is not None else 1.0
        return self.weights.get(product.product_id, 1.0) * by_category
