"""Request: what a caller asks of a list of recommendations."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.domain.limits import shortened
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.service import NO_EXPOSURES
from realtime_pipeline.domain.shop.events import CustomerId, ProductId, country_code


def _as_customer_id(customer_id: str) -> CustomerId:
    return CustomerId(customer_id)


def _as_product_ids(product_ids: Sequence[str]) -> Sequence[ProductId]:
    if isinstance(product_ids, str):
        raise TypeError(f"looking_at must be a list of product ids, not the text {ascii(product_ids)[:200]}")
    return [ProductId(product_id) for product_id in product_ids]


def _as_exposures(shown: Mapping[str, int] | Mapping[ProductId, int]) -> Mapping[ProductId, int]:
    return {ProductId(product_id): times for product_id, times in shown.items()}


def checked_country(country: str | None) -> str | None:
    """Return a country as two capital letters (ISO 3166-1); None for none.

    Raises:
        ValueError: it is not two letters.
    """
    code = country_code(country)
    if country is not None and code is None:
        raise ValueError(f"a country is two letters, as DE, not {country}")
    return code


def checked_limit(limit: int) -> int:
    """Return the length of a list.

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
    """A request for a list of recommendations.

    Args:
        customer_id: the customer, known or new.
        limit: the length of the list, at least 1.
        looking_at: the products on the customer's screen, the newest last; the log need not have events of them yet.
        shown: how often each product was shown to the customer before.
        rules: the rules of the list; None for those of the settings.
        country: two letters (ISO 3166-1); None for the country of the customer's last event.
    """

    customer_id: CustomerId = attrs.field(converter=_as_customer_id)
    limit: int = 10
    looking_at: Sequence[ProductId] = attrs.field(default=(), converter=_as_product_ids)
    shown: Mapping[ProductId, int] = attrs.field(default=NO_EXPOSURES, converter=_as_exposures)
    rules: ListRules | None = None
    country: str | None = attrs.field(default=None, converter=checked_country)

    def __attrs_post_init__(self) -> None:
        checked_limit(self.limit)
        kind = type(self.rules).__name__
        if kind not in ("NoneType", ListRules.__name__):
            raise TypeError(f"rules must be ListRules(…), not a {kind}: ListRules(**rules) makes them of a dict")


@attrs.frozen
class ResolvedRequest:
    """A request with the customer's profile, read by any of their ids, and the rules that apply."""

    customer: Customer
    request: Request
    rules: ListRules
