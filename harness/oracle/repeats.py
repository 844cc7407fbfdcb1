"""A visitor's events that the customer has counted too, taken out of the visitor's profile."""

from collections import Counter
from collections.abc import Sequence

import attrs

from harness.oracle.sessions import weights_of
from harness.oracle.sign_in import HISTORY, Placed, history_in
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.shop.order import Order

_SIGNS = {EventKind.PRODUCT_PURCHASED: 1, EventKind.PURCHASE_CANCELLED: -1}


def counted_once(
    placed: Sequence[Placed], repeats: dict[int, list[Contribution]], settings: ProfileSettings
) -> list[Placed]:
    """The same events, with profiles as they were without the events that the customer has counted already."""
    found = []
    for number, (key, event) in enumerate(placed):
        history, again = history_in(event), repeats.get(number)
        if history is not None and again:
            event = event._replace(properties={**event.properties, HISTORY: _left_of(history, again, settings)})  # noqa: PLW2901
        found.append((key, event))
    return found


def _left_of(history: VisitorProfile, again: Sequence[Contribution], settings: ProfileSettings) -> VisitorProfile:
    traded = [(_SIGNS[one.kind], one) for one in again if one.kind in _SIGNS]
    kinds, weights = Counter(one.kind for one in again), weights_of(settings)
    units, sums, times = Counter[str | None](), Counter[str | None](), Counter[str]()
    of_products = Counter[str | None]()
    for sign, one in traded:
        of_products[one.product_id] += sign * one.quantity
        units[one.order_id] += sign * one.quantity
        sums[one.order_id] += sign * one.amount
    for one in again:
        times.update(one.shown)
    affinity = {}
    for name, (score, at_ms) in history.affinity.items():
        gone = [one for one in again if one.category == name and one.kind in weights]
        half_lives = [(at_ms - one.at_ms) / settings.affinity_half_life_ms for one in gone]
        left = score - sum(weights[one.kind] * 0.5**age for one, age in zip(gone, half_lives, strict=True))
        if left > 1e-9:
            affinity[name] = (left, at_ms)
    return attrs.evolve(
        history,
        counts={kind: count - kinds[kind] for kind, count in history.counts.items() if count > kinds[kind]},
        spend=history.spend - sum(sums.values()),
        units=history.units - sum(units.values()),
        orders_placed=history.orders_placed - sum(sign == 1 and one.order_id is None for sign, one in traded),
        purchases={id_: (held - of_products[id_], last) for id_, (held, last) in history.purchases.items()},
        orders={
            id_: Order(order.placed_at_ms, order.units - units[id_], order.amount - sums[id_])
            for id_, order in history.orders.items()
        },
        affinity=affinity,
        shown={id_: (often - times[id_], last) for id_, (often, last) in history.shown.items() if often > times[id_]},
    )
