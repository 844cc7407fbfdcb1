"""The result of a request: a list of recommended products, each with its score and explanation."""

from collections.abc import Sequence
from typing import Self, overload

import attrs

from realtime_pipeline.domain.recommendation.reasons import Reason
from realtime_pipeline.domain.shop.product import Product


@attrs.frozen
class Recommendation:
    """A recommended product: its score, its reason as data, and its `explanation` in words.

    `adjustments` names the rules that changed its score or slot.
    """

    product: Product
    score: float
    reason: Reason
    explanation: str
    adjustments: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the recommendation as a JSON document; see `Product.as_dict` and `Reason.as_dict`.

        Example:
            {"product": {"product_id": "jug", ...}, "score": 4.0, "explanation": "you looked at A mug: ...",
             "adjustments": [], "reason": {"kind": "neighbours", ...}}
        """
        return {
            "product": self.product.as_dict(),
            "score": self.score,
            "explanation": self.explanation,
            "adjustments": list(self.adjustments),
            "reason": self.reason.as_dict(),
        }


@attrs.frozen
class Recommendations(Sequence[Recommendation]):
    """A list of recommendations, the best first.

    `notes` say, a line each, what the rules did to the list as a whole. `experiment` and `variant` name the variant
    that made the list; both are "" without an experiment.
    """

    items: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    experiment: str = ""
    variant: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the list as a JSON document; without an experiment, `experiment` and `variant` are None.

        Example:
            {"items": [{"product": {"product_id": "jug", ...}, "score": 4.0, ...}], "notes": [], "experiment": None,
             "variant": None}
        """
        return {
            "items": [recommendation.as_dict() for recommendation in self.items],
            "notes": list(self.notes),
            "experiment": self.experiment or None,
            "variant": self.variant or None,
        }

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Recommendation | Self:
        """Return one recommendation; for a slice, a list of the same experiment and variant."""
        return attrs.evolve(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]
