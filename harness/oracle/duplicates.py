"""Events that a visitor and the customer have both counted: they are subtracted from the visitor's profile."""

from collections import Counter
from collections.abc import Sequence

import attrs

from harness.oracle.deduplication import Deduplication
from harness.oracle.identity import KeyedEvent, merged_profile_in, with_profile
from harness.oracle.sessions import interest_weights
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.shop.order import Order

_SIGNS = {EventKind.PRODUCT_PURCHASED: 1, EventKind.PURCHASE_CANCELLED: -1}


def without_duplicates(
    events: Sequence[KeyedEvent], deduplication: Deduplication, settings: ProfileSettings
) -> list[KeyedEvent]:
    """The same events, whose merged profiles no longer count what the customer has counted already."""
    found = []
    for number, (key, event) in enumerate(events):
        profile = merged_profile_in(event)
        counted_twice = deduplication.duplicates.get(number, [])
        excluded_twice = deduplication.excluded_duplicates.get(number, [])
        if profile is not None and (counted_twice or excluded_twice):
            left = _subtract(profile, [*counted_twice, *excluded_twice], settings)
            left = attrs.evolve(left, excluded=profile.excluded - len(excluded_twice))
            event = with_profile(event, left)  # noqa: PLW2901
        found.append((key, event))
    return found


def _subtract(profile: VisitorProfile, duplicates: Sequence[Contribution], settings: ProfileSettings) -> VisitorProfile:
    traded = [(_SIGNS[duplicate.kind], duplicate) for duplicate in duplicates if duplicate.kind in _SIGNS]
    kinds, weights = Counter(duplicate.kind for duplicate in duplicates), interest_weights(settings)
    units_by_order, amount_by_order = Counter[str | None](), Counter[str | None]()
    units_by_product, times_shown = Counter[str | None](), Counter[str]()
    for sign, duplicate in traded:
        units_by_product[duplicate.product_id] += sign * duplicate.quantity
        units_by_order[duplicate.order_id] += sign * duplicate.quantity
        amount_by_order[duplicate.order_id] += sign * duplicate.amount
    for duplicate in duplicates:
        times_shown.update(duplicate.shown)
    affinity = {}
    for name, (score, at_ms) in profile.affinity.items():
        of_category = [each for each in duplicates if each.category == name and each.kind in weights]
        half_lives = [(at_ms - each.at_ms) / settings.affinity_half_life_ms for each in of_category]
        left = score - sum(weights[each.kind] * 0.5**age for each, age in zip(of_category, half_lives, strict=True))
        if left > 1e-9:
            affinity[name] = (left, at_ms)
    return attrs.evolve(
        profile,
        counts={kind: count - kinds[kind] for kind, count in profile.counts.items() if count > kinds[kind]},
        spend=profile.spend - sum(amount_by_order.values()),
        units=profile.units - sum(units_by_order.values()),
        orders_placed=profile.orders_placed - sum(sign == 1 and each.order_id is None for sign, each in traded),
        purchases={id_: (units - units_by_product[id_], last) for id_, (units, last) in profile.purchases.items()},
        orders={
            id_: Order(order.placed_at_ms, order.units - units_by_order[id_], order.amount - amount_by_order[id_])
            for id_, order in profile.orders.items()
        },
        affinity=affinity,
        shown={
            id_: (times - times_shown[id_], last)
            for id_, (times, last) in profile.shown.items()
            if times > times_shown[id_]
        },
    )
