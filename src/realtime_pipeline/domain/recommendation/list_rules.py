"""ListRules: a shop's business rules for a list of recommendations, of one request or of the settings."""

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
"""A product that a customer rated with so many stars, or fewer, is not recommended to them again."""


def _as_ids(product_ids: Iterable[ProductId]) -> frozenset[ProductId]:
    """Convert ids to text: a shop whose ids are numbers may pass numbers."""
    if isinstance(product_ids, str):
        raise ValueError(f"exclude must be a set or list of product ids, not the text {product_ids}")
    return frozenset(ProductId(str(product_id)) for product_id in product_ids)


def _as_weights(weights: Mapping[ProductId, float]) -> Mapping[ProductId, float]:
    return {ProductId(str(product_id)): weight for product_id, weight in weights.items()}


def _as_slots(slots: Mapping[ProductId, int]) -> Mapping[ProductId, int]:
    return {ProductId(str(product_id)): slot for product_id, slot in slots.items()}


@attrs.frozen
class ListRules:
    """Which products a list may contain, and how they are re-ranked. The defaults filter nothing.

    Products that the shop has removed from its catalogue are in no list, not even if they are pinned.

    Filters: `exclude` lists products, `exclude_categories` categories; `only_categories`, unless it is empty, admits no
    others. `in_stock` removes products that are known to be sold out. `price_min` and `price_max` are in units of the
    currency; a product without a known price does not pass them. `hide_bought` removes what the customer has bought.
    `shown_max` is how often a product may have been shown to the customer before, by the profile or the request; 0 is
    no limit. `per_category` is how many products of a category a list has at most; 0 is no limit.

    Re-ranking: `weights` of products and `category_weights` multiply scores: more than 1 boosts, less than 1 buries.
    `rating` is the exponent of a product's rating relative to an average one. `diversity`, from 0 to 1, trades score
    for categories that the list does not have yet. `exploration_share`, from 0 to 1, is the share of slots, the last
    ones, for cold-start products: those with fewer than `exploration_below` views, carts and purchases. `pinned` maps
    products to slots, from 1: the list has them whatever the other rules say.
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
            for key, weight in weights.items():
                in_bounds(f"{name}: {key}", weight, 0)
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
                raise ValueError(f"{name} must be a set or list of names, not the text {getattr(self, name)}")

    def _check_pins(self) -> None:
        slots = list(self.pinned.values())
        if any(slot not in range(1, SLOTS_MAX + 1) for slot in slots) or len(set(slots)) < len(slots):
            raise ValueError(f"pinned: slots are different whole numbers from 1 to {SLOTS_MAX}")

    @property
    def needs_descriptions(self) -> bool:
        """Whether the rules need the products' descriptions."""
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
        """Return these rules with only the filters that are not about a customer."""
        names = ("exclude", "exclude_categories", "only_categories", "in_stock", "price_min", "price_max")
        return type(self)(**{name: getattr(self, name) for name in names})

    @property
    def reorders_globally(self) -> bool:
        """Whether a candidate with a low score may end up first, so that all sources must be read at once."""
        return any(weight != 1 for weight in (*self.weights.values(), *self.category_weights.values()))

    def failed_filter(self, product: Product) -> str | None:
        """Return the name of the first filter that a product does not pass; None if it passes all."""
        category, price = product.category, product.price
        failed = None
        if product.is_removed:
            failed = "removed"
        elif product.product_id in self.exclude:
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
        """Return the factor of a product's score."""
        by_category = self.category_weights.get(product.category, 1.0) if product.category is not None else 1.0
        return self.weights.get(product.product_id, 1.0) * by_category
