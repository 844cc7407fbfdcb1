"""A simulated shop: customers with favourite themes, and the stream of their events.

Everything is a function of the seed. The clean events are the same whatever the share of dirt. Dirt repeats some
events, delays others, and adds events of unknown types and malformed events.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final

import attrs

from harness.simulation.assortment import StockedProduct, Theme, assortment, group_by_theme, zipf
from realtime_pipeline.domain.shop.product import Product

Json = dict[str, object]
Timed = tuple[int, Json]
"""The time of an event in ms, and the event."""

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

DEVICES: Final = ("phone", "phone", "phone", "desktop", "desktop", "tablet")
COUNTRIES: Final = ("DE", "DE", "DE", "AT", "CH", "NL", "FR", "GB", "DK", "PL")
QUANTITIES: Final = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
UNKNOWN_TYPES: Final = ("wishlist_added", "page_scrolled", "coupon_tried", "newsletter_opened")

VERDICTS: Final[dict[int, tuple[str, ...]]] = {
    1: ("Broke in the first week.", "Went straight back.", "Nothing like the picture.", "A waste of money."),
    2: ("Not what I had hoped for.", "Feels cheaper than it costs.", "Works, but only just.", "Disappointing."),
    3: ("It is all right.", "Does the job, no more.", "Neither good nor bad.", "Decent, with a few flaws."),
    4: ("Very good, small niggles.", "Would buy it again.", "Better than expected.", "Solid and well made."),
    5: ("Could not be happier.", "Simply excellent.", "The best I have owned.", "Perfect from the first day."),
}
REASONS: Final[dict[bool, tuple[str, ...]]] = {
    False: ("The finish is poor.", "The description promised more.", "It came scratched.", "I expected better.", ""),
    True: ("It arrived quickly.", "You notice the quality.", "My sister wants one too.", "Worth every cent.", ""),
}


@attrs.frozen
class Shopper:
    """A customer: their favourite themes with cumulative weights, the favourite first, and their device and country."""

    user_id: str
    themes: Sequence[Theme]
    theme_weights: Sequence[float]
    context: Json


@attrs.define
class Agenda:
    """The scheduled events, in the order of time, up to the end of the simulated span."""

    seed: int
    begins_ms: int
    ends_ms: int
    scheduled: int = 0
    pending: list[tuple[int, int, Json]] = attrs.Factory(list)

    def schedule(self, at_ms: int, event: Json) -> None:
        """Schedule an event, and give it an id."""
        self.scheduled += 1
        heappush(self.pending, (at_ms, self.scheduled, {"event_id": f"e-{self.seed}-{self.scheduled}", **event}))

    def delay_ms(self, mean_ms: int, rng: random.Random) -> int:
        """Draw the delay of a follow-up event in ms; shorter where the span is short, so that it happens within it."""
        mean_ms = min(mean_ms, (self.ends_ms - self.begins_ms) // 6)
        return mean_ms // 10 + int(rng.random() ** 2 * 3 * mean_ms)

    def until(self, at_ms: float) -> Iterator[Timed]:
        """Remove and yield the events before a time."""
        pending = self.pending
        while pending and pending[0][0] < at_ms:
            happens_at_ms, _, event = heappop(pending)
            yield happens_at_ms, event


@attrs.define
class Visit:
    """One session: each action schedules its event and draws the time of the next action."""

    ids: Json
    context: Json
    order_id: str
    at_ms: int
    agenda: Agenda
    rng: random.Random
    cart: dict[StockedProduct, int] = attrs.Factory(dict)

    def view(self, product: StockedProduct) -> None:
        """View a product, and sometimes put it into the cart."""
        self._act("view", dict(product.details))
        if self.rng.random() < 0.2:
            self.cart[product] = self.rng.choice(QUANTITIES)
            self._act("cart", {**product.details, "quantity": self.cart[product]})

    def leave(self) -> None:
        """Remove some products from the cart, and sometimes buy the others."""
        for product in [product for product in self.cart if self.rng.random() < 0.15]:
            self._act("remove_from_cart", {**product.short_details, "quantity": self.cart.pop(product)})
        if self.cart and self.rng.random() < 0.55:
            for product, quantity in self.cart.items():
                line = {**product.details, "quantity": quantity, "order_id": self.order_id}
                self.agenda.schedule(self.at_ms, self._event("purchase", self.at_ms, self.ids, line))
                self._follow_up(product, quantity)

    def _follow_up(self, product: StockedProduct, quantity: int) -> None:
        """Cancel some lines of the order and review others, hours or days later."""
        fate = self.rng.random()
        if fate < 0.08:
            refund = {**product.short_details, "quantity": quantity, "order_id": self.order_id}
            self._act_later(DAY_MS, "cancellation", refund)
        elif fate < 0.4 and "user_id" in self.ids:
            self._act_later(2 * DAY_MS, "review", _review(product, self.order_id, self.rng))

    def _act(self, event_type: str, properties: Json) -> None:
        self.agenda.schedule(self.at_ms, self._event(event_type, self.at_ms, self.ids, properties))
        self.at_ms += 1_500 + int(self.rng.expovariate(1 / 40_000))

    def _act_later(self, mean_ms: int, event_type: str, properties: Json) -> None:
        """Schedule a follow-up event. It has no session id, unless the visitor has no user id."""
        at_ms = self.at_ms + self.agenda.delay_ms(mean_ms, self.rng)
        if at_ms < self.agenda.ends_ms:
            ids = {"user_id": self.ids["user_id"]} if "user_id" in self.ids else self.ids
            self.agenda.schedule(at_ms, self._event(event_type, at_ms, ids, properties))

    def _event(self, event_type: str, at_ms: int, ids: Json, properties: Json) -> Json:
        return {
            "event_type": event_type,
            **ids,
            "timestamp": at_ms,
            "properties": properties,
            "context": self.context,
        }


class Shop:
    """A shop whose customers keep their favourite themes.

    `customer-0001` is the most active customer. Sessions begin between `start_ms` and `end_ms`; there are no follow-up
    events after `end_ms`. `dirt` is the share of events that are repeated, delayed or followed by a bad event.
    """

    def __init__(
        self,
        seed: int,
        products: list[Product] | int,
        customers: int,
        start_ms: int,
        *,
        span_ms: int = 7 * DAY_MS,
        dirt: float = 0.01,
    ) -> None:
        self.seed, self.start_ms, self.end_ms, self.dirt = seed, start_ms, start_ms + span_ms, dirt
        self.products = assortment(products, seed) if isinstance(products, int) else list(products)
        rng = random.Random(f"{seed}:shop")
        self.qualities = {product.product_id: min(4.9, max(1.5, rng.gauss(3.8, 0.8))) for product in self.products}
        self._themes = group_by_theme(self.products, self.qualities, rng)
        self._shoppers = [_shopper(number, self._themes, rng) for number in range(1, customers + 1)]

    def events(self, sessions: int) -> Iterator[Json]:
        """Simulate sessions, and yield their events in the order of delivery; the same events on every call."""
        return with_dirt(self._clean_events(sessions), random.Random(f"{self.seed}:dirt"), self.dirt)

    def _clean_events(self, sessions: int) -> Iterator[Timed]:
        agenda, rng = Agenda(self.seed, self.start_ms, self.end_ms), random.Random(f"{self.seed}:sessions")
        for number, begins_at_ms in enumerate(_session_starts(sessions, self.start_ms, self.end_ms, rng), 1):
            yield from agenda.until(begins_at_ms)
            # The square of a uniform number: the first tenth of the customers begins a third of the sessions.
            shopper = self._shoppers[int(len(self._shoppers) * rng.random() ** 2)]
            ids: Json = {"session_id": f"s-{self.seed}-{number}"}
            if rng.random() >= 0.15:
                ids = {"user_id": shopper.user_id, **ids}
            visit = Visit(ids, dict(shopper.context), f"o-{self.seed}-{number}", begins_at_ms, agenda, rng)
            for product in _walk(shopper, rng):
                visit.view(product)
            visit.leave()
        yield from agenda.until(math.inf)


def with_dirt(events: Iterable[Timed], rng: random.Random, dirt: float) -> Iterator[Json]:
    """Repeat or delay a share of the events, or add bad events after them, as the senders of a real shop do."""
    delayed: list[tuple[float, int, Json]] = []
    for number, (at_ms, event) in enumerate(events):
        while delayed and delayed[0][0] <= at_ms:
            yield heappop(delayed)[2]
        if rng.random() >= dirt:
            yield event
            continue
        kind_of_dirt = rng.random()
        if kind_of_dirt < 0.35:
            # Ten seconds to about five hours, log-uniformly.
            heappush(delayed, (at_ms + 10 ** rng.uniform(4, 7.3), number, event))
            continue
        yield event
        if kind_of_dirt < 0.7:
            heappush(delayed, (at_ms + rng.uniform(SECOND_MS, 2 * MINUTE_MS), number, dict(event)))
        elif kind_of_dirt < 0.87:
            yield {**event, "event_id": f"{event['event_id']}-u", "event_type": rng.choice(UNKNOWN_TYPES)}
        else:
            yield _malformed(event, rng)
    while delayed:
        yield heappop(delayed)[2]


def _malformed(event: Json, rng: random.Random) -> Json:
    """Copy an event, with an invalid or missing field."""
    broken = {**event, "event_id": f"{event['event_id']}-m"}
    properties = event["properties"]
    product = {"product_id": properties["product_id"]} if isinstance(properties, dict) else {}
    mistake = rng.randrange(5)
    if mistake == 0:
        broken |= {"event_type": "review", "properties": {**product, "rating": 9, "text": "Off the scale."}}
    elif mistake == 1:
        del broken["timestamp"]
    elif mistake == 2:
        broken["timestamp"] = "yesterday"
    elif mistake == 3:
        broken |= {"event_type": "purchase", "properties": {**product, "quantity": -3, "price": 10.0}}
    else:
        del broken["event_type"]
    return broken


def _session_starts(sessions: int, start_ms: int, end_ms: int, rng: random.Random) -> Iterator[int]:
    """Draw the start times of sessions, in order. Each day has few sessions at its ends and many in its middle."""
    span_ms = end_ms - start_ms
    day_ms = span_ms / max(1, round(span_ms / DAY_MS))
    drawn = 0.0
    for remaining in range(sessions, 0, -1):
        # The smallest of n uniform numbers in the rest of the span: sorted numbers without keeping all of them.
        drawn += (1 - drawn) * (1 - rng.random() ** (1 / remaining))
        at_ms = drawn * span_ms
        rhythm_ms = 0.6 * day_ms / math.tau * math.sin(math.tau * at_ms / day_ms)
        yield start_ms + int(at_ms + rhythm_ms)


def _walk(shopper: Shopper, rng: random.Random) -> list[StockedProduct]:
    """Choose the products of a session: up to 12 of a favourite theme; some sessions end in a related theme."""
    theme = rng.choices(shopper.themes, cum_weights=shopper.theme_weights)[0]
    views = 2 + int(11 * rng.random() ** 1.5)
    turns_after = rng.randrange(1, views) if theme.related and rng.random() < 0.25 else views
    seen = _draw_distinct(theme, turns_after, rng)
    if turns_after < views:
        seen += _draw_distinct(rng.choice(theme.related), views - turns_after, rng)
    return seen


def _draw_distinct(theme: Theme, wanted: int, rng: random.Random) -> list[StockedProduct]:
    """Choose different products by popularity. Popular products repeat, so there are twice as many draws."""
    drawn = rng.choices(theme.products, cum_weights=theme.popularity, k=2 * wanted + 4)
    return list(dict.fromkeys(drawn))[:wanted]


def _review(product: StockedProduct, order_id: str, rng: random.Random) -> Json:
    """Review a product: a rating around its quality, with a text that fits."""
    rating = min(5, max(1, round(rng.gauss(product.quality, 0.8))))
    text = f"{rng.choice(VERDICTS[rating])} {rng.choice(REASONS[rating > 3])}".strip() if rng.random() < 0.85 else ""
    return {"product_id": product.details["product_id"], "order_id": order_id, "rating": rating, "text": text}


def _shopper(number: int, themes: list[Theme], rng: random.Random) -> Shopper:
    """Make a customer with two or three favourite themes, by the popularity of themes, a device and a country."""
    popularity, tastes = zipf(len(themes)), list[Theme]()
    wanted = min(len(themes), rng.choice((2, 3)))
    while len(tastes) < wanted:
        theme = rng.choices(themes, cum_weights=popularity)[0]
        if theme not in tastes:
            tastes.append(theme)
    context: Json = {"device_type": rng.choice(DEVICES), "country": rng.choice(COUNTRIES)}
    return Shopper(f"customer-{number:04d}", tastes, [0.6, 0.9, 1.0][:wanted], context)
