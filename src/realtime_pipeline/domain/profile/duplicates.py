"""Events that come again across a sign-in.

A client that sends an event again after the sign-in adds the user id. The two copies then have two owners: the visitor
counts the first, the customer the second, and neither knows of the other until the visitor's profile is merged. The
merge finds the ids that both have counted, and takes the visitor's copies out of the profile that it merges.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import CANCELLED, SHOWN, Customer, decay
from realtime_pipeline.domain.profile.settings import PURCHASED, ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import CannotMerge

LEAST_AFFINITY: Final = 1e-9
"""What is left of an affinity below this is rounding."""


def duplicates_in(profile: Customer, customer: Customer) -> list[Contribution]:
    """Find what a visitor's profile and a customer have both counted, by the ids of the events.

    Raises:
        CannotMerge: one is of a kind that only a newer release can take out again.
    """
    repeats = [one for one in profile.contributions if customer.seen.has_counted(one.digest)]
    unknown = sorted({one.kind for one in repeats if not one.kind.is_known})
    if unknown:
        raise CannotMerge(f"both profiles have counted the same {', '.join(unknown)}")
    return repeats


def without_duplicates(profile: Customer, repeats: Sequence[Contribution], settings: ProfileSettings) -> Customer:
    """Take single events out of a visitor's profile: out of counts, money, purchases, orders, affinity and exposures.

    Times and the products of sessions stay: the customer's own copy of the event gives the same. A session counts the
    event as often as it came.
    """
    if not repeats:
        return profile
    left = attrs.evolve(
        profile,
        counts=dict(profile.counts),
        purchases=dict(profile.purchases),
        orders={order_id: attrs.evolve(order) for order_id, order in profile.orders.items()},
        affinity=dict(profile.affinity),
        shown=dict(profile.shown),
    )
    for one in repeats:
        left.counts[one.kind] -= 1
        if one.kind is PURCHASED:
            _retract(left, one, 1)
            left.orders_placed -= one.order_id is None
        elif one.kind is CANCELLED:
            _retract(left, one, -1)
        elif one.kind is SHOWN:
            for product_id in one.shown:
                if product_id in left.shown:
                    times, last_ms = left.shown[product_id]
                    left.shown[product_id] = (times - 1, last_ms)
        weight = settings.interest_weight(one.kind)
        if weight and one.category in left.affinity:
            score, at_ms = left.affinity[one.category]
            aged = decay(weight, at_ms - one.at_ms, settings.affinity_half_life_ms)
            left.affinity[one.category] = (score - aged, at_ms)
    left.affinity = {name: known for name, known in left.affinity.items() if known[0] > LEAST_AFFINITY}
    left.shown = {product_id: seen for product_id, seen in left.shown.items() if seen[0] > 0}
    left.counts = {kind: count for kind, count in left.counts.items() if count}
    return left


def _retract(left: Customer, one: Contribution, sign: int) -> None:
    """Take a purchase out (sign 1), or a refund (sign -1); what has left the profile's lists by now is in no list."""
    left.spend -= sign * one.amount
    left.units -= sign * one.quantity
    if one.product_id in left.purchases:
        units, last_ms = left.purchases[one.product_id]
        left.purchases[one.product_id] = (units - sign * one.quantity, last_ms)
    order = left.orders.get(one.order_id) if one.order_id is not None else None
    if order is not None:
        order.units -= sign * one.quantity
        order.amount -= sign * one.amount
