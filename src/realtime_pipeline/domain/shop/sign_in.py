"""A visitor signs in: what was known of them goes to the customer they turned out to be."""

from typing import Final

import attrs

from realtime_pipeline.domain.shop.changes import Changes
from realtime_pipeline.domain.shop.contribution import Contribution
from realtime_pipeline.domain.shop.customer import Customer, note
from realtime_pipeline.domain.shop.events import CustomerId, EventKind
from realtime_pipeline.domain.shop.money import bounded
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.shop.product import later
from realtime_pipeline.domain.shop.profile_rules import ProfileRules
from realtime_pipeline.domain.shop.repeats import repeats_in, without
from realtime_pipeline.domain.shop.session import Session, SessionKey
from realtime_pipeline.domain.shop.unknown import UNKNOWN_MAX, CannotJoin, joined, parts_of

_STAYS: Final = frozenset(
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
class HistoryMerged:
    """What a visitor had done when they signed in, on its way to the customer they turned out to be.

    `signed_in` is the sign-in's place in the log (partition, position); None where nobody said.
    """

    event_id: str
    customer_id: CustomerId
    visitor: CustomerId
    occurred_at_ms: int
    history: Customer
    signed_in: tuple[int, int] | None = None

    def is_known_to(self, customer: Customer) -> bool:
        """Whether it came before: those of one partition are said in order, and may be said again for another store."""
        if customer.visitors.get(self.visitor) == self.event_id:
            return True
        if self.signed_in is None:
            return False
        partition, position = self.signed_in
        return position <= customer.seen.forwarded_up_to.get(partition, -1)


def part_with_history(visitor: Customer, becomes: CustomerId, rules: ProfileRules, changes: Changes) -> Customer:
    """Take from a visitor what goes to a customer; what is left forwards to them.

    The session touched last goes along, so that it goes on; others, and reviews, stay where they are, as the visitor's,
    and go when the visitor is forgotten.
    """
    moving = visitor.current_session
    for session in list(visitor.open_sessions):
        if session is not moving:
            visitor.close(session, rules, changes)
    if moving is not None:
        visitor.drop_session(moving.key, changes)
    last_seen_ms = visitor.last_seen_ms if visitor.first_seen_ms is not None else None
    history, blank = Customer(visitor.customer_id), Customer(visitor.customer_id)
    for field in attrs.fields(Customer):
        if field.name not in _STAYS:
            setattr(history, field.name, getattr(visitor, field.name))
            setattr(visitor, field.name, getattr(blank, field.name))
    history.last_seen_ms = last_seen_ms
    staying, going = parts_of(history.unknown, _STAYS)
    visitor.carry(staying)
    history.carry(going)
    if visitor.forwards_to is None:  # else the ids are those of events that went to another customer
        history.seen.merged_ids = visitor.seen.all_digests()
    history.contributions = tuple(_standing(one, visitor) for one in history.contributions)
    visitor.forwards_to = becomes
    return history


def _standing(one: Contribution, visitor: Customer) -> Contribution:
    """Only a review that stands as the visitor's opinion is one of those that the product's ratings count."""
    if one.rating is None or one.kind is not EventKind.PRODUCT_REVIEWED or one.product_id is None:
        return one
    stands = visitor.reviewed.get(one.product_id) == (one.rating, one.at_ms)
    return one if stands else one._replace(rating=None)


def join_history(
    customer: Customer, merged: HistoryMerged, begins: SessionKey, rules: ProfileRules, changes: Changes
) -> Session | None:
    """Add a visitor's history to a customer, as if each thing were noted now; say which session it came to lie in.

    Events that the customer has counted too, by their ids, are taken out first. A session of the same id goes on, else
    the visitor's becomes one of the customer's, named by `begins`. Over `visitors_max` the visitor of longest ago is
    forgotten: nobody would know any more whose they were.

    Raises:
        CannotJoin: both have parts that only a newer release can add up; the customer may have changed by then.
    """
    unknown = joined(customer.unknown, merged.history.unknown, _FIELDS)
    repeats = repeats_in(merged.history, customer)
    changes.repeats += repeats
    history, at_ms = without(merged.history, repeats, rules), merged.occurred_at_ms
    customer.carry(unknown)
    customer.seen.add_merged(history.seen.merged_ids, rules)
    times = [one for one in (history.first_seen_ms, history.last_seen_ms, at_ms) if one is not None]
    customer.first_seen_ms = min(times) if customer.first_seen_ms is None else min(customer.first_seen_ms, *times)
    customer.last_seen_ms = max(times) if customer.last_seen_ms is None else max(customer.last_seen_ms, *times)
    signed_in = EventKind.CUSTOMER_SIGNED_IN
    for kind, count in (*history.counts.items(), (signed_in, 1)):
        customer.counts[kind] = bounded(customer.counts.get(kind, 0) + count)
    if len(customer.counts) > UNKNOWN_MAX:
        raise CannotJoin(f"the profile would have {len(customer.counts)} kinds of events")
    customer.spend = bounded(customer.spend + history.spend)
    customer.units = bounded(customer.units + history.units)
    customer.orders_placed = bounded(customer.orders_placed + history.orders_placed)
    customer.sessions_begun = bounded(customer.sessions_begun + history.sessions_begun)
    customer.country = later(customer.country, history.country)
    for category, (score, scored_ms) in history.affinity.items():
        customer.note_affinity(category, scored_ms, score, rules)
    for product_id, touched_ms in history.recent.items():
        note(customer.recent, product_id, touched_ms, rules.recent_products_max)
    for product_id, (units, last_ms) in history.purchases.items():
        customer.hold(product_id, units, last_ms, rules)
    for product_id, (shown, last_ms) in history.shown.items():
        customer.note_shown(product_id, shown, last_ms, rules)
    for order_id, order in history.orders.items():
        _join_order(customer, order_id, order, rules)
    if merged.signed_in is not None:
        customer.seen.advance(merged.signed_in)
    customer.visitors.pop(merged.visitor, None)  # who signs in again is the one of last
    customer.visitors[merged.visitor] = merged.event_id
    if len(customer.visitors) > rules.visitors_max:
        first = next(iter(customer.visitors))
        del customer.visitors[first]
        changes.visitors_forgotten[first] = at_ms
    return _join_session(customer, history, begins, rules, changes)


def _join_order(customer: Customer, order_id: str, order: Order, rules: ProfileRules) -> None:
    known = customer.orders.get(order_id)
    if known is None:
        customer.orders[order_id] = order
        if len(customer.orders) > rules.orders_max:
            del customer.orders[next(iter(customer.orders))]
        return
    if known.placed_at_ms is None or order.placed_at_ms is None:
        known.placed_at_ms = known.placed_at_ms if order.placed_at_ms is None else order.placed_at_ms
    else:
        customer.orders_placed -= 1  # both had counted it
        known.placed_at_ms = min(known.placed_at_ms, order.placed_at_ms)
    known.units = bounded(known.units + order.units)
    known.amount = bounded(known.amount + order.amount)


def _join_session(
    customer: Customer, history: Customer, begins: SessionKey, rules: ProfileRules, changes: Changes
) -> Session | None:
    moved = history.current_session
    if moved is None:
        return None
    same = (one for one in customer.open_sessions if one.session_id is not None and one.session_id == moved.session_id)
    session = next(same, None)
    if session is None:
        session = attrs.evolve(moved, key=begins, products=dict(moved.products))
        customer.open(session, rules, changes)
    else:
        customer.sessions_begun -= 1  # both had counted it
        session.events = bounded(session.events + moved.events)
        session.started_at_ms = min(session.started_at_ms, moved.started_at_ms)
        session.last_at_ms = max(session.last_at_ms, moved.last_at_ms)
        for product_id, (touched_ms, weight) in moved.products.items():
            session.add(product_id, touched_ms, weight, rules.session_products_max)
    changes.sessions[session.key] = session
    return session
