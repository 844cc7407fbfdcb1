"""Diversity: re-ranks candidates, so that a list does not repeat a few categories."""

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from realtime_pipeline.domain.recommendation.blending import Candidate
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


def category_of(product_id: ProductId, products: Mapping[ProductId, Product]) -> str | None:
    """Return the category of a product; None if it is unknown."""
    product = products.get(product_id)
    return None if product is None else product.category


def diversified(
    candidates: Sequence[Candidate],
    rules: ListRules,
    products: Mapping[ProductId, Product],
    limit: int,
    pinned: Sequence[ProductId],
) -> list[Candidate]:
    """Choose at most `limit` candidates one after the other, each the best for the list so far.

    The score of a candidate is its maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): (1 − diversity) ·
    score, minus diversity · the best score if the list has the category already. Pinned products are in the list from
    the beginning. No category gets more than `per_category` products.

    Args:
        candidates: the candidates, the best first.
        rules: `diversity` and `per_category`; if both are 0, the first candidates are chosen.
        products: descriptions, for the categories.
        limit: the length of the list.
        pinned: the pinned products.
    """
    if not rules.diversity and not rules.per_category:
        return list(candidates[:limit])
    categories = [category_of(candidate.product_id, products) for candidate in candidates]
    used = Counter(filter(None, (category_of(product_id, products) for product_id in pinned)))
    queue = _CategoryQueue(categories, used, rules.per_category)
    penalty = rules.diversity * candidates[0].score if candidates else 0.0
    chosen: list[Candidate] = []
    while len(chosen) < limit:
        heads = queue.heads()
        if not heads:
            break
        relevances = [
            (1 - rules.diversity) * candidates[index].score - penalty * (categories[index] in used) for index in heads
        ]
        index = heads[relevances.index(max(relevances))]  # the first of equals
        candidate = candidates[index]
        chosen.append(candidate if index == heads[0] else candidate.adjusted("moved up for diversity"))
        queue.remove(index)
    return chosen


class _CategoryQueue:
    """Candidates that are not chosen yet, by index. `used` counts the products that the list has of each category.

    Only two of them can be the best: the first of a category that the list does not have yet, or that is unknown; and
    the first of the others.
    """

    def __init__(self, categories: Sequence[str | None], used: Counter[str], per_category: int) -> None:
        self._categories = categories
        self._used = used
        self._per_category = per_category
        self._waiting: dict[str | None, list[int]] = {}  # by category, the first index at the end
        for index in reversed(range(len(categories))):
            self._waiting.setdefault(categories[index], []).append(index)
        self._new = 0  # the first index of a category that is not used yet
        self._repeats: list[int] = []  # a heap: the first index of each used category that is not full
        for category in used:
            self._push_next(category)

    def heads(self) -> list[int]:
        """Return the indices that can be the best, in order; none if no candidate is left."""
        categories, used = self._categories, self._used
        while self._new < len(categories) and categories[self._new] in used:
            self._new += 1
        return sorted(([self._new] if self._new < len(categories) else []) + self._repeats[:1])

    def remove(self, index: int) -> None:
        """Remove one of the heads, and count its category as used."""
        category = self._categories[index]
        if category is None:
            self._new += 1
            return
        if category in self._used:
            heappop(self._repeats)
        self._used[category] += 1
        self._waiting[category].pop()
        self._push_next(category)

    def _push_next(self, category: str) -> None:
        is_full = 0 < self._per_category <= self._used[category]
        if self._waiting.get(category) and not is_full:
            heappush(self._repeats, self._waiting[category][-1])
