"""A visitor signs in: what was known of them goes to the customer they turned out to be."""

from typing import Final

import attrs

from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer, keep_latest
from realtime_pipeline.domain.profile.duplicates import duplicates_in, without_duplicates
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import UNKNOWN_MAX, CannotMerge, merged_unknown, parts_of
from realtime_pipeline.domain.shop.events import CustomerId, EventKind
from realtime_pipeline.domain.shop.last_write import last_write_wins
from realtime_pipeline.domain.shop.money import bounded
from realtime_pipeline.domain.shop.order import Order

_KEPT_BY_VISITOR: Final = frozenset(
    (
        "customer_id",
        "seen",
        "last_seen_ms",
        "forgotten_at_ms",
        "closed_sessions",
        "reviewed",
        "forwards_to",
        "visitors",
    )
)
"""What a visitor keeps: what tells repeats from news, and what is to be erased when they are forgotten."""
_FIELDS: Final = frozenset(field.name for field in attrs.fields(Customer))


@attrs.frozen
class ProfileMerged:
    """What a visitor had done when they signed in, on its way to the customer they turned out to be.

    `signed_in` is the sign-in's place in the log (partition, position); None where nobody said.
    """

    event_id: str
    customer_id: CustomerId
    visitor: CustomerId
    occurred_at_ms: int
    profile: Customer
    signed_in: tuple[int, int] | None = None

    def is_merged_into(self, customer: Customer) -> bool:
        """Whether it came before: those of one partition are said in order, and may be said again for another store."""
        if customer.visitors.get(self.visitor) == self.event_id:
            return True
        if self.signed_in is None:
            return False
        partition, position = self.signed_in
        return position <= customer.seen.forwarded_up_to.get(partition, -1)


def detach_profile(
    visitor: Customer, identified_as: CustomerId, settings: ProfileSettings, changes: Changes
) -> Customer:
    """Take from a visitor what goes to a customer; what is left forwards to them.

    The session touched last goes along, so that it goes on; others, and reviews, stay where they are, as the visitor's,
    and go when the visitor is forgotten.
    """
    moving = visitor.current_session
    for session in list(visitor.open_sessions):
        if session is not moving:
            visitor.close_session(session, settings, changes)
    if moving is not None:
        visitor.drop_session(moving.key, changes)
    last_seen_ms = visitor.last_seen_ms if visitor.first_seen_ms is not None else None
    profile, blank = Customer(visitor.customer_id), Customer(visitor.customer_id)
    for field in attrs.fields(Customer):
        if field.name not in _KEPT_BY_VISITOR:
            setattr(profile, field.name, getattr(visitor, field.name))
            setattr(visitor, field.name, getattr(blank, field.name))
    profile.last_seen_ms = last_seen_ms
    staying, going = parts_of(profile.unknown, _KEPT_BY_VISITOR)
    visitor.carry(staying)
    profile.carry(going)
    if visitor.forwards_to is None:  # else the ids are those of events that went to another customer
        profile.seen.merged_ids = visitor.seen.all_digests()
    profile.contributions = tuple(_standing(one, visitor) for one in profile.contributions)
    visitor.forwards_to = identified_as
    return profile


def _standing(one: Contribution, visitor: Customer) -> Contribution:
    """Only a review that stands as the visitor's opinion is one of those that the product's ratings count."""
    if one.rating is None or one.kind is not EventKind.PRODUCT_REVIEWED or one.product_id is None:
        return one
    stands = visitor.reviewed.get(one.product_id) == (one.rating, one.at_ms)
    return one if stands else one._replace(rating=None)


def merge_profile(
    customer: Customer, merged: ProfileMerged, begins: SessionKey, settings: ProfileSettings, changes: Changes
) -> Session | None:
    """Add a visitor's history to a customer, as if each thing were noted now; say which session it came to lie in.

    Events that the customer has counted too, by their ids, are taken out first. A session of the same id goes on, else
    the visitor's becomes one of the customer's, named by `begins`. Over `visitors_max` the visitor of longest ago is
    forgotten: nobody would know any more whose they were.

    Raises:
        CannotMerge: both have parts that only a newer release can add up; the customer may have changed by then.
    """
    unknown = merged_unknown(customer.unknown, merged.profile.unknown, _FIELDS)
    repeats = duplicates_in(merged.profile, customer)
    changes.duplicates += repeats
    profile, at_ms = without_duplicates(merged.profile, repeats, settings), merged.occurred_at_ms
    customer.carry(unknown)
    customer.seen.add_merged(profile.seen.merged_ids, settings)
    times = [one for one in (profile.first_seen_ms, profile.last_seen_ms, at_ms) if one is not None]
    customer.first_seen_ms = min(times) if customer.first_seen_ms is None else min(customer.first_seen_ms, *times)
    customer.last_seen_ms = max(times) if customer.last_seen_ms is None else max(customer.last_seen_ms, *times)
    signed_in = EventKind.CUSTOMER_SIGNED_IN
    for kind, count in (*profile.counts.items(), (signed_in, 1)):
        customer.counts[kind] = bounded(customer.counts.get(kind, 0) + count)
    if len(customer.counts) > UNKNOWN_MAX:
        raise CannotMerge(f"the profile would have {len(customer.counts)} kinds of events")
    customer.spend = bounded(customer.spend + profile.spend)
    customer.units = bounded(customer.units + profile.units)
    customer.orders_placed = bounded(customer.orders_placed + profile.orders_placed)
    customer.sessions_begun = bounded(customer.sessions_begun + profile.sessions_begun)
    customer.country = last_write_wins(customer.country, profile.country)
    for category, (score, scored_ms) in profile.affinity.items():
        customer.add_affinity(category, scored_ms, score, settings)
    for product_id, touched_ms in profile.recent.items():
        keep_latest(customer.recent, product_id, touched_ms, settings.recent_products_max)
    for product_id, (units, last_ms) in profile.purchases.items():
        customer.add_units(product_id, units, last_ms, settings)
    for product_id, (shown, last_ms) in profile.shown.items():
        customer.add_exposures(product_id, shown, last_ms, settings)
    for order_id, order in profile.orders.items():
        _merge_order(customer, order_id, order, settings)
    if merged.signed_in is not None:
        customer.seen.advance(merged.signed_in)
    customer.visitors.pop(merged.visitor, None)  # who signs in again is the one of last
    customer.visitors[merged.visitor] = merged.event_id
    if len(customer.visitors) > settings.visitors_max:
        first = next(iter(customer.visitors))
        del customer.visitors[first]
        changes.visitors_forgotten[first] = at_ms
    return _merge_session(customer, profile, begins, settings, changes)


def _merge_order(customer: Customer, order_id: str, order: Order, settings: ProfileSettings) -> None:
    known = customer.orders.get(order_id)
    if known is None:
        customer.orders[order_id] = order
        if len(customer.orders) > settings.orders_max:
            del customer.orders[next(iter(customer.orders))]
        return
    if known.placed_at_ms is None or order.placed_at_ms is None:
        known.placed_at_ms = known.placed_at_ms if order.placed_at_ms is None else order.placed_at_ms
    else:
        customer.orders_placed -= 1  # both had counted it
        known.placed_at_ms = min(known.placed_at_ms, order.placed_at_ms)
    known.units = bounded(known.units + order.units)
    known.amount = bounded(known.amount + order.amount)


def _merge_session(
    customer: Customer, profile: Customer, begins: SessionKey, settings: ProfileSettings, changes: Changes
) -> Session | None:
    moved = profile.current_session
    if moved is None:
        return None
    same = (one for one in customer.open_sessions if one.session_id is not None and one.session_id == moved.session_id)
    session = next(same, None)
    if session is None:
        session = attrs.evolve(moved, key=begins, products=dict(moved.products))
        customer.open_session(session, settings, changes)
    else:
        customer.sessions_begun -= 1  # both had counted it
        session.events = bounded(session.events + moved.events)
        session.started_at_ms = min(session.started_at_ms, moved.started_at_ms)
        session.last_at_ms = max(session.last_at_ms, moved.last_at_ms)
        for product_id, (touched_ms, weight) in moved.products.items():
            session.add(product_id, touched_ms, weight, settings.session_products_max)
    changes.sessions[session.key] = session
    return session
