"""Why a product is recommended: as data, and in words."""

from collections.abc import Mapping
from enum import StrEnum

import attrs

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


def in_words(reason: Reason, products: Mapping[ProductId, Product]) -> str:
    """Say a reason in a sentence that a customer understands."""
    if reason.kind is ReasonKind.NEIGHBOURS:
        titles = [products[id_].title if id_ in products else id_ for id_ in reason.because_of[:2]]
        visitors = "1 visitor" if reason.count == 1 else f"{reason.count:,} visitors"
        return f"you looked at {' and '.join(titles)}: {visitors} with the same interest chose this too"
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
