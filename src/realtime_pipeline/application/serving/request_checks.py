"""Checks of what callers pass in, made before a store is read."""

from collections.abc import Sequence
from numbers import Integral
from typing import Final, NamedTuple

import attrs

from realtime_pipeline.application.errors import UnknownCustomer, UnknownProduct
from realtime_pipeline.application.serving.request import Request, checked_limit
from realtime_pipeline.domain.recommendation.recommendations import Recommendation, Recommendations
from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, ProductId
from realtime_pipeline.domain.shop.ids import is_printable_id

LIMIT_MAX: Final = 2**31
"""The length of a list is at most this; every store accepts the number."""


def bounded_limit(limit: int) -> int:
    """Return the length of a list, at most `LIMIT_MAX`.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less than 1.
    """
    return min(checked_limit(limit), LIMIT_MAX)


def checked_customer_id(customer_id: str) -> CustomerId:
    """Return a customer's id, of the form that events can have.

    Raises:
        UnknownCustomer: no customer can have that id.
    """
    if not _is_id(customer_id):
        raise UnknownCustomer(f"{ascii(customer_id)[:200]} is no customer's id: ids are text or whole numbers")
    customer_id = str(customer_id)
    if not customer_id or not is_printable_id(customer_id) or len(customer_id) > len(ANONYMOUS) + ID_LENGTH_MAX:
        raise UnknownCustomer(f"{ascii(customer_id)[:200]} is no customer's id: ids are some printable characters")
    return CustomerId(customer_id)


def checked_product_id(product_id: str) -> ProductId:
    """Return a product's id, of the form that events can have.

    Raises:
        UnknownProduct: no product can have that id.
    """
    if not _is_id(product_id):
        raise UnknownProduct(f"{ascii(product_id)[:200]} is no product's id: ids are text or whole numbers")
    product_id = str(product_id)
    if not product_id or not is_printable_id(product_id) or len(product_id) > ID_LENGTH_MAX:
        raise UnknownProduct(f"{ascii(product_id)[:200]} is no product's id: ids are some printable characters")
    return ProductId(product_id)


def checked_request(request: Request) -> Request:
    """Return a request with its ids checked.

    Raises:
        UnknownCustomer: no customer can have that id.
        UnknownProduct: no product can have one of the ids in `looking_at` or `shown`.
    """
    return attrs.evolve(
        request,
        customer_id=checked_customer_id(request.customer_id),
        looking_at=[checked_product_id(product_id) for product_id in request.looking_at],
        shown={checked_product_id(product_id): times for product_id, times in request.shown.items()},
    )


def checked_requests(requests: Sequence[Request]) -> list[Request]:
    """Return requests with their ids checked; an error names the request by its number, from 1.

    Raises:
        TypeError: they are no list of requests.
        UnknownCustomer: no customer can have one of the ids.
        UnknownProduct: no product can have one of the ids.
    """
    if isinstance(requests, Request) or not all(isinstance(request, Request) for request in requests):
        raise TypeError("requests must be a list of Request(…), also for a single request")
    checked = []
    for number, request in enumerate(requests, 1):
        try:
            checked.append(checked_request(request))
        except (UnknownCustomer, UnknownProduct) as error:
            raise type(error)(f"request {number}: {error}") from None
    return checked


class Exposure(NamedTuple):
    """The products of a list that was shown, and the experiment and variant that made it ("" if unknown)."""

    products: list[ProductId]
    experiment: str = ""
    variant: str = ""


def checked_exposure(shown: Sequence[Recommendation | str]) -> Exposure:
    """Return the products of a list that was shown: `Recommendations`, or a list of recommendations or product ids.

    Raises:
        TypeError: it is no list of recommendations or ids.
        UnknownProduct: no product can have one of the ids.
    """
    if isinstance(shown, str):
        raise TypeError(f"shown must be a list of recommendations or product ids, not the text {ascii(shown)[:200]}")
    products = [_exposed_product_id(item) for item in shown]
    if isinstance(shown, Recommendations):
        return Exposure(products, shown.experiment, shown.variant)
    return Exposure(products)


def _exposed_product_id(item: object) -> ProductId:
    if isinstance(item, Recommendation):
        return item.product.product_id
    if isinstance(item, str | int):
        return checked_product_id(str(item))
    raise TypeError(f"shown must be a list of recommendations or product ids, not of {type(item).__name__}")


def _is_id(value: object) -> bool:
    """Whether a value is text or a whole number: a shop whose ids are numbers may ask by number."""
    return isinstance(value, str | Integral) and not isinstance(value, bool)
