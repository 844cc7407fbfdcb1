"""In which order models learn and are asked."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from harness.evaluation.metrics import Scorecard
from harness.evaluation.models import Model
from harness.evaluation.visits import Touch, Visit, testable

Step = Callable[[], None]
"""Called once for each list, to show progress."""

Protocol = Callable[[Model, Sequence[Visit], Sequence[Visit], int, Step], Scorecard]


def counted(visits: Sequence[Visit]) -> Counter[str]:
    """How often each product was touched."""
    return Counter(product_id for visit in visits for product_id in visit.products)


def in_time_order(visits: Sequence[Visit]) -> list[Touch]:
    """All touches as they came in."""
    return sorted((touch for visit in visits for touch in visit.touches), key=lambda touch: touch.at_ms)


def session_rec(model: Model, learnt: Sequence[Visit], tested: Sequence[Visit], length: int, step: Step) -> Scorecard:
    """Learn first and then no more; in each visit, after each touch but the last, ask for the next.

    Products of which nothing can have been learnt are left out of the visits tested. What a visitor has touched already
    stays recommendable.
    """
    _learn(model, learnt)
    card = Scorecard(length)
    for visit in testable(tested, counted(learnt)):
        _ask_along(model, visit, length, card, step)
    return card


def serenade(model: Model, learnt: Sequence[Visit], tested: Sequence[Visit], length: int, step: Step) -> Scorecard:
    """As `session_rec`, with repeats in a row taken for one touch, and the product looked at never recommended."""
    _learn(model, learnt)
    card = Scorecard(length)
    for visit in testable(tested, counted(learnt)):
        collapsed = Visit(visit.key, tuple(_without_repeats(visit.touches)))
        if len(collapsed.touches) > 1:
            _ask_along(model, collapsed, length, card, step, with_last=False)
    return card


def prequential(model: Model, learnt: Sequence[Visit], tested: Sequence[Visit], length: int, step: Step) -> Scorecard:
    """Test, then train: all touches in order of time; of the visits tested, each but the first is asked for first.

    Nothing is left out: who touches what was never seen before cannot be foreseen, and counts.
    """
    card = Scorecard(length)
    follows = {visit.key: visit.products for visit in tested}
    touched: dict[str, int] = {}
    for touch in in_time_order([*learnt, *tested]):
        products = follows.get(touch.visit)
        if products is not None:
            done = touched.get(touch.visit, 0)
            if done:
                recommended = model.recommend(touch.visit, products[:done], touch.at_ms, length)
                card.note(touch.visit, recommended, products[done:])
                step()
            touched[touch.visit] = done + 1
        model.see(touch)
    return card


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "session-rec": session_rec,
    "serenade": serenade,
    "prequential": prequential,
}


def _learn(model: Model, visits: Sequence[Visit]) -> None:
    for touch in in_time_order(visits):
        model.see(touch)


def _ask_along(model: Model, visit: Visit, length: int, card: Scorecard, step: Step, *, with_last: bool = True) -> None:
    products = visit.products
    for done in range(1, len(products)):
        at_ms = visit.touches[done - 1].at_ms
        recommended = model.recommend(visit.key, products[:done], at_ms, length if with_last else length + 1)
        if not with_last:
            recommended = [one for one in recommended if one != products[done - 1]][:length]
        card.note(visit.key, recommended, products[done:])
        step()


def _without_repeats(touches: Sequence[Touch]) -> Iterator[Touch]:
    yield from touches[:1]
    for before, touch in pairwise(touches):
        if touch.product_id != before.product_id:
            yield touch
