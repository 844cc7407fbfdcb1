"""What one customer's events must lead to, computed from the whole history at once.

Written from the definitions, not from the pipeline: where an expression over the history gives the same, no event is
folded one after the other; and no function of the pipeline is called.
"""

from collections.abc import Mapping, Sequence

import attrs

from harness.oracle.deduplication import Deduplication, ExpectedSeenEvents, deduplicate, digest_of
from harness.oracle.duplicates import without_duplicates
from harness.oracle.exclusion import (
    excluded_in,
    judged_again,
    newest_minute,
    retracted_in,
    with_excluded_profiles,
    without,
)
from harness.oracle.identity import (
    KeyedEvent,
    alias_of,
    forget_messages,
    log_position,
    message_time_ms,
    sign_in_index,
    with_forwarded,
)
from harness.oracle.messages import ExpectedMessage, message_id
from harness.oracle.profile import ExpectedCustomer, country_of, opinions_in, profile_of, rating
from harness.oracle.sessions import (
    ExpectedSession,
    SessionEvents,
    Sessions,
    expected_session,
    last_interactions,
    sessions_of,
)
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import SeenEvents
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.streams.effects import RecordClass


@attrs.frozen
class ExpectedVisitor:
    """What is left of a visitor who has signed in: the customer whose alias they are, and what a forgetting erases."""

    alias_of: CustomerId
    last_seen_ms: int
    reviewed: dict[ProductId, tuple[int, int]]
    closed_sessions: list[SessionKey]
    forgotten_at_ms: int
    seen: ExpectedSeenEvents


@attrs.frozen
class CustomerHistory:
    """All that one customer's events lead to.

    `classes` has the class of each event. `customer` is None where nothing is known, or the customer is a visitor who
    has signed in (`visitor`). `ratings` has (product, rating) of each opinion that counts, also of forgotten times.
    `last_interactions` has the time of each session's last interaction with each product. `retracted` are events of
    merged profiles that no longer count for all customers. `excluded` has the keys of events that never did.
    """

    classes: list[RecordClass]
    forgotten_at_ms: int
    customer: ExpectedCustomer | None
    sessions: dict[SessionKey, ExpectedSession]
    sessions_erased: set[SessionKey]
    reviews: dict[ProductId, tuple[int, str, int]]
    ratings: list[tuple[ProductId, int]]
    last_interactions: dict[tuple[ProductId, SessionKey], int]
    visitor: ExpectedVisitor | None = None
    messages: list[ExpectedMessage] = attrs.Factory(list)
    retracted: list[Contribution] = attrs.Factory(list)
    excluded: set[SessionKey] = attrs.Factory(set)


def history_of(
    customer_id: CustomerId, events: Sequence[KeyedEvent], settings: ProfileSettings, exclude: Exclusion
) -> CustomerHistory:
    """Compute a customer's history from all their events, in log order."""
    events = [(key, judged_again(event, exclude)) for key, event in events]
    deduplication = deduplicate(events, settings)
    retracted = retracted_in(events, deduplication.duplicates, exclude)
    events = without_duplicates(events, deduplication, settings)
    events = with_excluded_profiles(events, deduplication.duplicates, exclude)
    whole = _lifetimes(events, deduplication.classes)
    lifetimes = [lifetime[: sign_in_index(lifetime)] for lifetime in whole]
    excluded_by_lifetime = [excluded_in(lifetime, exclude) for lifetime in lifetimes]
    excluded = set[SessionKey]().union(*excluded_by_lifetime)
    messages = _messages_of_visitor(customer_id, events, deduplication, whole, excluded, settings)
    messages += forget_messages(events, deduplication.classes, deduplication.forgettings_ms, settings.visitors_max)
    shared = [without(lifetime, excluded) for lifetime in lifetimes]
    all_sessions = [
        _after_sign_in(sessions_of(lifetime, settings), complete)
        for lifetime, complete in zip(shared, whole, strict=True)
    ]
    all_opinions = [opinions_in([event for _, event in lifetime], settings.reviews_max) for lifetime in shared]
    open_, closed = all_sessions[-1]
    kept = closed[-settings.closed_sessions_max :]
    present = {session.key: expected_session(session, settings) for session in (*open_, *kept)}
    everything = [
        session for lifetime in shared for sessions in sessions_of(lifetime, settings) for session in sessions
    ]
    _, current = all_opinions[-1]
    reviewed = {product_id: (rating(review), review.occurred_at_ms) for product_id, review in current.items()}
    customer, visitor, alias = None, None, alias_of(whole[-1])
    if alias is not None:
        visitor = ExpectedVisitor(
            alias,
            max(event.occurred_at_ms for _, event in whole[-1]),
            reviewed,
            [session.key for session in kept],
            deduplication.forgotten_at_ms,
            deduplication.seen,
        )
    elif lifetimes[-1]:
        own = [event for _, event in lifetimes[-1]]
        customer = attrs.evolve(
            profile_of(customer_id, own, current, (open_, closed), settings, len(excluded_by_lifetime[-1])),
            minute=newest_minute(lifetimes[-1], exclude),
            forgotten_at_ms=deduplication.forgotten_at_ms,
            seen=deduplication.seen,
        )
    return CustomerHistory(
        with_forwarded(events, deduplication.classes),
        deduplication.forgotten_at_ms,
        customer,
        present,
        {session.key for session in everything} - present.keys(),
        {id_: (rating(review), review.text, review.occurred_at_ms) for id_, review in current.items()},
        [(product_id, rating(review)) for counted, _ in all_opinions for product_id, review in counted],
        last_interactions(everything),
        visitor,
        messages,
        retracted,
        excluded,
    )


def _lifetimes(events: Sequence[KeyedEvent], classes: Sequence[RecordClass]) -> list[list[KeyedEvent]]:
    """Divide the applied events at each forgetting."""
    lifetimes: list[list[KeyedEvent]] = [[]]
    for keyed, class_ in zip(events, classes, strict=True):
        if class_ is RecordClass.APPLIED and keyed[1].kind is EventKind.CUSTOMER_FORGOTTEN:
            lifetimes.append([])
        elif class_ is RecordClass.APPLIED:
            lifetimes[-1].append(keyed)
    return lifetimes


def _moving_session(open_: Sequence[SessionEvents]) -> SessionEvents | None:
    """The open session that a sign-in moves to the customer: the session touched last."""
    return max(open_, key=lambda session: (session.last_ms, session.key), default=None)


def _after_sign_in(sessions: Sessions, lifetime: Sequence[KeyedEvent]) -> Sessions:
    """The visitor's sessions after a sign-in: one session has moved to the customer, the others are closed."""
    if sign_in_index(lifetime) is None:
        return sessions
    open_, closed = sessions
    moving = _moving_session(open_)
    return [], [*closed, *(session for session in open_ if session is not moving)]


def _messages_of_visitor(
    customer_id: CustomerId,
    events: Sequence[KeyedEvent],
    deduplication: Deduplication,
    lifetimes: Sequence[list[KeyedEvent]],
    excluded: set[SessionKey],
    settings: ProfileSettings,
) -> list[ExpectedMessage]:
    """The messages of a visitor: the profile at each sign-in, and the events after it."""
    messages, to = [], None
    number_of_lifetime = 0
    for number, ((key, event), class_) in enumerate(zip(events, deduplication.classes, strict=True)):
        if class_ is not RecordClass.APPLIED:
            continue
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:
            to, number_of_lifetime = None, number_of_lifetime + 1
        elif event.identified_as is not None:
            if event.identified_as != to:
                lifetime = lifetimes[number_of_lifetime]
                before = lifetime[: sign_in_index(lifetime)] if to is None else []
                ids = deduplication.ids_at_sign_in[number] if to is None else frozenset[str]()
                profile, at_ms = _detached_profile(customer_id, before, ids, excluded, settings), message_time_ms(event)
                event_id = message_id(customer_id, event.event_id)
                messages.append(ExpectedMessage(event.identified_as, event_id, profile=profile, signed_in_ms=at_ms))
            to = event.identified_as
        elif to is not None:
            messages.append(ExpectedMessage(to, event.event_id, _forwarded_copy(event, to, key)))
    return messages


def _detached_profile(
    customer_id: CustomerId,
    lifetime: Sequence[KeyedEvent],
    ids: frozenset[str],
    excluded: set[SessionKey],
    settings: ProfileSettings,
) -> VisitorProfile:
    """The part of a visitor's profile that a sign-in moves to the customer."""
    seen = SeenEvents(merged_ids=b"".join(map(bytes.fromhex, sorted(ids))))
    if not lifetime:
        return VisitorProfile(customer_id, seen=seen)
    counted, left_out = without(lifetime, excluded), [keyed for keyed in lifetime if keyed[0] in excluded]
    open_, closed = sessions_of(counted, settings)
    _, opinions = opinions_in([event for _, event in counted], settings.reviews_max)
    known = profile_of(customer_id, [event for _, event in lifetime], {}, (open_, closed), settings, len(left_out))
    moving = _moving_session(open_)
    sessions = [] if moving is None else [Session(**attrs.asdict(expected_session(moving, settings)))]
    return VisitorProfile(
        customer_id,
        counts=known.counts,
        spend=known.spend,
        units=known.units,
        orders_placed=known.orders_placed,
        sessions_begun=known.sessions_begun,
        first_seen_ms=known.first_seen_ms,
        last_seen_ms=known.last_seen_ms,
        country=known.country,
        affinity=known.affinity,
        recent=known.recent,
        purchases=known.purchases,
        shown=known.shown,
        orders={order_id: Order(*order) for order_id, order in known.orders.items()},
        open_sessions=sessions,
        seen=seen,
        contributions=tuple(_contributions(counted, opinions, settings)),
        excluded_contributions=tuple(_contributions(left_out, {}, settings)),
        excluded=known.excluded,
    )


def _forwarded_copy(event: Event, to: CustomerId, key: SessionKey) -> Event:
    """The copy of a visitor's event that is forwarded to the customer."""
    return event._replace(
        customer_id=to, forwarded=log_position(key), occurred_at_ms=message_time_ms(event), properties=NOTHING
    )


def _contributions(
    events: Sequence[KeyedEvent], current: Mapping[ProductId, Event], settings: ProfileSettings
) -> list[Contribution]:
    """What each of the last events added. A review counts only where it is the current opinion of its product."""
    return [
        Contribution(
            bytes.fromhex(digest_of(event.event_id)),
            event.kind,
            event.occurred_at_ms,
            event.product_id,
            event.category,
            event.amount,
            event.quantity,
            event.order_id,
            country_of(event),
            event.rating if _is_current_opinion(event, current) else None,
            event.shown,
        )
        for _, event in events[-settings.contributions_max :]
    ]


def _is_current_opinion(event: Event, current: Mapping[ProductId, Event]) -> bool:
    """Whether the product's ratings count an opinion of the event's time and rating."""
    review = None if event.product_id is None else current.get(event.product_id)
    return review is not None and (rating(review), review.occurred_at_ms) == (event.rating, event.occurred_at_ms)
