"""What callers of a pipeline hand in, checked before anything is asked of a store."""

from collections.abc import Sequence
from numbers import Integral
from typing import Final

import attrs

from realtime_pipeline.application.errors import UnknownCustomer, UnknownProduct
from realtime_pipeline.application.serving.request import Request, checked_limit
from realtime_pipeline.domain.recommendation.service import Recommendation
from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, ProductId
from realtime_pipeline.domain.shop.ids import is_printable_id

LIMIT_MAX: Final = 2**31
"""More than anybody reads, and less than any store takes for a number."""


def bounded_limit(limit: int) -> int:
    """Check how many results are asked for.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less than 1.
    """
    return min(checked_limit(limit), LIMIT_MAX)


def checked_customer_id(customer_id: str) -> CustomerId:
    """Check a customer's id: no event could have brought in another.

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
    """Check a product's id.

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
    """Check the ids of a request.

    Raises:
        UnknownCustomer: no customer can have that id.
        UnknownProduct: no product can have one of its ids.
    """
    return attrs.evolve(
        request,
        customer_id=checked_customer_id(request.customer_id),
        looking_at=[checked_product_id(product_id) for product_id in request.looking_at],
        shown={checked_product_id(product_id): times for product_id, times in request.shown.items()},
    )


def checked_requests(requests: Sequence[Request]) -> list[Request]:
    """Check the ids of several requests; an error names the request by its number.

    Raises:
        TypeError: they are no list of requests.
        UnknownCustomer: no customer can have one of the ids.
        UnknownProduct: no product can have one of the ids.
    """
    if isinstance(requests, Request) or not all(isinstance(one, Request) for one in requests):
        raise TypeError("requests is a list of Request(...), also where it is one")
    found = []
    for number, request in enumerate(requests, 1):
        try:
            found.append(checked_request(request))
        except (UnknownCustomer, UnknownProduct) as error:
            raise type(error)(f"request {number}: {error}") from None
    return found


def exposed_product_id(one: object) -> ProductId:
    """The product of a recommendation that was shown; or a product itself.

    Raises:
        TypeError: it is neither.
        UnknownProduct: no product can have that id.
    """
    if isinstance(one, Recommendation):
        return one.product.product_id
    if isinstance(one, str | int):
        return checked_product_id(str(one))
    raise TypeError(f"what was shown is recommendations, or products by their ids, not a {type(one).__name__}")


def _is_id(value: object) -> bool:
    """Where ids are numbers, somebody will ask by number; but bytes and None are nobody's."""
    return isinstance(value, str | Integral) and not isinstance(value, bool)
