"""What goes into a round's log, and where its last records are."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from random import Random

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.event_log import RebalanceListener

SIGNS_IN = 0.2
"""How often a visitor signs in before an event of theirs."""
IS_SENT_AGAIN = 0.3
"""How often, after a sign-in, the visitor's last event is sent again with the user id, as clients do that retry."""
IS_SHOWN = 0.05
"""How often somebody is shown a list after an event of theirs."""
IS_FORGOTTEN, IS_THEIRS = 0.005, 0.5
"""How often somebody is to be forgotten after an event, and how often that is whose event it was."""


SESSIONS_MAX = 1_000


class Follower(RebalanceListener):
    """Reads the log beside the workers, to know where its last records are."""

    def __init__(self, pipeline: Pipeline, partitions: int) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._log = pipeline.container.log()
        self._ends: dict[int, int] = {}
        self._log.subscribe(self)

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read from where it was."""
        return {number: self._ends.setdefault(number, 0) for number in partitions}

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Nothing is held."""

    def ends(self) -> Mapping[int, int] | None:
        """Read on; tell where the last records are once that is known of all partitions."""
        bounds = self._log.bounds(range(self._partitions))
        while records := self._log.poll(1_000, 0.02):
            self._ends.update((record.partition, record.position + 1) for record in records)
        is_read = all(
            max(self._log.consumed_position(number), self._ends.get(number, 0)) >= end
            for number, (_, end) in bounds.items()
        )
        return dict(self._ends) if is_read and len(self._ends) == self._partitions else None

    def close(self) -> None:
        """Leave."""
        self._pipeline.close()


def with_all_kinds(
    events: Iterable[Mapping[str, object]], customers: int, products: Sequence[str], rng: Random
) -> Iterator[Mapping[str, object]]:
    """The shop's events, and what its customers do not do: visitors sign in, and go on without saying who they are;
    some events are sent again with the user id; some customers are shown lists of products; some are to be forgotten,
    and may come back."""
    last: dict[object, Mapping[str, object]] = {}
    for number, event in enumerate(events):
        at_ms = event.get("timestamp")
        named = {name: event[name] for name in ("user_id", "session_id") if name in event}
        if not isinstance(at_ms, int) or not named:
            yield event
            continue
        anyone = {"user_id": f"customer-{rng.randrange(customers):04d}"}
        if "user_id" not in named and rng.random() < SIGNS_IN:
            yield {"event_id": f"login-{number}", "event_type": "login", **named, **anyone, "timestamp": at_ms}
            before = last.pop(named["session_id"], None)
            if before is not None and rng.random() < IS_SENT_AGAIN:
                yield {**before, **anyone}
        if "user_id" not in named:
            last[named["session_id"]] = event
            if len(last) > SESSIONS_MAX:
                del last[next(iter(last))]
        yield event
        if rng.random() < IS_SHOWN:
            some = rng.sample(products, 3)
            shown = {"event_id": f"list-{number}", "event_type": "exposure", "properties": {"products": some}}
            yield {**shown, **named, "timestamp": at_ms}
        if rng.random() < IS_FORGOTTEN:
            who = named if rng.random() < IS_THEIRS else anyone
            yield {"event_id": f"forget-{number}", "event_type": "forget", **who, "timestamp": at_ms}


def sign_ins_behind(visitors: int, remembered: int, at_ms: int) -> tuple[list[Mapping[str, object]], int]:
    """Events for a backlog: visitors who buy, sign in and buy on, each as a customer with events of their own.

    Every event comes twice. For every other visitor the second copy has the user id, and the customer has fewer events
    than a memory holds ids (`remembered`); the other customers have so many that a late event is too old for them.

    Returns the events in the order of sending, and what each customer then has spent, in ten-thousandths.
    """
    by_visitor = []
    for number in range(visitors):
        session, user = {"session_id": f"tab-{number}"}, {"user_id": f"buyer-{number}"}
        bought = [
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
        looked = [
            {
                "event_id": f"looked-{number}-{step}",
                "event_type": "view",
                **user,
                "timestamp": at_ms + 1_000 + step,
                "properties": {"product_id": f"product-{step % 7}"},
            }
            for step in range(remembered // 2 if number % 2 else 2 * remembered)
        ]
        again = [one | user for one in bought] if number % 2 else bought
        before, after = bought[:BOUGHT_BEFORE], bought[BOUGHT_BEFORE:]
        by_visitor.append([*before, sign_in, *again[:BOUGHT_BEFORE], *looked, *after, *again, sign_in, *looked])
    events = [one for of_all in zip_longest(*by_visitor) for one in of_all if one is not None]
    return events, (BOUGHT_BEFORE + BOUGHT_AFTER) * 200 * 10_000


BOUGHT_BEFORE, BOUGHT_AFTER = 3, 5
"""How many purchases a visitor of a backlog makes before the sign-in, and after."""
