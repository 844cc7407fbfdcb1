"""What one customer's events must come to, read off the whole history at once.

Written from the definitions, not from the pipeline: nothing here is folded event by event where an expression over
the history says the same, and nothing calls the code that is checked with it.
"""

from collections.abc import Mapping, Sequence

import attrs

from harness.oracle.judging import ExpectedSeen, Judgement, digest_of, judged
from harness.oracle.naming import message_id
from harness.oracle.profile import ExpectedCustomer, country_of, opinions, profile, rating
from harness.oracle.repeats import counted_once
from harness.oracle.sessions import ExpectedSession, Visit, listed, session_of, visits_of
from harness.oracle.sign_in import (
    ExpectedMessage,
    Placed,
    forgettings_handed,
    forwards_to,
    place_of,
    reclassed,
    sent_ms,
    signed_in_at,
)
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import SeenEvents
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.streams.effects import RecordClass


@attrs.frozen
class Stub:
    """What is left of a visitor who has signed in: whom they forward to, and what is to be erased one day."""

    to: CustomerId
    last_seen_ms: int
    reviewed: dict[ProductId, tuple[int, int]]
    closed_sessions: list[SessionKey]
    forgotten_at_ms: int
    seen: ExpectedSeen


@attrs.frozen
class History:
    """All that one customer's events come to.

    `classes` go with the events as given. `customer` is None when nothing is known (any more); `ratings` has a
    (product, rating) for each opinion that counts, those of forgotten times included; `listed` says when a session last
    looked at a product. `duplicates` are the events of merged profiles that the customer had counted.
    """

    classes: list[RecordClass]
    forgotten_at_ms: int
    customer: ExpectedCustomer | None
    sessions: dict[SessionKey, ExpectedSession]
    sessions_gone: set[SessionKey]
    reviews: dict[ProductId, tuple[int, str, int]]
    ratings: list[tuple[ProductId, int]]
    listed: dict[tuple[ProductId, SessionKey], int]
    stub: Stub | None = None
    handed: list[ExpectedMessage] = attrs.Factory(list)
    repeats: list[Contribution] = attrs.Factory(list)


def history_of(customer_id: CustomerId, placed: Sequence[Placed], settings: ProfileSettings) -> History:
    """Work out a customer's history from all their events, in log order."""
    judgement = judged(placed, settings)
    placed = counted_once(placed, judgement.repeats, settings)
    lives = _lives(placed, judgement.classes)
    handed = _handed(customer_id, placed, judgement, lives, settings)
    handed += forgettings_handed(placed, judgement.classes, judgement.forgettings_ms, settings.visitors_max)
    to = forwards_to(lives[-1])
    whole, lives = lives, [life[: signed_in_at(life)] for life in lives]
    begun = [_left_behind(visits_of(life, settings), one) for life, one in zip(lives, whole, strict=True)]
    said = [opinions([event for _, event in life], settings.reviews_max) for life in lives]
    open_, closed = begun[-1]
    kept = closed[-settings.closed_sessions_max :]
    present = {visit.key: session_of(visit, settings) for visit in (*open_, *kept)}
    everything = [visit for life in lives for visits in visits_of(life, settings) for visit in visits]
    _, standing = said[-1]
    customer = None
    if lives[-1] and to is None:
        customer = profile(customer_id, [event for _, event in lives[-1]], standing, (open_, closed), settings)
        customer = attrs.evolve(
            customer,
            forgotten_at_ms=judgement.forgotten_at_ms,
            seen=judgement.seen,
        )
    stub = None
    if to is not None:
        stub = Stub(
            to,
            max(event.occurred_at_ms for _, event in whole[-1]),
            {product_id: (rating(best), best.occurred_at_ms) for product_id, best in standing.items()},
            [visit.key for visit in kept],
            judgement.forgotten_at_ms,
            judgement.seen,
        )
    return History(
        reclassed(placed, judgement.classes),
        judgement.forgotten_at_ms,
        customer,
        present,
        {visit.key for visit in everything} - present.keys(),
        {product_id: (rating(best), best.text, best.occurred_at_ms) for product_id, best in standing.items()},
        [(product_id, rating(best)) for counted, _ in said for product_id, best in counted],
        listed(everything),
        stub,
        handed,
        [one for again in judgement.repeats.values() for one in again],
    )


def _left_behind(visits: tuple[list[Visit], list[Visit]], life: Sequence[Placed]) -> tuple[list[Visit], list[Visit]]:
    """Of a visitor who signed in, the open session touched last goes along, and the others are closed."""
    open_, closed = visits
    if signed_in_at(life) is None:
        return visits
    moving = max(open_, key=lambda visit: (visit.last_ms, visit.key), default=None)
    return [], [*closed, *(visit for visit in open_ if visit is not moving)]


def _handed(
    customer_id: CustomerId,
    placed: Sequence[Placed],
    judgement: Judgement,
    lives: Sequence[list[Placed]],
    settings: ProfileSettings,
) -> list[ExpectedMessage]:
    """What a visitor's events have to say to others."""
    found, to = [], None
    life = 0
    for number, ((key, event), class_) in enumerate(zip(placed, judgement.classes, strict=True)):
        if class_ is not RecordClass.APPLIED:
            continue
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:
            to, life = None, life + 1
        elif event.identified_as is not None:
            if event.identified_as != to:
                before = lives[life][: signed_in_at(lives[life])] if to is None else []
                ids = judgement.known_at[number] if to is None else frozenset[str]()
                history, at_ms = _history(customer_id, before, ids, settings), sent_ms(event)
                event_id = message_id(customer_id, event.event_id)
                found.append(ExpectedMessage(event.identified_as, event_id, history=history, signed_in_ms=at_ms))
            to = event.identified_as
        elif to is not None:
            found.append(ExpectedMessage(to, event.event_id, _copy(event, to, key)))
    return found


def _history(
    customer_id: CustomerId, life: Sequence[Placed], ids: frozenset[str], settings: ProfileSettings
) -> VisitorProfile:
    """What a visitor who signs in has done: as a profile of them would be, without what stays behind."""
    seen = SeenEvents(merged_ids=b"".join(map(bytes.fromhex, sorted(ids))))
    if not life:
        return VisitorProfile(customer_id, seen=seen)
    open_, closed = visits_of(life, settings)
    known = profile(customer_id, [event for _, event in life], {}, (open_, closed), settings)
    moving = max(open_, key=lambda visit: (visit.last_ms, visit.key), default=None)
    sessions = [] if moving is None else [Session(**attrs.asdict(session_of(moving, settings)))]
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
        orders={order_id: Order(*said) for order_id, said in known.orders.items()},
        open_sessions=sessions,
        seen=seen,
        contributions=tuple(_contributions([event for _, event in life], settings)),
    )


def _copy(event: Event, to: CustomerId, key: SessionKey) -> Event:
    """The copy of a visitor's event that goes to the customer."""
    return event._replace(customer_id=to, forwarded=place_of(key), occurred_at_ms=sent_ms(event), properties=NOTHING)


def _contributions(events: Sequence[Event], settings: ProfileSettings) -> list[Contribution]:
    """What each of the last events added. Of reviews, those count that stand as an opinion."""
    _, standing = opinions(events, settings.reviews_max)
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
            event.rating if _stands(event, standing) else None,
            event.shown,
        )
        for event in events[-settings.contributions_max :]
    ]


def _stands(event: Event, standing: Mapping[ProductId, Event]) -> bool:
    """Whether the product's ratings count an opinion of this time and rating."""
    best = None if event.product_id is None else standing.get(event.product_id)
    return best is not None and (rating(best), best.occurred_at_ms) == (event.rating, event.occurred_at_ms)


def _lives(placed: Sequence[Placed], classes: Sequence[RecordClass]) -> list[list[Placed]]:
    """Part the applied events at each forgetting."""
    lives: list[list[Placed]] = [[]]
    for one, class_ in zip(placed, classes, strict=True):
        if class_ is RecordClass.APPLIED and one[1].kind is EventKind.CUSTOMER_FORGOTTEN:
            lives.append([])
        elif class_ is RecordClass.APPLIED:
            lives[-1].append(one)
    return lives
