"""What one customer's events must come to, read off the whole history at once.

Written from the definitions, not from the pipeline: nothing here is folded event by event where an expression over
the history says the same, and nothing calls the code that is checked with it.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import attrs

from harness.oracle.naming import message_id
from harness.oracle.profile import NEVER_MS, ExpectedCustomer, opinions, profile, rating
from harness.oracle.sessions import ExpectedSession, Visit, listed, session_of, visits_of
from harness.oracle.sign_in import (
    Handed,
    Placed,
    forgettings_handed,
    forwards_to,
    latest_ms,
    place_of,
    reclassed,
    signed_in_at,
)
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.shop.profile_rules import ProfileRules
from realtime_pipeline.domain.shop.session import Session, SessionKey
from realtime_pipeline.domain.streams.effects import RecordClass


@attrs.frozen
class Judgement:
    """What becomes of each event, up to when ids are no longer known and all is forgotten, each time, and which ids are
    known."""

    classes: list[RecordClass]
    floor_ms: int
    forgettings_ms: list[int]
    remembered: frozenset[tuple[int, str]]

    @property
    def forgotten_at_ms(self) -> int:
        """Up to when all is forgotten."""
        return self.forgettings_ms[-1] if self.forgettings_ms else NEVER_MS


@attrs.frozen
class Stub:
    """What is left of a visitor who has signed in: whom they forward to, and what is to be erased one day."""

    to: CustomerId
    last_seen_ms: int
    reviewed: dict[ProductId, tuple[int, int]]
    closed_sessions: list[SessionKey]
    memory_floor_ms: int
    forgotten_at_ms: int
    remembered: frozenset[tuple[int, str]]


@attrs.frozen
class History:
    """All that one customer's events come to.

    `classes` go with the events as given. `customer` is None when nothing is known (any more);
    `ratings` has a (product, rating) for each opinion that counts, those of forgotten times included; `listed` says
    when a session last looked at a product.
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
    handed: list[Handed] = attrs.Factory(list)


def history_of(customer_id: CustomerId, placed: Sequence[Placed], rules: ProfileRules) -> History:
    """Work out a customer's history from all their events, in log order."""
    judgement = judged([event for _, event in placed], rules)
    lives = _lives(placed, judgement.classes)
    handed = _handed(customer_id, placed, judgement.classes, lives, rules)
    handed += forgettings_handed(placed, judgement.classes, judgement.forgettings_ms, rules.visitors_max)
    to = forwards_to(lives[-1])
    whole, lives = lives, [life[: signed_in_at(life)] for life in lives]
    begun = [_left_behind(visits_of(life, rules), one) for life, one in zip(lives, whole, strict=True)]
    said = [opinions([event for _, event in life], rules.reviews_max) for life in lives]
    open_, closed = begun[-1]
    kept = closed[-rules.closed_sessions_max :]
    present = {visit.key: session_of(visit, rules) for visit in (*open_, *kept)}
    everything = [visit for life in lives for visits in visits_of(life, rules) for visit in visits]
    _, standing = said[-1]
    customer = None
    if lives[-1] and to is None:
        customer = profile(customer_id, [event for _, event in lives[-1]], standing, (open_, closed), rules)
        customer = attrs.evolve(
            customer,
            memory_floor_ms=judgement.floor_ms,
            forgotten_at_ms=judgement.forgotten_at_ms,
            remembered=judgement.remembered,
        )
    stub = None
    if to is not None:
        stub = Stub(
            to,
            max(event.occurred_at_ms for _, event in whole[-1]),
            {product_id: (rating(best), best.occurred_at_ms) for product_id, best in standing.items()},
            [visit.key for visit in kept],
            judgement.floor_ms,
            judgement.forgotten_at_ms,
            judgement.remembered,
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
    classes: Sequence[RecordClass],
    lives: Sequence[list[Placed]],
    rules: ProfileRules,
) -> list[Handed]:
    """What a visitor's events have to say to others."""
    found, to = [], None
    life = 0
    for (key, event), class_ in zip(placed, classes, strict=True):
        if class_ is not RecordClass.APPLIED:
            continue
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:
            to, life = None, life + 1
        elif event.becomes is not None:
            if event.becomes != to:
                before = lives[life][: signed_in_at(lives[life])] if to is None else []
                history, at_ms = _history(customer_id, before, rules), event.occurred_at_ms
                event_id = message_id(customer_id, event.event_id)
                found.append(Handed(event.becomes, event_id, history=history, signed_in_ms=at_ms))
            to = event.becomes
        elif to is not None:
            found.append(Handed(to, event.event_id, event._replace(customer_id=to, forwarded=place_of(key))))
    return found


def _history(customer_id: CustomerId, life: Sequence[Placed], rules: ProfileRules) -> Customer:
    """What a visitor who signs in has done: as a profile of them would be, without what stays behind."""
    if not life:
        return Customer(customer_id)
    open_, closed = visits_of(life, rules)
    known = profile(customer_id, [event for _, event in life], {}, (open_, closed), rules)
    moving = max(open_, key=lambda visit: (visit.last_ms, visit.key), default=None)
    sessions = [] if moving is None else [Session(**attrs.asdict(session_of(moving, rules)))]
    return Customer(
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
        bought=known.bought,
        shown=known.shown,
        orders={order_id: Order(*said) for order_id, said in known.orders.items()},
        open_sessions=sessions,
    )


def judged(events: Iterable[Event], rules: ProfileRules) -> Judgement:
    """Say of each event what becomes of it (a dead letter is one too old), and what is remembered of it all.

    Remembered are the (time, id) of the events applied. Whenever at least twice as many as are to be kept, and a
    multiple of that, are held, the newest are kept: whole instants, but no more than `remembered_instant_max` for
    their sake. A forgetting reaches at least to the newest event it erases.
    """
    classes = []
    held: list[tuple[int, str]] = []
    ids: set[str] = set()
    forgettings_ms: list[int] = []
    floor_ms = forgotten_at_ms = newest_ms = NEVER_MS
    for event in events:
        at_ms = event.occurred_at_ms
        if at_ms <= forgotten_at_ms:
            classes.append(RecordClass.FORGOTTEN)
        elif event.kind is EventKind.CUSTOMER_FORGOTTEN:
            classes.append(RecordClass.APPLIED)
            forgotten_at_ms, floor_ms, newest_ms, held, ids = max(at_ms, newest_ms), NEVER_MS, NEVER_MS, [], set()
            forgettings_ms.append(forgotten_at_ms)
        elif event.event_id in ids:
            classes.append(RecordClass.DUPLICATE)
        elif at_ms <= floor_ms and not event.replayed:
            classes.append(RecordClass.DEAD_LETTER)
        else:
            classes.append(RecordClass.APPLIED)
            newest_ms = max(newest_ms, latest_ms(event))
            held.append((at_ms, event.event_id))
            ids.add(event.event_id)
            if len(held) >= 2 * rules.remembered_events and len(held) % rules.remembered_events == 0:
                held, let_go = _cut(held, rules.remembered_events, rules.remembered_instant_max)
                ids = {event_id for _, event_id in held}
                floor_ms = max([floor_ms, *(time for time, _ in let_go)])
    return Judgement(
        classes, floor_ms, forgettings_ms, frozenset((at_ms, _digest(event_id).hex()) for at_ms, event_id in held)
    )


def _cut(
    held: list[tuple[int, str]], keep: int, instant_max: int
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Part what is held into the newest and the rest. Within an instant, the id's digest decides."""
    newest_first = sorted(held, key=lambda entry: (entry[0], _digest(entry[1])), reverse=True)
    instants_whole = sum(time >= newest_first[keep - 1][0] for time, _ in held)
    kept = max(keep, min(instant_max, instants_whole))
    return newest_first[:kept], newest_first[kept:]


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=8).digest()


def _lives(placed: Sequence[Placed], classes: Sequence[RecordClass]) -> list[list[Placed]]:
    """Part the applied events at each forgetting."""
    lives: list[list[Placed]] = [[]]
    for one, class_ in zip(placed, classes, strict=True):
        if class_ is RecordClass.APPLIED and one[1].kind is EventKind.CUSTOMER_FORGOTTEN:
            lives.append([])
        elif class_ is RecordClass.APPLIED:
            lives[-1].append(one)
    return lives
