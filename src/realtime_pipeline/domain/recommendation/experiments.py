"""Experiments: different ways of recommending, each for a share of the customers, to see which serves them better."""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate

import attrs

from realtime_pipeline.domain.limits import in_bounds
from realtime_pipeline.domain.recommendation.service import RecommendationSettings
from realtime_pipeline.domain.shop.events import CustomerId


@attrs.frozen
class Variant:
    """One way of recommending, and its share of the customers, as against the shares of the others."""

    share: float = 1.0
    recommendations: RecommendationSettings = attrs.Factory(RecommendationSettings)

    def __attrs_post_init__(self) -> None:
        in_bounds("share", self.share, 0)
        if self.share == 0:
            raise ValueError("share must be more than 0, not 0")


@attrs.frozen
class Experiment:
    """Variants by name; none: there is no experiment.

    Who gets which is a function of the experiment's name and the customer's id alone: it stays, on every machine, until
    shares change, and has nothing to do with who got what in another experiment.
    """

    name: str = ""
    variants: Mapping[str, Variant] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        if bool(self.name) != bool(self.variants):
            raise ValueError("an experiment needs a name and variants")
        if len(self.variants) == 1:
            raise ValueError(f"experiment {self.name} needs two variants at least, to compare")
        if "" in self.variants:
            raise ValueError(f"experiment {self.name}: every variant needs a name")

    def variant_of(self, customer_id: CustomerId) -> str:
        """Name the variant a customer gets; empty where there is no experiment."""
        if not self.variants:
            return ""
        digest = blake2b(f"{self.name}\0{customer_id}".encode(), digest_size=8).digest()
        names = sorted(self.variants)
        ends = list(accumulate(self.variants[name].share for name in names))
        at = int.from_bytes(digest) / 2**64 * ends[-1]
        return next((name for name, end in zip(names, ends, strict=True) if at < end), names[-1])
