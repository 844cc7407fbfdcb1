"""A/B experiments: each variant recommends with its own settings to a share of the customers."""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate

import attrs

from realtime_pipeline.domain.limits import in_bounds
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import CustomerId


@attrs.frozen
class Variant:
    """A variant of an experiment: its settings, and its share of the customers relative to the other shares."""

    share: float = 1.0
    recommendations: RecommendationSettings = attrs.Factory(RecommendationSettings)

    def __attrs_post_init__(self) -> None:
        in_bounds("share", self.share, 0)
        if self.share == 0:
            raise ValueError("share must be more than 0, not 0")


@attrs.frozen
class Experiment:
    """Variants by name; without variants there is no experiment.

    The assignment is a hash of the experiment's name and the customer's id. A customer therefore keeps the variant on
    every machine until the shares change, and assignments of different experiments are independent.
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
        """Return the name of the customer's variant; "" if there is no experiment."""
        if not self.variants:
            return ""
        digest = blake2b(f"{self.name}\0{customer_id}".encode(), digest_size=8).digest()
        names = sorted(self.variants)
        ends = list(accumulate(self.variants[name].share for name in names))
        point = int.from_bytes(digest) / 2**64 * ends[-1]
        return next((name for name, end in zip(names, ends, strict=True) if point < end), names[-1])
