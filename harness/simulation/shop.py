"""A simulated shop: customers with tastes walk through it and leave a stream of events behind.

Everything is a function of the seed. The events of a clean shop (`dirt=0`) are the same whatever the dirt; dirt
repeats some of them, delivers some late, and adds records that mean nothing or make no sense.
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
"""An event and when it happened, in ms."""

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
    """A customer: favourite themes, the dearest first, and where from and on what they shop."""

    user_id: str
    themes: Sequence[Theme]
    theme_weights: Sequence[float]
    context: Json


@attrs.define
class Agenda:
    """What will happen, in the order of time, up to the end of the simulated span."""

    seed: int
    begins_ms: int
    ends_ms: int
    scheduled: int = 0
    pending: list[tuple[int, int, Json]] = attrs.Factory(list)

    def schedule(self, at_ms: int, event: Json) -> None:
        """Let an event happen at a time."""
        self.scheduled += 1
        heappush(self.pending, (at_ms, self.scheduled, {"event_id": f"e-{self.seed}-{self.scheduled}", **event}))

    def delay_ms(self, mean_ms: int, rng: random.Random) -> int:
        """Draw how long after an order something follows; sooner where the span is short, so that it shows."""
        mean_ms = min(mean_ms, (self.ends_ms - self.begins_ms) // 6)
        return mean_ms // 10 + int(rng.random() ** 2 * 3 * mean_ms)

    def until(self, at_ms: float) -> Iterator[Timed]:
        """Take what happens before a time."""
        pending = self.pending
        while pending and pending[0][0] < at_ms:
            happens_at_ms, _, event = heappop(pending)
            yield happens_at_ms, event


@attrs.define
class Visit:
    """One session, planned as it is walked through."""

    ids: Json
    context: Json
    order_id: str
    at_ms: int
    agenda: Agenda
    rng: random.Random
    cart: dict[StockedProduct, int] = attrs.Factory(dict)

    def view(self, good: StockedProduct) -> None:
        """View a product, and perhaps put it in the cart."""
        self._act("view", dict(good.details))
        if self.rng.random() < 0.2:
            self.cart[good] = self.rng.choice(QUANTITIES)
            self._act("cart", {**good.details, "quantity": self.cart[good]})

    def leave(self) -> None:
        """Have second thoughts about the cart, and perhaps buy what is left in it."""
        for good in [good for good in self.cart if self.rng.random() < 0.15]:
            self._act("remove_from_cart", {**good.short_details, "quantity": self.cart.pop(good)})
        if self.cart and self.rng.random() < 0.55:
            for good, quantity in self.cart.items():
                line = {**good.details, "quantity": quantity, "order_id": self.order_id}
                self.agenda.schedule(self.at_ms, self._event("purchase", self.at_ms, self.ids, line))
                self._follow_up(good, quantity)

    def _follow_up(self, good: StockedProduct, quantity: int) -> None:
        """Cancel some lines of the order, and review others, hours or days later."""
        fate = self.rng.random()
        if fate < 0.08:
            taken_back = {**good.short_details, "quantity": quantity, "order_id": self.order_id}
            self._act_later(DAY_MS, "cancellation", taken_back)
        elif fate < 0.4 and "user_id" in self.ids:
            self._act_later(2 * DAY_MS, "review", _review(good, self.order_id, self.rng))

    def _act(self, event_type: str, properties: Json) -> None:
        self.agenda.schedule(self.at_ms, self._event(event_type, self.at_ms, self.ids, properties))
        self.at_ms += 1_500 + int(self.rng.expovariate(1 / 40_000))

    def _act_later(self, mean_ms: int, event_type: str, properties: Json) -> None:
        """Follow up on the order: in no session, but a visitor has no other name than the session's."""
        at_ms = self.at_ms + self.agenda.delay_ms(mean_ms, self.rng)
        if at_ms < self.agenda.ends_ms:
            who = {"user_id": self.ids["user_id"]} if "user_id" in self.ids else self.ids
            self.agenda.schedule(at_ms, self._event(event_type, at_ms, who, properties))

    def _event(self, event_type: str, at_ms: int, who: Json, properties: Json) -> Json:
        return {
            "event_type": event_type,
            **who,
            "timestamp": at_ms,
            "properties": properties,
            "context": self.context,
        }


class Shop:
    """A shop whose customers come back with their tastes.

    `customer-0001` is the most active customer. Sessions begin between `start_ms` and `end_ms`; what would follow
    an order after `end_ms` has not happened yet.
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
        """Let so many sessions happen and yield their events as they are delivered; the same ones on every call."""
        return with_dirt(self._clean_events(sessions), random.Random(f"{self.seed}:dirt"), self.dirt)

    def _clean_events(self, sessions: int) -> Iterator[Timed]:
        agenda, rng = Agenda(self.seed, self.start_ms, self.end_ms), random.Random(f"{self.seed}:sessions")
        for number, begins_at_ms in enumerate(_session_starts(sessions, self.start_ms, self.end_ms, rng), 1):
            yield from agenda.until(begins_at_ms)
            # The square of a uniform number: the first tenth of the customers begins a third of the sessions.
            shopper = self._shoppers[int(len(self._shoppers) * rng.random() ** 2)]
            who: Json = {"session_id": f"s-{self.seed}-{number}"}
            if rng.random() >= 0.15:
                who = {"user_id": shopper.user_id, **who}
            visit = Visit(who, dict(shopper.context), f"o-{self.seed}-{number}", begins_at_ms, agenda, rng)
            for good in _walk(shopper, rng):
                visit.view(good)
            visit.leave()
        yield from agenda.until(math.inf)


def with_dirt(events: Iterable[Timed], rng: random.Random, dirt: float) -> Iterator[Json]:
    """Deliver events as a real shop's senders do: to a share of them something happens on the way."""
    delayed: list[tuple[float, int, Json]] = []
    for number, (at_ms, event) in enumerate(events):
        while delayed and delayed[0][0] <= at_ms:
            yield heappop(delayed)[2]
        if rng.random() >= dirt:
            yield event
            continue
        kind_of_dirt = rng.random()
        if kind_of_dirt < 0.35:
            # Ten seconds to some five hours, every order of magnitude alike.
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
    """Add an event like another, but with something in it that cannot be."""
    broken = {**event, "event_id": f"{event['event_id']}-m"}
    said = event["properties"]
    mentioned = {"product_id": said["product_id"]} if isinstance(said, dict) else {}
    mistake = rng.randrange(5)
    if mistake == 0:
        broken |= {"event_type": "review", "properties": {**mentioned, "rating": 9, "text": "Off the scale."}}
    elif mistake == 1:
        del broken["timestamp"]
    elif mistake == 2:
        broken["timestamp"] = "yesterday"
    elif mistake == 3:
        broken |= {"event_type": "purchase", "properties": {**mentioned, "quantity": -3, "price": 10.0}}
    else:
        del broken["event_type"]
    return broken


def _session_starts(sessions: int, start_ms: int, end_ms: int, rng: random.Random) -> Iterator[int]:
    """Draw the times at which sessions begin, in order; each day is quiet at its ends and busy in its middle."""
    span_ms = end_ms - start_ms
    day_ms = span_ms / max(1, round(span_ms / DAY_MS))
    drawn = 0.0
    for remaining in range(sessions, 0, -1):
        # The least of n uniform numbers in what is left: sorted numbers without keeping them all.
        drawn += (1 - drawn) * (1 - rng.random() ** (1 / remaining))
        at_ms = drawn * span_ms
        rhythm_ms = 0.6 * day_ms / math.tau * math.sin(math.tau * at_ms / day_ms)
        yield start_ms + int(at_ms + rhythm_ms)


def _walk(shopper: Shopper, rng: random.Random) -> list[StockedProduct]:
    """Choose what a session looks at: up to 12 products of a favourite theme, at times ending in a related one."""
    theme = rng.choices(shopper.themes, cum_weights=shopper.theme_weights)[0]
    views = 2 + int(11 * rng.random() ** 1.5)
    turns_after = rng.randrange(1, views) if theme.related and rng.random() < 0.25 else views
    seen = _draw_distinct(theme, turns_after, rng)
    if turns_after < views:
        seen += _draw_distinct(rng.choice(theme.related), views - turns_after, rng)
    return seen


def _draw_distinct(theme: Theme, wanted: int, rng: random.Random) -> list[StockedProduct]:
    """Choose different products by popularity; twice as many draws, as the popular ones come up again and again."""
    drawn = rng.choices(theme.products, cum_weights=theme.popularity, k=2 * wanted + 4)
    return list(dict.fromkeys(drawn))[:wanted]


def _review(good: StockedProduct, order_id: str, rng: random.Random) -> Json:
    """Rate a product around its quality, with a text that fits the stars."""
    rating = min(5, max(1, round(rng.gauss(good.quality, 0.8))))
    text = f"{rng.choice(VERDICTS[rating])} {rng.choice(REASONS[rating > 3])}".strip() if rng.random() < 0.85 else ""
    return {"product_id": good.details["product_id"], "order_id": order_id, "rating": rating, "text": text}


def _shopper(number: int, themes: list[Theme], rng: random.Random) -> Shopper:
    """Give a customer two or three favourite themes (popular themes are liked by more), a device and a country."""
    popularity, tastes = zipf(len(themes)), list[Theme]()
    wanted = min(len(themes), rng.choice((2, 3)))
    while len(tastes) < wanted:
        theme = rng.choices(themes, cum_weights=popularity)[0]
        if theme not in tastes:
            tastes.append(theme)
    context: Json = {"device_type": rng.choice(DEVICES), "country": rng.choice(COUNTRIES)}
    return Shopper(f"customer-{number:04d}", tastes, [0.6, 0.9, 1.0][:wanted], context)
