"""Visits for tests of evaluation, and models trained on them."""

from random import Random
from typing import TypeVar

from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.protocols import in_time_order
from realtime_pipeline.application.evaluation.visits import Touch, Visit
from realtime_pipeline.domain.shop.events import EventKind, ProductId

LENGTH = 20
"""How long lists are."""

AnyModel = TypeVar("AnyModel", bound=Model)


def touch(key: str, product: str, at_ms: int, kind: EventKind = EventKind.PRODUCT_VIEWED) -> Touch:
    return Touch(key, ProductId(product), at_ms, kind)


def visit(key: str, products: str, begins_ms: int = 0) -> Visit:
    """A visit to products named by one letter each, 1 ms apart."""
    return Visit(key, tuple(touch(key, product, begins_ms + number) for number, product in enumerate(products)))


def trained(model: AnyModel, *visits: Visit) -> AnyModel:
    for touch in in_time_order(visits):
        model.learn(touch)
    return model


def ids(products: str) -> list[ProductId]:
    """The ids of products named by one letter each."""
    return list(map(ProductId, products))


def some_visits(seed: int, count: int) -> list[Visit]:
    """Visits to a shop in which neighbouring products go together, one after the other and overlapping in time."""
    rng = Random(seed)  # noqa: S311
    visits = []
    for number in range(count):
        at_ms, product = 1_700_000_000_000 + number * 60_000, rng.randrange(40)
        touches = []
        for _ in range(rng.randint(2, 8)):
            touches.append(touch(f"visit-{number:04d}", f"p{product:02d}", at_ms))
            product = (product + rng.choice((-2, -1, 1, 1, 2, 7))) % 40
            at_ms += rng.randrange(1_000, 90_000)
        visits.append(Visit(f"visit-{number:04d}", tuple(touches)))
    return visits
