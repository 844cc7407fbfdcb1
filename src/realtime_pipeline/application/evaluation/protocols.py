"""The order in which a model learns and is asked for lists."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from realtime_pipeline.application.evaluation.metrics import Scorecard
from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.visits import Touch, Visit, predictable
from realtime_pipeline.domain.shop.events import ProductId

OnPrediction = Callable[[], None]
"""Called once for each list, to show progress."""

Protocol = Callable[[Model, Sequence[Visit], Sequence[Visit], int, OnPrediction], Scorecard]
"""Runs an evaluation: model, training set, test set, length of the lists, progress callback."""


def touch_counts(visits: Sequence[Visit]) -> Counter[ProductId]:
    """Count how often each product was touched."""
    return Counter(product_id for visit in visits for product_id in visit.products)


def in_time_order(visits: Sequence[Visit]) -> list[Touch]:
    """Sort the touches of all visits by time."""
    return sorted((touch for visit in visits for touch in visit.touches), key=lambda touch: touch.at_ms)


def session_rec(
    model: Model, training: Sequence[Visit], test: Sequence[Visit], length: int, on_prediction: OnPrediction
) -> Scorecard:
    """Train once, then test: after each touch of a test visit but the last, ask for the next.

    Products that are not in the training set are removed from the test visits. What a visitor has touched already may
    be recommended.
    """
    _train(model, training)
    card = Scorecard(length)
    for visit in predictable(test, touch_counts(training)):
        _predict_visit(model, visit, length, card, on_prediction)
    return card


def serenade(
    model: Model, training: Sequence[Visit], test: Sequence[Visit], length: int, on_prediction: OnPrediction
) -> Scorecard:
    """As `session_rec`, but repeats in a row count as one touch, and the product touched last is never recommended."""
    _train(model, training)
    card = Scorecard(length)
    for visit in predictable(test, touch_counts(training)):
        collapsed = Visit(visit.key, tuple(_without_repeats(visit.touches)))
        if len(collapsed.touches) > 1:
            _predict_visit(model, collapsed, length, card, on_prediction, with_last=False)
    return card


def prequential(
    model: Model, training: Sequence[Visit], test: Sequence[Visit], length: int, on_prediction: OnPrediction
) -> Scorecard:
    """Test, then train: take all touches in order of time, and ask for each touch of a test visit before learning it.

    The first touch of a visit is not asked for. No product is removed: a product that nobody has touched before cannot
    be predicted, and counts as a miss.
    """
    card = Scorecard(length)
    test_products = {visit.key: visit.products for visit in test}
    touched: dict[str, int] = {}
    for touch in in_time_order([*training, *test]):
        products = test_products.get(touch.visit)
        if products is not None:
            done = touched.get(touch.visit, 0)
            if done:
                recommended = model.recommend(touch.visit, products[:done], touch.at_ms, length)
                card.add(touch.visit, recommended, products[done:])
                on_prediction()
            touched[touch.visit] = done + 1
        model.learn(touch)
    return card


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "session-rec": session_rec,
    "serenade": serenade,
    "prequential": prequential,
}


def _train(model: Model, visits: Sequence[Visit]) -> None:
    for touch in in_time_order(visits):
        model.learn(touch)


def _predict_visit(
    model: Model, visit: Visit, length: int, card: Scorecard, on_prediction: OnPrediction, *, with_last: bool = True
) -> None:
    products = visit.products
    for done in range(1, len(products)):
        at_ms = visit.touches[done - 1].at_ms
        recommended = model.recommend(visit.key, products[:done], at_ms, length if with_last else length + 1)
        if not with_last:
            recommended = [product_id for product_id in recommended if product_id != products[done - 1]][:length]
        card.add(visit.key, recommended, products[done:])
        on_prediction()


def _without_repeats(touches: Sequence[Touch]) -> Iterator[Touch]:
    yield from touches[:1]
    for before, touch in pairwise(touches):
        if touch.product_id != before.product_id:
            yield touch
