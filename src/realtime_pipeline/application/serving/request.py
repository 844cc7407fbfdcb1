"""What is asked for when a list of recommendations is."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.domain.limits import shortened
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.service import NO_EXPOSURES
from realtime_pipeline.domain.shop.events import CustomerId, ProductId, country_code


def _customer(said: str) -> CustomerId:
    return CustomerId(said)


def _products(said: Sequence[str]) -> Sequence[ProductId]:
    if isinstance(said, str):
        raise TypeError("looking_at is a list of products, also where it is one")
    return [ProductId(product_id) for product_id in said]


def _times(said: Mapping[str, int] | Mapping[ProductId, int]) -> Mapping[ProductId, int]:
    return {ProductId(product_id): times for product_id, times in said.items()}


def checked_country(said: str | None) -> str | None:
    """A country as two capital letters."""
    code = country_code(said)
    if said is not None and code is None:
        raise ValueError(f"a country is two letters, as DE, not {said}")
    return code


def checked_limit(limit: int) -> int:
    """How many results are asked for.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less than 1.
    """
    if type(limit) is not int:
        raise TypeError(f"limit must be a whole number, not {limit!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {shortened(limit)}")
    return limit


@attrs.frozen
class Request:
    """Who asks for how many products, and what the shop says of the moment.

    `looking_at` are products that the visitor has before them, whether or not events say so yet, the newest last;
    `shown` is how often they were shown products before. Without `rules`, those of the settings hold, without `country`
    (two letters) the one where the customer was last.
    """

    customer_id: CustomerId = attrs.field(converter=_customer)
    limit: int = 10
    looking_at: Sequence[ProductId] = attrs.field(default=(), converter=_products)
    shown: Mapping[ProductId, int] = attrs.field(default=NO_EXPOSURES, converter=_times)
    rules: ListRules | None = None
    country: str | None = attrs.field(default=None, converter=checked_country)

    def __attrs_post_init__(self) -> None:
        checked_limit(self.limit)
        kind = type(self.rules).__name__
        if kind not in ("NoneType", ListRules.__name__):
            raise TypeError(f"rules must be ListRules(…), not a {kind}: ListRules(**rules) makes them of a dict")


@attrs.frozen
class ResolvedRequest:
    """A request, the customer whom it is for, whatever name it has, and the rules that hold for it."""

    customer: Customer
    request: Request
    rules: ListRules
