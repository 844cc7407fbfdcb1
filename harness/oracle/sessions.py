"""The sessions that one customer's events must form."""

from collections.abc import Iterable
from typing import Final

import attrs

from harness.oracle.identity import KeyedEvent, merged_profile_in
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId

INTERACTIONS: Final = (EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED)
SESSION_KINDS: Final = (*INTERACTIONS, EventKind.PRODUCT_UNCARTED)


@attrs.frozen
class ExpectedSession:
    """What a session must hold.

    `products` maps each product to (last touched in ms, largest weight). The weight is 0 after the product was removed
    from the cart.
    """

    key: SessionKey
    session_id: str | None
    started_at_ms: int
    last_at_ms: int
    events: int
    products: dict[ProductId, tuple[int, int]]


@attrs.define
class SessionEvents:
    """The events of a session, and the times of the first and the last, by which later events find the session."""

    key: SessionKey
    session_id: str | None
    first_ms: int
    last_ms: int
    events: list[Event] = attrs.Factory(list)


Sessions = tuple[list[SessionEvents], list[SessionEvents]]
"""The open sessions, and the closed sessions in the order in which they closed."""


def sessions_of(lifetime: Iterable[KeyedEvent], settings: ProfileSettings) -> Sessions:
    """Divide a customer's events into sessions.

    A session inside a merged profile counts as one event with many products: it joins the open session of the same id,
    if there is one.
    """
    open_: list[SessionEvents] = []
    closed: list[SessionEvents] = []
    for key, event in lifetime:
        merged = merged_session_in(event)
        if event.kind not in SESSION_KINDS and merged is None:
            continue
        first_ms, last_ms, session_id = event.occurred_at_ms, event.occurred_at_ms, event.session_id
        by_touch = sorted(open_, key=lambda session: (session.last_ms, session.key))
        if merged is None:
            matching = [candidate for candidate in reversed(by_touch) if _belongs(event, candidate, settings)]
        else:
            first_ms, last_ms, session_id = merged.started_at_ms, merged.last_at_ms, merged.session_id
            has_id = session_id is not None
            matching = [candidate for candidate in open_ if has_id and candidate.session_id == session_id]
        session = matching[0] if matching else None
        if session is None:
            for idle in _sessions_to_close(by_touch, last_ms, settings):
                open_.remove(idle)
                closed.append(idle)
            session = SessionEvents(key, session_id, first_ms, last_ms)
            open_.append(session)
        session.events.append(event)
        session.first_ms, session.last_ms = min(session.first_ms, first_ms), max(session.last_ms, last_ms)
    return open_, closed


def _sessions_to_close(by_touch: list[SessionEvents], at_ms: int, settings: ProfileSettings) -> list[SessionEvents]:
    """The sessions that close when another begins: all idle sessions but the last `idle_sessions_max`. Where that
    closes none and `open_sessions_max` is reached, the session touched longest ago."""
    idle = [session for session in by_touch if at_ms - session.last_ms > settings.session_gap_ms]
    closing = idle[: len(idle) - settings.idle_sessions_max] if len(idle) > settings.idle_sessions_max else []
    return closing or (by_touch[:1] if len(by_touch) >= settings.open_sessions_max else [])


def merged_session_in(event: Event) -> Session | None:
    """The open session in the profile that an event merges; None where there is none."""
    profile = merged_profile_in(event)
    return profile.open_sessions[-1] if profile is not None and profile.open_sessions else None


def _belongs(event: Event, session: SessionEvents, settings: ProfileSettings) -> bool:
    if event.session_id is None and session.session_id is None:
        gap_ms = settings.session_gap_ms
        return session.first_ms - gap_ms <= event.occurred_at_ms <= session.last_ms + gap_ms
    return event.session_id == session.session_id


def expected_session(session: SessionEvents, settings: ProfileSettings) -> ExpectedSession:
    """Compute what a session must hold from its events."""
    weights = interest_weights(settings)
    count = 0
    touched: list[tuple[ProductId, int, int | None]] = []
    for event in session.events:
        merged = merged_session_in(event)
        count += 1 if merged is None else merged.events
        if merged is not None:
            touched += ((product_id, at_ms, weight) for product_id, (at_ms, weight) in merged.products.items())
        elif event.product_id is not None:
            touched.append((event.product_id, event.occurred_at_ms, weights.get(event.kind)))
    products = _products(touched, settings.session_products_max)
    return ExpectedSession(session.key, session.session_id, session.first_ms, session.last_ms, count, products)


def _products(touched: Iterable[tuple[ProductId, int, int | None]], limit: int) -> dict[ProductId, tuple[int, int]]:
    """The last time and largest weight of the products touched last. A product that was evicted starts again at 0.

    A touch without a weight removes the product from the cart: its weight becomes 0.
    """
    known: dict[ProductId, tuple[int, int]] = {}
    for product_id, at_ms, weight in touched:
        if weight is None:
            if product_id in known:
                known[product_id] = known[product_id][0], 0
            continue
        last_ms, largest = known.get(product_id, (at_ms, weight))
        known[product_id] = max(last_ms, at_ms), max(largest, weight)
        if len(known) > limit:
            known.pop(min((at_ms, other) for other, (at_ms, _) in known.items())[1])
    return known


def last_interactions(sessions: Iterable[SessionEvents]) -> dict[tuple[ProductId, SessionKey], int]:
    """The time of each session's last interaction with each product."""
    interactions = []
    for session in sessions:
        for event in session.events:
            merged = merged_session_in(event)
            if merged is not None:
                products = merged.products.items()
                interactions += [((product_id, session.key), at_ms) for product_id, (at_ms, _) in products]
            elif event.kind in INTERACTIONS and event.product_id is not None:
                interactions.append(((event.product_id, session.key), event.occurred_at_ms))
    return dict(sorted(interactions, key=lambda interaction: interaction[1]))


def interest_weights(settings: ProfileSettings) -> dict[EventKind, int]:
    """How much interest each kind of interaction shows."""
    return dict(zip(INTERACTIONS, (settings.view_weight, settings.cart_weight, settings.purchase_weight), strict=True))
