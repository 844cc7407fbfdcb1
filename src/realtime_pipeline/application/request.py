"""What is asked for when a list of recommendations is."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import NOTHING_SHOWN
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId, country_code


@attrs.frozen
class Request:
    """Who asks for how many products, and what the shop says of the moment.

    `looking_at` are products that the visitor has before them, whether or not events say so yet, the newest last;
    `shown` is how often they were shown products before. Without `rules`, those of the settings hold, without `country`
    (two letters) the one where the customer was last.
    """

    customer_id: CustomerId
    limit: int = 10
    looking_at: Sequence[ProductId] = ()
    shown: Mapping[ProductId, int] = NOTHING_SHOWN
    rules: ListRules | None = None
    country: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")
        if self.country != country_code(self.country):
            raise ValueError(f"a country is two letters, as DE, not {self.country}")


@attrs.frozen
class Asked:
    """A request, the customer whom it is for, whatever name it has, and the rules that hold for it."""

    customer: Customer
    request: Request
    rules: ListRules
