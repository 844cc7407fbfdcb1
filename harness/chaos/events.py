"""The events of a round: a simulated shop's, and those that only happen around sign-ins and forgettings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from random import Random

SIGN_IN_RATE = 0.2
"""How often a visitor signs in before one of their events."""
RESEND_RATE = 0.3
"""How often, after a sign-in, the visitor's last event is sent again with the user id, as clients that retry do."""
EXPOSURE_RATE = 0.05
"""How often a list is shown after an event."""
FORGET_RATE, FORGET_SAME_RATE = 0.005, 0.5
"""How often a customer is forgotten after an event, and how often that is the customer of the event."""
CATALOGUE_RATE = 0.05
"""How often the shop states something of a product after an event."""
OPEN_VISITS_MAX = 1_000
"""Of how many visits the last event is remembered."""
BOUGHT_BEFORE, BOUGHT_AFTER = 3, 5
"""How many purchases a visitor of a backlog makes before the sign-in, and after it."""


def with_rare_kinds(
    events: Iterable[Mapping[str, object]], customers: int, products: Sequence[str], rng: Random
) -> Iterator[Mapping[str, object]]:
    """Add to a shop's events what its customers do not do.

    Visitors sign in, and their later events have no user id; some events are sent again with the user id; some
    customers are shown lists of products; some are forgotten, and may come back. Products are counted and removed.
    """
    last: dict[object, Mapping[str, object]] = {}
    for number, event in enumerate(events):
        at_ms = event.get("timestamp")
        ids = {name: event[name] for name in ("user_id", "session_id") if name in event}
        if not isinstance(at_ms, int) or not ids:
            yield event
            continue
        random_user = {"user_id": f"customer-{rng.randrange(customers):04d}"}
        if "user_id" not in ids and rng.random() < SIGN_IN_RATE:
            yield {"event_id": f"login-{number}", "event_type": "login", **ids, **random_user, "timestamp": at_ms}
            before = last.pop(ids["session_id"], None)
            if before is not None and rng.random() < RESEND_RATE:
                yield {**before, **random_user}
        if "user_id" not in ids:
            last[ids["session_id"]] = event
            if len(last) > OPEN_VISITS_MAX:
                del last[next(iter(last))]
        yield event
        if rng.random() < EXPOSURE_RATE:
            listed = rng.sample(products, 3)
            exposure = {"event_id": f"list-{number}", "event_type": "exposure", "properties": {"products": listed}}
            yield {**exposure, **ids, "timestamp": at_ms}
        if rng.random() < CATALOGUE_RATE:
            yield _catalogue_event(number, rng.choice(products), at_ms, rng)
        if rng.random() < FORGET_RATE:
            forgotten = ids if rng.random() < FORGET_SAME_RATE else random_user
            yield {"event_id": f"forget-{number}", "event_type": "forget", **forgotten, "timestamp": at_ms}


def _catalogue_event(number: int, product_id: str, at_ms: int, rng: Random) -> Mapping[str, object]:
    """A stock level, sometimes of a minute ago; a description; or, seldom, a removal."""
    kind = rng.choices(("stock_set", "product_updated", "product_removed"), (6, 3, 1))[0]
    properties: dict[str, object] = {"product_id": product_id}
    if kind != "product_removed":
        properties |= {"stock": rng.randrange(50)}
    if kind == "product_updated":
        properties |= {"name": f"Product {product_id}", "price": rng.randrange(1, 100), "text": "As listed."}
    stated_ms = at_ms - rng.choice((0, 0, 60_000))
    return {"event_id": f"stated-{number}", "event_type": kind, "timestamp": stated_ms, "properties": properties}


def backlog_of_sign_ins(visitors: int, dedup_events: int, at_ms: int) -> tuple[list[Mapping[str, object]], int]:
    """Make a backlog: visitors buy, sign in and buy again, each as a customer with events of their own.

    Every event comes twice. The second copies of every other visitor have the user id, and this customer has fewer
    events than deduplication remembers; the other customers have so many that a late event is too old for them.

    Args:
        visitors: how many visitors there are.
        dedup_events: how many ids deduplication remembers of a customer.
        at_ms: the time of the first purchase.

    Returns:
        The events in the order of sending, and what each customer must have spent, in ten-thousandths.
    """
    by_visitor = []
    for number in range(visitors):
        session, user = {"session_id": f"tab-{number}"}, {"user_id": f"buyer-{number}"}
        purchases = [
            {
                "event_id": f"bought-{number}-{line}",
                "event_type": "purchase",
                **session,
                "timestamp": at_ms + line,
                "properties": {"product_id": f"product-{line}", "price": 200, "order_id": f"order-{line}"},
            }
            for line in range(BOUGHT_BEFORE + BOUGHT_AFTER)
        ]
        sign_in = {"event_id": f"in-{number}", "event_type": "login", **session, **user, "timestamp": at_ms + 100}
        views = [
            {
                "event_id": f"looked-{number}-{step}",
                "event_type": "view",
                **user,
                "timestamp": at_ms + 1_000 + step,
                "properties": {"product_id": f"product-{step % 7}"},
            }
            for step in range(dedup_events // 2 if number % 2 else 2 * dedup_events)
        ]
        copies = [purchase | user for purchase in purchases] if number % 2 else purchases
        before, after = purchases[:BOUGHT_BEFORE], purchases[BOUGHT_BEFORE:]
        by_visitor.append([*before, sign_in, *copies[:BOUGHT_BEFORE], *views, *after, *copies, sign_in, *views])
    events = [event for of_all in zip_longest(*by_visitor) for event in of_all if event is not None]
    return events, (BOUGHT_BEFORE + BOUGHT_AFTER) * 200 * 10_000
