"""Pins: products that the rules put into fixed slots of a list."""

from collections.abc import Mapping, Sequence

from realtime_pipeline.domain.recommendation.blending import Candidate
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


def pins_of(rules: ListRules, products: Mapping[ProductId, Product], limit: int) -> dict[int, ProductId]:
    """Return the pinned products by slot, from 1, of a list of length `limit`; without those that were removed."""
    return dict(
        sorted(
            (slot, product_id)
            for product_id, slot in rules.pinned.items()
            if slot <= limit and not (product_id in products and products[product_id].is_removed)
        )
    )


def with_pins(chosen: Sequence[Candidate], pins: Mapping[int, ProductId], limit: int) -> list[Candidate]:
    """Put pinned products into their slots; a pin behind the end of a short list goes into one of its last slots."""
    length = min(limit, len(chosen) + len(pins))
    placed = {slot: product_id for slot, product_id in pins.items() if slot <= length}
    behind_end = [product_id for slot, product_id in pins.items() if slot > length]
    if behind_end:
        free = [slot for slot in range(1, length + 1) if slot not in placed]
        placed.update(zip(free[-len(behind_end) :], behind_end, strict=True))
    rest = iter(chosen)
    return [_pin(placed[slot], slot) if slot in placed else next(rest) for slot in range(1, length + 1)]


def _pin(product_id: ProductId, slot: int) -> Candidate:
    return Candidate(product_id, 0.0, Reason(ReasonKind.PINNED, 0), (f"pinned to slot {slot}",))
