"""Why a product is recommended: as data, and in words."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class ReasonKind(StrEnum):
    """The source of a recommendation, the most personal first."""

    NEIGHBOURS = "neighbours"
    TRENDING_IN_CATEGORY = "trending_in_category"
    TRENDING_IN_COUNTRY = "trending_in_country"
    TRENDING = "trending"
    PINNED = "pinned"
    NEW = "new"


class SeedAction(StrEnum):
    """What a customer did with a seed product, as far as the profile tells. The value is the phrase of an explanation;
    {} stands for the products."""

    BOUGHT = "bought {}"
    CARTED = "put {} into the cart"
    VIEWED = "looked at {}"
    UNKNOWN = "were interested in {}"


@attrs.frozen
class Reason:
    """Where a candidate comes from.

    `count` is the number of neighbour sessions with the product; of its actions in the trending window; or, for a new
    product, of all its actions ever. `because_of` are the seed products that found the neighbours, the most frequent
    first. `category` and `country` name the trending list.
    """

    kind: ReasonKind
    count: int
    because_of: tuple[ProductId, ...] = ()
    category: str | None = None
    country: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the reason as a JSON document.

        Example:
            {"kind": "neighbours", "count": 3, "because_of": ["mug"], "category": None, "country": None}
        """
        return {
            "kind": self.kind.value,
            "count": self.count,
            "because_of": list(self.because_of),
            "category": self.category,
            "country": self.country,
        }


def reason_in_words(reason: Reason, seed_actions: str) -> str:
    """Write a reason as a sentence for the customer.

    Args:
        reason: the reason.
        seed_actions: what the customer did with the seed products, as `seed_actions_in_words` writes it.
    """
    if reason.kind is ReasonKind.NEIGHBOURS:
        return f"you {seed_actions}: in {counted(reason.count, 'visit')} with the same interest this was chosen too"
    if reason.kind is ReasonKind.PINNED:
        return "chosen by the shop"
    if reason.kind is ReasonKind.NEW:
        return f"new {'in the shop' if reason.category is None else f'in {reason.category}'}: few have seen it yet"
    # Cancellations count as -1, so the count can be negative: such a count is left out.
    times = {0: "", 1: " once"}.get(max(0, reason.count), f" {reason.count:,} times")
    if reason.kind is ReasonKind.TRENDING_IN_CATEGORY:
        return f"popular in {reason.category}, which you like: looked at or bought{times} lately"
    if reason.kind is ReasonKind.TRENDING_IN_COUNTRY:
        return f"popular in {reason.country}, where you are: looked at or bought{times} lately"
    return f"popular in the whole shop: looked at or bought{times} lately"


def seed_actions_in_words(
    product_ids: Sequence[ProductId],
    products: Mapping[ProductId, Product],
    seed_actions: Mapping[ProductId, SeedAction],
) -> str:
    """Write what a customer did with seed products, grouped by action: "looked at A mug and A jug and bought A pot"."""
    titles: dict[SeedAction, list[str]] = {}
    for product_id in product_ids:
        title = products[product_id].title if product_id in products else product_id
        titles.setdefault(seed_actions.get(product_id, SeedAction.UNKNOWN), []).append(title)
    return " and ".join(action.format(" and ".join(named)) for action, named in titles.items())
