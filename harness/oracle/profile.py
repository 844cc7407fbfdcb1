"""What a customer's profile must hold, each field computed by itself from the customer's events.

Written from the definitions, not from the pipeline: where an expression over the history gives the same, no event is
folded one after the other; and no function of the pipeline is called.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import fsum

import attrs

from harness.oracle.deduplication import NEVER_MS, ExpectedSeenEvents
from harness.oracle.identity import merged_profile_in
from harness.oracle.sessions import INTERACTIONS, Sessions, interest_weights
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId


@attrs.frozen
class ExpectedCustomer:
    """What a customer's record must hold.

    `orders` maps an order to (placed at, units, amount) and `reviewed` a product to (rating, time), both in order of
    arrival. `purchases` maps a product to (units bought less units refunded, time of the last of both). `visitors` are
    the visitors who signed in as this customer, in order of arrival, with the event id of the merged profile.
    `excluded` is how many events count for this profile alone. `minute` is the newest minute of the customer's own
    events, and how many lie in it, where their rate has a limit.
    """

    customer_id: CustomerId
    counts: dict[EventKind, int]
    spend: int
    units: int
    orders_placed: int
    sessions_begun: int
    first_seen_ms: int
    last_seen_ms: int
    country: tuple[str, int] | None
    affinity: dict[str, tuple[float, int]]
    recent: dict[ProductId, int]
    purchases: dict[ProductId, tuple[int, int]]
    shown: dict[ProductId, tuple[int, int]]
    orders: dict[str, tuple[int | None, int, int]]
    reviewed: dict[ProductId, tuple[int, int]]
    open_sessions: list[SessionKey]
    closed_sessions: list[SessionKey]
    forgotten_at_ms: int
    excluded: int = 0
    minute: tuple[int, int] | None = None
    seen: ExpectedSeenEvents = attrs.Factory(ExpectedSeenEvents)
    visitors: dict[CustomerId, str] = attrs.Factory(dict)


def profile_of(
    customer_id: CustomerId,
    events: list[Event],
    opinions: Mapping[ProductId, Event],
    sessions: Sessions,
    settings: ProfileSettings,
    excluded: int = 0,
) -> ExpectedCustomer:
    """Compute each field by itself from the customer's events since the last forgetting.

    Args:
        customer_id: the customer.
        events: the applied events, in log order.
        opinions: the current review of each product.
        sessions: the sessions that the events form.
        settings: the limits and weights of profiles.
        excluded: how many of the events are excluded.
    """
    merged = [profile for event in events if (profile := merged_profile_in(event)) is not None]
    times = [event.occurred_at_ms for event in events]
    times += [at for profile in merged for at in (profile.first_seen_ms, profile.last_seen_ms) if at is not None]
    counts = Counter(event.kind for event in events)
    for profile in merged:
        counts.update(profile.counts)
    bought = [event for event in events if event.kind is EventKind.PRODUCT_PURCHASED]
    refunded = [event for event in events if event.kind is EventKind.PURCHASE_CANCELLED]
    begun, orders = _orders(events, settings.orders_max)
    open_, closed = sessions
    return ExpectedCustomer(
        customer_id,
        counts=dict(counts),
        spend=sum(event.amount for event in bought)
        - sum(event.amount for event in refunded)
        + sum(profile.spend for profile in merged),
        units=sum(event.quantity for event in bought)
        - sum(event.quantity for event in refunded)
        + sum(profile.units for profile in merged),
        orders_placed=begun + sum(event.order_id is None for event in bought),
        sessions_begun=len(open_)
        + len(closed)
        + sum(profile.sessions_begun - bool(profile.open_sessions) for profile in merged),
        first_seen_ms=min(times),
        last_seen_ms=max(times),
        country=_country(events, merged),
        affinity=_affinity(events, settings),
        recent=_recent(events, settings.recent_products_max),
        purchases=_purchases(events, settings.bought_products_max),
        shown=_shown(events, settings.shown_products_max),
        orders=orders,
        reviewed={product_id: (rating(review), review.occurred_at_ms) for product_id, review in opinions.items()},
        open_sessions=sorted(session.key for session in open_),
        closed_sessions=[session.key for session in closed[-settings.closed_sessions_max :]],
        forgotten_at_ms=NEVER_MS,
        excluded=excluded + sum(profile.excluded for profile in merged),
        visitors=_visitors(events, settings.visitors_max),
    )


def _visitors(events: Iterable[Event], limit: int) -> dict[CustomerId, str]:
    """The visitors who signed in as the customer, the newest last."""
    visitors: dict[CustomerId, str] = {}
    for event in events:
        profile = merged_profile_in(event)
        if profile is not None:
            visitors.pop(profile.customer_id, None)
            visitors[profile.customer_id] = event.event_id
    return dict(list(visitors.items())[-limit:])


def country_of(event: Event) -> str | None:
    """The country of an event: two letters in its context, in upper or lower case; None where they are missing."""
    code = str(event.context.get("country", ""))
    return code.upper() if re.fullmatch("[A-Za-z]{2}", code) else None


def _country(events: Iterable[Event], merged: Iterable[VisitorProfile]) -> tuple[str, int] | None:
    """The customer's last country and its time (of equal times, the alphabetically later country)."""
    countries = [(event.occurred_at_ms, country) for event in events if (country := country_of(event)) is not None]
    countries += [(profile.country[1], str(profile.country[0])) for profile in merged if profile.country is not None]
    return max(countries)[::-1] if countries else None


def rating(event: Event) -> int:
    """The stars of a review."""
    if event.rating is None:
        raise ValueError(f"event {event.event_id} is a review without a rating")
    return event.rating


def _recent(events: Iterable[Event], limit: int) -> dict[ProductId, int]:
    """The products touched last and the time (of equal times, the larger id is kept)."""
    touched: list[tuple[ProductId, int]] = []
    for event in events:
        profile = merged_profile_in(event)
        if profile is not None:
            touched += profile.recent.items()
        elif event.kind in INTERACTIONS and event.product_id is not None:
            touched.append((event.product_id, event.occurred_at_ms))
    touched.sort()
    newest = [(max(at_ms for _, at_ms in group), id_) for id_, group in groupby(touched, key=lambda pair: pair[0])]
    return {product_id: at_ms for at_ms, product_id in sorted(newest)[-limit:]}


def _purchases(events: Iterable[Event], limit: int) -> dict[ProductId, tuple[int, int]]:
    """Units bought less units refunded, and the time of the last of both, of the products traded last.

    A refund may come before its purchase. A product that was evicted starts again at 0.
    """
    trades: dict[ProductId, list[tuple[int, int]]] = {}
    signs = {EventKind.PRODUCT_PURCHASED: 1, EventKind.PURCHASE_CANCELLED: -1}
    for event in events:
        profile = merged_profile_in(event)
        added = [] if profile is None else [(id_, *purchase) for id_, purchase in profile.purchases.items()]
        if event.product_id is not None and event.kind in signs:
            added.append((event.product_id, signs[event.kind] * event.quantity, event.occurred_at_ms))
        for product_id, units, at_ms in added:
            trades.setdefault(product_id, []).append((units, at_ms))
            if len(trades) > limit:
                trades.pop(min((max(at for _, at in lines), id_) for id_, lines in trades.items())[1])
    return {id_: (sum(units for units, _ in lines), max(at for _, at in lines)) for id_, lines in trades.items()}


def _shown(events: Iterable[Event], limit: int) -> dict[ProductId, tuple[int, int]]:
    """How often each product was shown, and the last time, of the products shown last.

    A product that was evicted starts again at 0.
    """
    times: dict[ProductId, list[int]] = {}
    for event in events:
        profile = merged_profile_in(event)
        shown = [(product_id, [event.occurred_at_ms]) for product_id in event.shown]
        if profile is not None:
            shown += [(id_, [last_ms] * count) for id_, (count, last_ms) in profile.shown.items()]
        for product_id, at_times in shown:
            times.setdefault(product_id, []).extend(at_times)
            if len(times) > limit:
                times.pop(min((max(at), id_) for id_, at in times.items())[1])
    return {product_id: (len(at), max(at)) for product_id, at in times.items()}


def _affinity(events: Iterable[Event], settings: ProfileSettings) -> dict[str, tuple[float, int]]:
    """Σ w·2^(−(T − t)/h) over each category's events; T is the time of the category's newest event."""
    weights = interest_weights(settings)
    interests: list[tuple[str, int, float]] = []
    for event in events:
        profile = merged_profile_in(event)
        if profile is not None:
            interests += ((category, at_ms, score) for category, (score, at_ms) in profile.affinity.items())
        elif event.kind in INTERACTIONS and event.category is not None:
            interests.append((event.category, event.occurred_at_ms, weights[event.kind]))
    by_category: dict[str, list[tuple[int, float]]] = {}
    for category, at_ms, weight in interests:
        by_category.setdefault(category, []).append((at_ms, weight))
    if len(by_category) > settings.categories_max:
        return _affinity_with_eviction(interests, settings)
    half_life_ms, affinity = settings.affinity_half_life_ms, {}
    for category, weighted in by_category.items():
        newest_ms = max(at_ms for at_ms, _ in weighted)
        affinity[category] = fsum(w * 2.0 ** (-(newest_ms - at) / half_life_ms) for at, w in weighted), newest_ms
    return affinity


def _affinity_with_eviction(
    interests: Iterable[tuple[str, int, float]], settings: ProfileSettings
) -> dict[str, tuple[float, int]]:
    """The same with more categories than the limit: each new category evicts the weakest as of the newest time."""
    half_life_ms = settings.affinity_half_life_ms
    scores: dict[str, tuple[float, int]] = {}
    for category, at_ms, weight in interests:
        score, scored_ms = scores.get(category, (0.0, at_ms))
        to_ms = max(scored_ms, at_ms)
        aged, added = (
            amount * 2.0 ** (-(to_ms - t) / half_life_ms) for amount, t in ((score, scored_ms), (weight, at_ms))
        )
        scores[category] = aged + added, to_ms
        if len(scores) > settings.categories_max:
            now_ms = max(t for _, t in scores.values())
            del scores[min((s * 2.0 ** (-(now_ms - t) / half_life_ms), name) for name, (s, t) in scores.items())[1]]
    return scores


def _orders(events: Iterable[Event], limit: int) -> tuple[int, dict[str, tuple[int | None, int, int]]]:
    """Count the orders placed, and compute (placed at, units, amount) of the last `limit` orders.

    The lines and refunds of an order may come in any sequence, and a merged profile brings whole orders. An order is
    placed with its first purchase; an order that was evicted starts again at 0.
    """
    placed = 0
    known: dict[str, list[tuple[int | None, int, int]]] = {}
    for event in events:
        profile, added = merged_profile_in(event), list[tuple[str, tuple[int | None, int, int]]]()
        if profile is not None:
            added = [(id_, (order.placed_at_ms, order.units, order.amount)) for id_, order in profile.orders.items()]
            placed += profile.orders_placed - sum(order.placed_at_ms is not None for order in profile.orders.values())
        elif event.order_id is not None and event.kind is EventKind.PRODUCT_PURCHASED:
            added = [(event.order_id, (event.occurred_at_ms, event.quantity, event.amount))]
        elif event.order_id is not None and event.kind is EventKind.PURCHASE_CANCELLED:
            added = [(event.order_id, (None, -event.quantity, -event.amount))]
        for order_id, line in added:
            if order_id not in known:
                known = dict([*known.items(), (order_id, [])][-limit:])
            is_placed = any(at is not None for at, _, _ in known[order_id])
            placed += line[0] is not None and not is_placed
            known[order_id].append(line)
    return placed, {
        order_id: (
            min((at for at, _, _ in lines if at is not None), default=None),
            sum(units for _, units, _ in lines),
            sum(amount for _, _, amount in lines),
        )
        for order_id, lines in known.items()
    }


def opinions_in(events: Iterable[Event], limit: int) -> tuple[list[tuple[ProductId, Event]], dict[ProductId, Event]]:
    """Find the reviews that count as opinions.

    All reviews of a product are one opinion, of which the latest counts (of equal times: the higher rating, then the
    review that came later), as long as the product is among the `limit` products reviewed last; after that, another
    review is another opinion.

    Returns:
        All opinions that count, and the current opinions of the products reviewed last.
    """
    opinions: list[tuple[ProductId, list[Event]]] = []
    known: dict[ProductId, list[Event]] = {}
    for event in events:
        if event.kind is not EventKind.PRODUCT_REVIEWED or event.product_id is None or event.rating is None:
            continue
        if event.product_id not in known:
            opinions.append((event.product_id, []))
            known = dict([*known.items(), opinions[-1]][-limit:])
        known[event.product_id].append(event)
    counted = [(product_id, _latest(reviews)) for product_id, reviews in opinions]
    return counted, {product_id: _latest(reviews) for product_id, reviews in known.items()}


def _latest(reviews: Sequence[Event]) -> Event:
    return max(enumerate(reviews), key=lambda numbered: (numbered[1].occurred_at_ms, rating(numbered[1]), numbered[0]))[
        1
    ]
