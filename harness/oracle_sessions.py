"""The sessions that one customer's events must fall into."""

from collections.abc import Iterable
from typing import Final

import attrs

from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.shop.profile_rules import ProfileRules
from realtime_pipeline.domain.shop.session import SessionKey

LOOKS: Final = (EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED)
IN_SESSIONS: Final = (*LOOKS, EventKind.PRODUCT_UNCARTED)

Placed = tuple[SessionKey, Event]
"""An event, and the key of the session that its place in the log would give."""


@attrs.frozen
class ExpectedSession:
    """What a session must hold.

    `products` maps each product to (last touched in ms, largest weight, 0 once taken out of the cart).
    """

    key: SessionKey
    session_id: str | None
    started_at_ms: int
    last_at_ms: int
    events: int
    products: dict[ProductId, tuple[int, int]]


@attrs.define
class Visit:
    """A session as the list of its events; the two times are kept beside it for finding an event's session."""

    key: SessionKey
    session_id: str | None
    first_ms: int
    last_ms: int
    events: list[Event] = attrs.Factory(list)


def visits_of(life: Iterable[Placed], rules: ProfileRules) -> tuple[list[Visit], list[Visit]]:
    """Part a life into sessions: those still open, and those closed, in the order they closed."""
    open_: list[Visit] = []
    closed: list[Visit] = []
    for key, event in life:
        if event.kind not in IN_SESSIONS:
            continue
        at_ms = event.occurred_at_ms
        by_touch = sorted(open_, key=lambda visit: (visit.last_ms, visit.key))
        visit = next((one for one in reversed(by_touch) if _belongs(event, one, rules.session_gap_ms)), None)
        if visit is None:
            if len(open_) >= rules.open_sessions_max:
                open_.remove(by_touch[0])
                closed.append(by_touch[0])
            visit = Visit(key, event.session_id, at_ms, at_ms)
            open_.append(visit)
        visit.events.append(event)
        visit.first_ms, visit.last_ms = min(visit.first_ms, at_ms), max(visit.last_ms, at_ms)
    return open_, closed


def _belongs(event: Event, visit: Visit, gap_ms: int) -> bool:
    if event.session_id is None and visit.session_id is None:
        return visit.first_ms - gap_ms <= event.occurred_at_ms <= visit.last_ms + gap_ms
    return event.session_id == visit.session_id


def session_of(visit: Visit, rules: ProfileRules) -> ExpectedSession:
    """Say what a session holds, from its events."""
    times, weights = [event.occurred_at_ms for event in visit.events], weights_of(rules)
    touched = [
        (event.product_id, event.occurred_at_ms, weights.get(event.kind))
        for event in visit.events
        if event.product_id is not None
    ]
    products = _products(touched, rules.session_products_max)
    return ExpectedSession(visit.key, visit.session_id, min(times), max(times), len(times), products)


def _products(touched: Iterable[tuple[ProductId, int, int | None]], limit: int) -> dict[ProductId, tuple[int, int]]:
    """The last time and largest weight of the products touched last; one that left and comes back begins anew.

    Without a weight, a product was taken out of the cart: what was known of it weighs nothing.
    """
    known: dict[ProductId, tuple[int, int]] = {}
    for product_id, at_ms, weight in touched:
        if weight is None:
            known.update({one: (last, 0) for one, (last, _) in known.items() if one == product_id})
            continue
        last_ms, largest = known.get(product_id, (at_ms, weight))
        known[product_id] = max(last_ms, at_ms), max(largest, weight)
        if len(known) > limit:
            known.pop(min((at_ms, other) for other, (at_ms, _) in known.items())[1])
    return known


def listed(visits: Iterable[Visit]) -> dict[tuple[ProductId, SessionKey], int]:
    """Say when each session last looked at each product."""
    looks = [
        ((event.product_id, visit.key), event.occurred_at_ms)
        for visit in visits
        for event in visit.events
        if event.kind in LOOKS and event.product_id is not None
    ]
    return dict(sorted(looks, key=lambda look: look[1]))


def weights_of(rules: ProfileRules) -> dict[EventKind, int]:
    """Say how much each kind of look says of interest."""
    return dict(zip(LOOKS, (rules.view_weight, rules.cart_weight, rules.purchase_weight), strict=True))
