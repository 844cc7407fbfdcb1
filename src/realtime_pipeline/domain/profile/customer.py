"""The customer: an ordered fold of their own events, and nothing else ever changes one."""

from typing import Final, Self

import attrs

from realtime_pipeline.domain.profile.changes import APPLIED, REFUSED, Changes, Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import BEFORE_ALL_TIME, SeenEvents, Verdict, digest_of
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import PURCHASED, ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import Unknown
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite, last_write_wins
from realtime_pipeline.domain.shop.money import bounded
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.shop.review import Review

UNCARTED: Final = EventKind.PRODUCT_UNCARTED
CANCELLED: Final = EventKind.PURCHASE_CANCELLED
REVIEWED: Final = EventKind.PRODUCT_REVIEWED
SHOWN: Final = EventKind.RECOMMENDATIONS_SHOWN
SIGNED_IN: Final = EventKind.CUSTOMER_SIGNED_IN
FORGOTTEN: Final = EventKind.CUSTOMER_FORGOTTEN
_BESIDE_SESSIONS: Final = (REVIEWED, CANCELLED, SHOWN)


@attrs.define
class Customer:
    """What the shop knows of one customer.

    `affinity` maps a category to (score, the time in ms at which the score holds); `recent` a product to when it was
    last touched, `purchases` to (units bought less units refunded, when either came last), `shown` to (how often it was
    recommended to them, when last); `orders` and `reviewed` keep the ones whose first record arrived last, for telling
    lines of a known order and second opinions from new ones: what has left them counts as new when it comes again.
    `country` is where they were last, and when. A category or product that is crowded out and comes back begins at 0.
    Sums are integers; amounts are in ten-thousandths.

    `seen` tells events that come again. `visitors` maps who signed in as this customer to the id of that merge. A
    visitor who has signed in `forwards_to` the customer, and holds nothing else. `contributions` are a visitor's newest
    events one by one. What a newer release noted is kept beside, `unknown`.
    """

    customer_id: CustomerId
    counts: dict[EventKind, int] = attrs.Factory(dict)
    spend: int = 0
    units: int = 0
    orders_placed: int = 0
    sessions_begun: int = 0
    first_seen_ms: int | None = None
    last_seen_ms: int | None = None
    country: LastWrite | None = None
    affinity: dict[str, tuple[float, int]] = attrs.Factory(dict)
    recent: dict[ProductId, int] = attrs.Factory(dict)
    purchases: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    shown: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    orders: dict[str, Order] = attrs.Factory(dict)
    reviewed: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    open_sessions: list[Session] = attrs.Factory(list)
    closed_sessions: list[SessionKey] = attrs.Factory(list)
    seen: SeenEvents = attrs.Factory(SeenEvents)
    forgotten_at_ms: int = BEFORE_ALL_TIME
    forwards_to: CustomerId | None = None
    visitors: dict[CustomerId, str] = attrs.Factory(dict)
    contributions: tuple[Contribution, ...] = ()
    _unknown: Unknown | None = None

    @property
    def unknown(self) -> Unknown | None:
        """What a newer release noted, which stays as it is; None where there is nothing of it."""
        return self._unknown

    def carry(self, unknown: Unknown | None) -> None:
        """Keep what a newer release noted."""
        self._unknown = unknown

    @property
    def bought(self) -> dict[ProductId, int]:
        """The products of which the customer keeps some, with when they were last bought or refunded in ms."""
        return {product_id: last_ms for product_id, (units, last_ms) in self.purchases.items() if units > 0}

    @property
    def is_blank(self) -> bool:
        """Nothing is known but, perhaps, that the customer was forgotten."""
        return self.first_seen_ms is None and self.forwards_to is None

    @property
    def current_session(self) -> Session | None:
        """The open session touched last (ties: the one that began later)."""
        return max(self.open_sessions, key=lambda session: (session.last_at_ms, session.key), default=None)

    def favourite_categories(self, half_life_ms: int) -> list[tuple[str, float]]:
        """Categories with their affinity as of the newest one, the dearest first (ties: by name)."""
        decayed = [(-score, name) for score, name in self._affinities(half_life_ms)]
        return [(name, -score) for score, name in sorted(decayed)]

    def recent_products(self, limit: int) -> list[ProductId]:
        """The products touched last, the latest first (ties: the larger id)."""
        return sorted(self.recent, key=lambda product: (self.recent[product], product), reverse=True)[:limit]

    def record(self, event: Event, begins: SessionKey, settings: ProfileSettings, changes: Changes) -> Recorded:
        """Fold one event in, in the order of the log.

        `begins` names the session that the event begins, should it begin one.
        """
        at_ms, kind = event.occurred_at_ms, event.kind
        verdict = Verdict.FORGOTTEN if at_ms <= self.forgotten_at_ms else self.seen.admit(event, settings)
        if verdict is not Verdict.APPLIED:
            return REFUSED[verdict]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.first_seen_ms is None or self.last_seen_ms is None:
            self.first_seen_ms = self.last_seen_ms = at_ms
        elif at_ms > self.last_seen_ms:
            self.last_seen_ms = at_ms
        elif at_ms < self.first_seen_ms:
            self.first_seen_ms = at_ms
        if event.context and event.country is not None:
            self.country = last_write_wins(self.country, (event.country, at_ms))
        if self.customer_id.startswith(ANONYMOUS):
            self._record_contribution(event, settings)
        if kind in _BESIDE_SESSIONS:
            return self._record_outside_session(event, settings, changes)
        if kind is PURCHASED:
            self._record_purchase(event, settings)
        return self._record_in_session(event, begins, settings, changes)

    def admit(self, event: Event, settings: ProfileSettings) -> Verdict:
        """Judge an event by its id and time, and remember it when it is its first delivery."""
        if event.occurred_at_ms <= self.forgotten_at_ms:
            return Verdict.FORGOTTEN
        return self.seen.admit(event, settings)

    def _record_contribution(self, event: Event, settings: ProfileSettings) -> None:
        one = Contribution(
            digest_of(event.event_id),
            event.kind,
            event.occurred_at_ms,
            event.product_id,
            event.category,
            event.amount,
            event.quantity,
            event.order_id,
            event.country,
            event.rating,
            event.shown,
        )
        self.contributions = (*self.contributions, one)[-settings.contributions_max :]

    def _record_outside_session(self, event: Event, settings: ProfileSettings, changes: Changes) -> Recorded:
        if event.kind is REVIEWED:
            return self._record_review(event, settings, changes)
        return (
            self._record_refund(event, settings) if event.kind is CANCELLED else self._record_exposure(event, settings)
        )

    def _record_in_session(
        self, event: Event, begins: SessionKey, settings: ProfileSettings, changes: Changes
    ) -> Recorded:
        """Place a view, a cart change or a purchase in its session, and note the interest it shows."""
        at_ms, product_id, weight = event.occurred_at_ms, event.product_id, settings.interest_weight(event.kind)
        session = self._session_of(event, begins, settings, changes)
        session.touch(at_ms)
        changes.sessions[session.key] = session
        if weight:
            if product_id is not None:
                session.add(product_id, at_ms, weight, settings.session_products_max)
                keep_latest(self.recent, product_id, at_ms, settings.recent_products_max)
            if event.category is not None:
                self.add_affinity(event.category, at_ms, weight, settings)
        elif product_id is not None:
            session.retract(product_id)
        return Recorded(Verdict.APPLIED, session.key)

    def _session_of(self, event: Event, begins: SessionKey, settings: ProfileSettings, changes: Changes) -> Session:
        """Find the open session that takes the event, the one touched last first; else begin one.

        When another begins, those not touched for longer than the gap close for good, but for the `idle_sessions_max`
        touched last; and where `open_sessions_max` are open, the one touched longest ago. A late event of a closed
        session's id begins another. A closed session stays a neighbour for others until the customer has had
        `closed_sessions_max` more; then it is dropped.
        """
        at_ms = event.occurred_at_ms
        taker: Session | None = None
        for session in self.open_sessions:
            if session.belongs(event.session_id, at_ms, settings.session_gap_ms) and (
                taker is None or (session.last_at_ms, session.key) > (taker.last_at_ms, taker.key)
            ):
                taker = session
        if taker is not None:
            return taker
        session = Session(begins, event.session_id, at_ms, at_ms)
        self.sessions_begun += 1
        self.open_session(session, settings, changes)
        return session

    def open_session(self, session: Session, settings: ProfileSettings, changes: Changes) -> None:
        """Add an open session, closing idle ones, and the one touched longest ago where there are too many."""
        if not self.open_sessions:
            self.open_sessions.append(session)
            return
        gap_ms, at_ms = settings.session_gap_ms, session.last_at_ms
        idle = [one for one in self.open_sessions if at_ms - one.last_at_ms > gap_ms]
        if len(idle) > settings.idle_sessions_max:
            idle.sort(key=_by_touch)
            for one in idle[: len(idle) - settings.idle_sessions_max]:
                self.close_session(one, settings, changes)
        elif len(self.open_sessions) >= settings.open_sessions_max:
            self.close_session(min(self.open_sessions, key=_by_touch), settings, changes)
        self.open_sessions.append(session)

    def close_session(self, session: Session, settings: ProfileSettings, changes: Changes) -> None:
        """Close a session for good; over `closed_sessions_max` the first that closed is dropped."""
        self.open_sessions.remove(session)
        self.closed_sessions.append(session.key)
        if len(self.closed_sessions) > settings.closed_sessions_max:
            self.drop_session(self.closed_sessions.pop(0), changes)

    def add_affinity(self, category: str, at_ms: int, weight: float, settings: ProfileSettings) -> None:
        """Add a weight that halves every half-life.

        The score stands at the newest time it has: score(t) = Σ w·2^(−(t − tᵢ)/h). A late event is decayed to that
        time before it is added. Over `categories_max` the weakest category leaves (ties: the first by name).
        """
        score, scored_at_ms = self.affinity.get(category, (0.0, at_ms))
        if at_ms >= scored_at_ms:
            new = (decay(score, at_ms - scored_at_ms, settings.affinity_half_life_ms) + weight, at_ms)
        else:
            new = (score + decay(weight, scored_at_ms - at_ms, settings.affinity_half_life_ms), scored_at_ms)
        self.affinity[category] = new
        if len(self.affinity) > settings.categories_max:
            del self.affinity[min(self._affinities(settings.affinity_half_life_ms))[1]]

    def _affinities(self, half_life_ms: int) -> list[tuple[float, str]]:
        """Categories with their affinity as of the newest one."""
        newest_ms = max([at_ms for _, at_ms in self.affinity.values()], default=0)
        return [(decay(score, newest_ms - at_ms, half_life_ms), name) for name, (score, at_ms) in self.affinity.items()]

    def _record_purchase(self, event: Event, settings: ProfileSettings) -> None:
        self.spend = bounded(self.spend + event.amount)
        self.units += event.quantity
        if event.product_id is not None:
            self.add_units(event.product_id, event.quantity, event.occurred_at_ms, settings)
        if event.order_id is None:
            self.orders_placed += 1
            return
        order = self._order(event.order_id, settings)
        if order.placed_at_ms is None:
            self.orders_placed += 1
            order.placed_at_ms = event.occurred_at_ms
        order.placed_at_ms = min(order.placed_at_ms, event.occurred_at_ms)
        order.units += event.quantity
        order.amount = bounded(order.amount + event.amount)

    def _record_refund(self, event: Event, settings: ProfileSettings) -> Recorded:
        """Take back what was bought, in units and money; it may come before its purchase."""
        self.spend = bounded(self.spend - event.amount)
        self.units -= event.quantity
        if event.product_id is not None:
            self.add_units(event.product_id, -event.quantity, event.occurred_at_ms, settings)
        if event.order_id is not None:
            order = self._order(event.order_id, settings)
            order.units -= event.quantity
            order.amount = bounded(order.amount - event.amount)
        return APPLIED

    def _order(self, order_id: str, settings: ProfileSettings) -> Order:
        """The order of an id, begun where it is not known; over `orders_max` the one that came first leaves."""
        order = self.orders.get(order_id)
        if order is None:
            order = self.orders[order_id] = Order()
            if len(self.orders) > settings.orders_max:
                del self.orders[next(iter(self.orders))]
        return order

    def add_units(self, product_id: ProductId, units: int, at_ms: int, settings: ProfileSettings) -> None:
        """Add units of a product bought (or, less than 0, refunded); over the limit the one bought or refunded longest
        ago leaves (ties: smaller id)."""
        purchases = self.purchases
        before, before_ms = purchases.get(product_id, (0, at_ms))
        purchases[product_id] = (bounded(before + units), max(before_ms, at_ms))
        if len(purchases) > settings.bought_products_max:
            del purchases[min(purchases, key=lambda one: (purchases[one][1], one))]

    def _record_review(self, event: Event, settings: ProfileSettings, changes: Changes) -> Recorded:
        if event.product_id is None or event.rating is None:
            return APPLIED
        known = self.reviewed.get(event.product_id)
        if known is not None and (event.occurred_at_ms, event.rating) < (known[1], known[0]):
            return APPLIED
        self.reviewed[event.product_id] = (event.rating, event.occurred_at_ms)
        changes.reviews[self.customer_id, event.product_id] = Review(
            self.customer_id, event.product_id, event.rating, event.text, event.occurred_at_ms
        )
        if len(self.reviewed) > settings.reviews_max:
            earliest = next(iter(self.reviewed))
            del self.reviewed[earliest]
            changes.reviews[self.customer_id, earliest] = None
        if known is not None:
            return Recorded(Verdict.APPLIED, rating_sum=event.rating - known[0])
        return Recorded(Verdict.APPLIED, ratings=1, rating_sum=event.rating)

    def _record_exposure(self, event: Event, settings: ProfileSettings) -> Recorded:
        for product_id in event.shown:
            self.add_exposures(product_id, 1, event.occurred_at_ms, settings)
        return APPLIED

    def add_exposures(self, product_id: ProductId, times: int, last_ms: int, settings: ProfileSettings) -> None:
        """Note that a product was shown; over the limit, the one not shown for longest leaves (ties: smaller id)."""
        shown = self.shown
        before, before_ms = shown.get(product_id, (0, 0))
        shown[product_id] = (bounded(before + times), max(before_ms, last_ms))
        if len(shown) > settings.shown_products_max:
            del shown[min(shown, key=lambda one: (shown[one][1], one))]

    def forget(self, at_ms: int, latest_ms: int, changes: Changes) -> None:
        """Keep nothing but the fact, which refuses later records of the time before.

        That time reaches to the newest event erased, so that no replay can bring any of them back; but not beyond
        `latest_ms`, the latest time that an event may have by now: an event of a clock that was years ahead must not
        have everything refused that the customer does until then.
        """
        if self.last_seen_ms is not None:
            at_ms = max(at_ms, min(self.last_seen_ms, latest_ms))
        for session in self.open_sessions:
            self.drop_session(session.key, changes)
        for key in self.closed_sessions:
            self.drop_session(key, changes)
        for product_id in self.reviewed:
            changes.reviews[self.customer_id, product_id] = None
        changes.tombstones[self.customer_id] = at_ms
        changes.visitors_forgotten.update(dict.fromkeys(self.visitors, at_ms))
        blank = type(self).forgotten(self.customer_id, at_ms)
        for field in attrs.fields(type(self)):
            setattr(self, field.name, getattr(blank, field.name))

    @classmethod
    def forgotten(cls, customer_id: CustomerId, at_ms: int) -> Self:
        """A customer of whom nothing is known but when they were forgotten."""
        return cls(customer_id, forgotten_at_ms=at_ms)

    @staticmethod
    def drop_session(key: SessionKey, changes: Changes) -> None:
        """Let go of a session, which is nobody's neighbour any more."""
        changes.sessions.pop(key, None)
        changes.sessions_dropped.add(key)


def _by_touch(session: Session) -> tuple[int, SessionKey]:
    return session.last_at_ms, session.key


def keep_latest(times: dict[ProductId, int], product_id: ProductId, at_ms: int, most: int) -> None:
    """Note when something was done with a product last; over `most` the one of longest ago leaves.

    Of those of one time, the one with the smaller id.
    """
    known_ms = times.get(product_id)
    if known_ms is None or at_ms > known_ms:
        times[product_id] = at_ms
    if len(times) > most:
        first_ms = min(times.values())
        del times[min([product for product, at_ms in times.items() if at_ms == first_ms])]


def decay(score: float, elapsed_ms: int, half_life_ms: int) -> float:
    """Halve a score every half-life."""
    return float(score * 2.0 ** (-elapsed_ms / half_life_ms))
