"""Why a product is recommended: as data, and in words."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class ReasonKind(StrEnum):
    """Where a recommendation comes from, the most personal first."""

    NEIGHBOURS = "neighbours"
    TRENDING_IN_CATEGORY = "trending_in_category"
    TRENDING_IN_COUNTRY = "trending_in_country"
    TRENDING = "trending"
    PINNED = "pinned"
    NEW = "new"


class SeedAction(StrEnum):
    """What a visitor did with a product, as far as their profile tells; the words say it, {} being the products."""

    BOUGHT = "bought {}"
    CARTED = "put {} into the cart"
    VIEWED = "looked at {}"
    UNKNOWN = "were interested in {}"


@attrs.frozen
class Reason:
    """Which of the visitor's products led here, in how many neighbour sessions; or what is trending, and how often.

    `count` is sessions for neighbours, actions in the trending window, all actions ever for what is new.
    """

    kind: ReasonKind
    count: int
    because_of: tuple[ProductId, ...] = ()
    category: str | None = None
    country: str | None = None

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it.

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


def reason_in_words(reason: Reason, did: str) -> str:
    """Say a reason in a sentence that a customer understands; `did` says what they did with the products that led here,
    as `done_in_words` has it."""
    if reason.kind is ReasonKind.NEIGHBOURS:
        return f"you {did}: in {counted(reason.count, 'visit')} with the same interest this was chosen too"
    if reason.kind is ReasonKind.PINNED:
        return "chosen by the shop"
    if reason.kind is ReasonKind.NEW:
        return f"new {'in the shop' if reason.category is None else f'in {reason.category}'}: few have seen it yet"
    # What is cancelled counts against, so that there may be less than nothing to tell.
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
    """Say what a visitor did with products: `touched` says it of each."""
    titles: dict[SeedAction, list[str]] = {}
    for id_ in product_ids:
        title = products[id_].title if id_ in products else id_
        titles.setdefault(seed_actions.get(id_, SeedAction.UNKNOWN), []).append(title)
    return " and ".join(touch.format(" and ".join(named)) for touch, named in titles.items())
