"""The sessions that one customer's events must fall into."""

from collections.abc import Iterable
from typing import Final

import attrs

from harness.oracle.sign_in import Placed, history_in
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId

LOOKS: Final = (EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED)
IN_SESSIONS: Final = (*LOOKS, EventKind.PRODUCT_UNCARTED)


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


def visits_of(life: Iterable[Placed], settings: ProfileSettings) -> tuple[list[Visit], list[Visit]]:
    """Part a life into sessions: those still open, and those closed, in the order they closed.

    A session that a visitor brings along is one event of many looks: it falls into the open one of its id, if any.
    """
    open_: list[Visit] = []
    closed: list[Visit] = []
    for key, event in life:
        moved = session_in(event)
        if event.kind not in IN_SESSIONS and moved is None:
            continue
        first_ms, last_ms, session_id = event.occurred_at_ms, event.occurred_at_ms, event.session_id
        by_touch = sorted(open_, key=lambda visit: (visit.last_ms, visit.key))
        if moved is None:
            visit = next((one for one in reversed(by_touch) if _belongs(event, one, settings.session_gap_ms)), None)
        else:
            first_ms, last_ms, session_id = moved.started_at_ms, moved.last_at_ms, moved.session_id
            same = (one for one in open_ if session_id is not None and one.session_id == session_id)
            visit = next(same, None)
        if visit is None:
            for one in _closing(by_touch, last_ms, settings):
                open_.remove(one)
                closed.append(one)
            visit = Visit(key, session_id, first_ms, last_ms)
            open_.append(visit)
        visit.events.append(event)
        visit.first_ms, visit.last_ms = min(visit.first_ms, first_ms), max(visit.last_ms, last_ms)
    return open_, closed


def _closing(by_touch: list[Visit], at_ms: int, settings: ProfileSettings) -> list[Visit]:
    """Which sessions close when another begins: the idle ones but the last few; without any, one where it is full."""
    idle = [visit for visit in by_touch if at_ms - visit.last_ms > settings.session_gap_ms]
    closing = idle[: len(idle) - settings.idle_sessions_max] if len(idle) > settings.idle_sessions_max else []
    return closing or (by_touch[:1] if len(by_touch) >= settings.open_sessions_max else [])


def session_in(event: Event) -> Session | None:
    """The session that a visitor's history brings along."""
    history = history_in(event)
    return history.open_sessions[-1] if history is not None and history.open_sessions else None


def _belongs(event: Event, visit: Visit, gap_ms: int) -> bool:
    if event.session_id is None and visit.session_id is None:
        return visit.first_ms - gap_ms <= event.occurred_at_ms <= visit.last_ms + gap_ms
    return event.session_id == visit.session_id


def session_of(visit: Visit, settings: ProfileSettings) -> ExpectedSession:
    """Say what a session holds, from its events."""
    weights = weights_of(settings)
    count = 0
    touched: list[tuple[ProductId, int, int | None]] = []
    for event in visit.events:
        moved = session_in(event)
        count += 1 if moved is None else moved.events
        if moved is not None:
            touched += ((product_id, at_ms, weight) for product_id, (at_ms, weight) in moved.products.items())
        elif event.product_id is not None:
            touched.append((event.product_id, event.occurred_at_ms, weights.get(event.kind)))
    products = _products(touched, settings.session_products_max)
    return ExpectedSession(visit.key, visit.session_id, visit.first_ms, visit.last_ms, count, products)


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
    looks = []
    for visit in visits:
        for event in visit.events:
            moved = session_in(event)
            if moved is not None:
                looks += [((product_id, visit.key), at_ms) for product_id, (at_ms, _) in moved.products.items()]
            elif event.kind in LOOKS and event.product_id is not None:
                looks.append(((event.product_id, visit.key), event.occurred_at_ms))
    return dict(sorted(looks, key=lambda look: look[1]))


def weights_of(settings: ProfileSettings) -> dict[EventKind, int]:
    """Say how much each kind of look says of interest."""
    return dict(zip(LOOKS, (settings.view_weight, settings.cart_weight, settings.purchase_weight), strict=True))
