"""What a customer's profile must hold, each field by itself, from the events of a life.

Written from the definitions, not from the pipeline: nothing here is folded event by event where an expression over
the history says the same, and nothing calls the code that is checked with it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import fsum

import attrs

from harness.oracle.judging import NEVER_MS, ExpectedSeen
from harness.oracle.sessions import LOOKS, Visit, weights_of
from harness.oracle.sign_in import history_in
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId


@attrs.frozen
class ExpectedCustomer:
    """What a customer's record must hold.

    `orders` maps an order to (placed at, units, amount), `reviewed` a product to (rating, at), both by arrival.
    `purchases` maps a product to (units bought less units refunded, when either came last). `visitors` are those
    who signed in as this customer, by arrival, with the history's id.
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
    seen: ExpectedSeen = attrs.Factory(ExpectedSeen)
    visitors: dict[CustomerId, str] = attrs.Factory(dict)


def profile(
    customer_id: CustomerId,
    events: list[Event],
    standing: Mapping[ProductId, Event],
    visits: tuple[list[Visit], list[Visit]],
    settings: ProfileSettings,
) -> ExpectedCustomer:
    """Work out each field by itself from the events of a life."""
    histories = [history for event in events if (history := history_in(event)) is not None]
    times = [event.occurred_at_ms for event in events]
    times += [at for one in histories for at in (one.first_seen_ms, one.last_seen_ms) if at is not None]
    counts = Counter(event.kind for event in events)
    for one in histories:
        counts.update(one.counts)
    bought = [event for event in events if event.kind is EventKind.PRODUCT_PURCHASED]
    taken_back = [event for event in events if event.kind is EventKind.PURCHASE_CANCELLED]
    begun, orders = _orders(events, settings.orders_max)
    open_, closed = visits
    return ExpectedCustomer(
        customer_id,
        counts=dict(counts),
        spend=sum(event.amount for event in bought)
        - sum(event.amount for event in taken_back)
        + sum(one.spend for one in histories),
        units=sum(event.quantity for event in bought)
        - sum(event.quantity for event in taken_back)
        + sum(one.units for one in histories),
        orders_placed=begun + sum(event.order_id is None for event in bought),
        sessions_begun=len(open_)
        + len(closed)
        + sum(one.sessions_begun - bool(one.open_sessions) for one in histories),
        first_seen_ms=min(times),
        last_seen_ms=max(times),
        country=_country(events, histories),
        affinity=_affinity(events, settings),
        recent=_recent(events, settings.recent_products_max),
        purchases=_purchases(events, settings.bought_products_max),
        shown=_shown(events, settings.shown_products_max),
        orders=orders,
        reviewed={product_id: (rating(best), best.occurred_at_ms) for product_id, best in standing.items()},
        open_sessions=sorted(visit.key for visit in open_),
        closed_sessions=[visit.key for visit in closed[-settings.closed_sessions_max :]],
        forgotten_at_ms=NEVER_MS,
        visitors=_visitors(events, settings.visitors_max),
    )


def _visitors(events: Iterable[Event], limit: int) -> dict[CustomerId, str]:
    """Who turned out to be the customer, the one of last at the end."""
    visitors: dict[CustomerId, str] = {}
    for event in events:
        history = history_in(event)
        if history is not None:
            visitors.pop(history.customer_id, None)
            visitors[history.customer_id] = event.event_id
    return dict(list(visitors.items())[-limit:])


def country_of(event: Event) -> str | None:
    """The country in which an event happened: two letters of the alphabet in its context, large or small."""
    said = str(event.context.get("country", ""))
    return said.upper() if re.fullmatch("[A-Za-z]{2}", said) else None


def _country(events: Iterable[Event], histories: Iterable[VisitorProfile]) -> tuple[str, int] | None:
    """Where the customer was last, and when (ties: the later letters)."""
    said = [(event.occurred_at_ms, country) for event in events if (country := country_of(event)) is not None]
    said += [(one.country[1], str(one.country[0])) for one in histories if one.country is not None]
    return max(said)[::-1] if said else None


def rating(event: Event) -> int:
    """The stars of a review."""
    if event.rating is None:
        raise ValueError(f"event {event.event_id} is a review without a rating")
    return event.rating


def _recent(events: Iterable[Event], limit: int) -> dict[ProductId, int]:
    """The products touched last, with when (ties: the larger id stays)."""
    touched: list[tuple[ProductId, int]] = []
    for event in events:
        history = history_in(event)
        if history is not None:
            touched += history.recent.items()
        elif event.kind in LOOKS and event.product_id is not None:
            touched.append((event.product_id, event.occurred_at_ms))
    touched.sort()
    newest = [(max(at_ms for _, at_ms in group), id_) for id_, group in groupby(touched, key=lambda pair: pair[0])]
    return {product_id: at_ms for at_ms, product_id in sorted(newest)[-limit:]}


def _purchases(events: Iterable[Event], limit: int) -> dict[ProductId, tuple[int, int]]:
    """Units bought less units refunded, whichever came first, and when either came last, of the products of which
    something was bought or refunded last; one that left begins at 0."""
    traded: dict[ProductId, list[tuple[int, int]]] = {}
    signs = {EventKind.PRODUCT_PURCHASED: 1, EventKind.PURCHASE_CANCELLED: -1}
    for event in events:
        history = history_in(event)
        more = [] if history is None else [(id_, *held) for id_, held in history.purchases.items()]
        if event.product_id is not None and event.kind in signs:
            more.append((event.product_id, signs[event.kind] * event.quantity, event.occurred_at_ms))
        for product_id, units, at_ms in more:
            traded.setdefault(product_id, []).append((units, at_ms))
            if len(traded) > limit:
                traded.pop(min((max(at for _, at in lines), one) for one, lines in traded.items())[1])
    return {one: (sum(units for units, _ in lines), max(at for _, at in lines)) for one, lines in traded.items()}


def _shown(events: Iterable[Event], limit: int) -> dict[ProductId, tuple[int, int]]:
    """How often each product was shown, and when last, of the ones shown last; one that left begins anew."""
    times: dict[ProductId, list[int]] = {}
    for event in events:
        history = history_in(event)
        shown = [(one, [event.occurred_at_ms]) for one in event.shown]
        if history is not None:
            shown += [(one, [last_ms] * often) for one, (often, last_ms) in history.shown.items()]
        for product_id, at_times in shown:
            times.setdefault(product_id, []).extend(at_times)
            if len(times) > limit:
                times.pop(min((max(at), one) for one, at in times.items())[1])
    return {product_id: (len(at), max(at)) for product_id, at in times.items()}


def _affinity(events: Iterable[Event], settings: ProfileSettings) -> dict[str, tuple[float, int]]:
    """Σ w·2^(−(T − t)/h) over each category's events, T the time of its newest."""
    weights = weights_of(settings)
    noted: list[tuple[str, int, float]] = []
    for event in events:
        history = history_in(event)
        if history is not None:
            noted += ((category, at_ms, score) for category, (score, at_ms) in history.affinity.items())
        elif event.kind in LOOKS and event.category is not None:
            noted.append((event.category, event.occurred_at_ms, weights[event.kind]))
    by_category: dict[str, list[tuple[int, float]]] = {}
    for category, at_ms, weight in noted:
        by_category.setdefault(category, []).append((at_ms, weight))
    if len(by_category) > settings.categories_max:
        return _crowded_affinity(noted, settings)
    half_life_ms, affinity = settings.affinity_half_life_ms, {}
    for category, said in by_category.items():
        newest_ms = max(at_ms for at_ms, _ in said)
        affinity[category] = fsum(w * 2.0 ** (-(newest_ms - at) / half_life_ms) for at, w in said), newest_ms
    return affinity


def _crowded_affinity(
    noted: Iterable[tuple[str, int, float]], settings: ProfileSettings
) -> dict[str, tuple[float, int]]:
    """The same where categories had to leave: each time there is one too many, the weakest as of the newest time."""
    half_life_ms = settings.affinity_half_life_ms
    scores: dict[str, tuple[float, int]] = {}
    for category, at_ms, weight in noted:
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
    """Count the orders placed, and work out (placed at, units, amount) of the last `limit` of them.

    Lines and refunds of an order may come in any order, and a visitor's profile brings orders as they stood. An order
    is placed with its first purchase; one that is no longer known begins at 0.
    """
    placed = 0
    known: dict[str, list[tuple[int | None, int, int]]] = {}
    for event in events:
        history, more = history_in(event), list[tuple[str, tuple[int | None, int, int]]]()
        if history is not None:
            more = [(id_, (order.placed_at_ms, order.units, order.amount)) for id_, order in history.orders.items()]
            placed += history.orders_placed - sum(order.placed_at_ms is not None for order in history.orders.values())
        elif event.order_id is not None and event.kind is EventKind.PRODUCT_PURCHASED:
            more = [(event.order_id, (event.occurred_at_ms, event.quantity, event.amount))]
        elif event.order_id is not None and event.kind is EventKind.PURCHASE_CANCELLED:
            more = [(event.order_id, (None, -event.quantity, -event.amount))]
        for order_id, line in more:
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


def opinions(events: Iterable[Event], limit: int) -> tuple[list[tuple[ProductId, Event]], dict[ProductId, Event]]:
    """Find the reviews that count, and among them those of the last `limit` products reviewed.

    A product's reviews are one opinion, the latest of them (ties: the higher rating, then the one that came later),
    as long as the product is among those known; after that, another review is another opinion.
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
    return [(id_, _latest(said)) for id_, said in opinions], {id_: _latest(said) for id_, said in known.items()}


def _latest(said: Sequence[Event]) -> Event:
    return max(enumerate(said), key=lambda one: (one[1].occurred_at_ms, rating(one[1]), one[0]))[1]
