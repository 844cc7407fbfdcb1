"""The oracle: what every store must hold, computed from the whole log by a plain batch program.

It shares values with the pipeline (events, rules) and none of its code: what both get wrong, two people had to get
wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from sys import intern
from typing import Final, TypeVar
from zlib import crc32

import attrs

from harness.comparing import unlike
from harness.oracle.customer import History, Stub, history_of
from harness.oracle.profile import ExpectedCustomer, country_of
from harness.oracle.sessions import LOOKS, ExpectedSession
from harness.oracle.sign_in import Handed, Placed, as_event, history_in
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import ANONYMOUS, NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.session import SessionKey
from realtime_pipeline.domain.shop.sign_in import HistoryMerged
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Rejected, Tick
from realtime_pipeline.domain.streams.rules import FoldRules

HOUR_MS: Final = 3_600_000
KEY_STRIDE: Final = 4096
"""A session's key is position × this + partition of the record that began it."""

T = TypeVar("T")

Belongs = Callable[[CustomerId], int]
"""In which partition a customer's records must lie: by the hash of the user id, else of the session id."""

_COUNTED: Final[Mapping[EventKind, tuple[int, int, int]]] = {
    EventKind.PRODUCT_VIEWED: (1, 0, 0),
    EventKind.PRODUCT_CARTED: (0, 1, 0),
    EventKind.PRODUCT_PURCHASED: (0, 0, 1),
    EventKind.PURCHASE_CANCELLED: (0, 0, -1),
}
"""What an event adds to its product's views, carts and purchases of the hour."""


@attrs.frozen
class ExpectedProduct:
    """What a product's state must hold; name, category and price as they were said last."""

    interactions: int
    ratings: int
    rating_sum: int
    name: tuple[str, int] | None
    category: tuple[str, int] | None
    price: tuple[int, int] | None


@attrs.frozen
class Expected:
    """What the stores must hold.

    `belongs` says where a customer's records lie. `forgotten` says when the customers of whom nothing is known any
    more were forgotten. `sessions` are all that were not dropped or forgotten (the store lets go of old ones),
    `sessions_gone` those that were. `activity` maps (hour, product) to (views, carts, purchases), `by_country` (hour,
    country, product) to those known to be of there; `lists` has all of a product's (time, session), the newest first
    (the store keeps some); `dead_letters` are (partition, position, code);
    `newest_ms` is the largest time of an applied event, by partition; `stubs` is what is left of who signed in;
    `unsaid` what should be in the log of what they hand on, and of visitors who are to be forgotten with a customer,
    and is not there or is another; `handed_on` how many records that should be. `dead_letters_gone` went with their
    customers, where outputs can take letters back; `letters` has what identifies the record of each, by place.
    """

    belongs: Belongs = attrs.field(eq=False)
    counts: dict[RecordClass, int]
    customers: dict[CustomerId, ExpectedCustomer]
    forgotten: dict[CustomerId, int]
    sessions: dict[SessionKey, ExpectedSession]
    sessions_gone: set[SessionKey]
    reviews: dict[tuple[CustomerId, ProductId], tuple[int, str, int]]
    products: dict[ProductId, ExpectedProduct]
    activity: dict[tuple[int, ProductId], tuple[int, int, int]]
    lists: dict[ProductId, list[tuple[int, SessionKey]]]
    dead_letters: list[tuple[int, int, str]]
    newest_ms: dict[int, int]
    stubs: dict[CustomerId, Stub] = attrs.Factory(dict)
    unsaid: list[str] = attrs.Factory(list)
    handed_on: int = 0
    by_country: dict[tuple[int, str, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    dead_letters_gone: set[tuple[int, int, str]] = attrs.Factory(set)
    letters: dict[tuple[int, int], int] = attrs.field(factory=dict, eq=False)


def expect(
    records: Iterable[Record],
    decode: Callable[[Record], Decoded],
    rules: FoldRules,
    partitions: int,
    partition_of: Callable[[bytes, int], int] = lambda key, partitions: crc32(key) % partitions,
) -> Expected:
    """Compute what the stores must hold after all records of a log, each partition's in order."""

    def belongs(customer_id: CustomerId) -> int:
        return partition_of(_key_of(customer_id), partitions)

    sorted_ = _Sorted(dict.fromkeys(RecordClass, 0))
    for record in records:
        _sort(record, decode(record), rules.future_ms, belongs, sorted_)
    summed = _Summed()
    expected = Expected(belongs, sorted_.counts, {}, {}, {}, set(), {}, {}, summed.activity, {}, [], summed.newest_ms)
    handed: list[Handed] = []
    said = _said(sorted_)
    while sorted_.by_customer:
        customer_id, placed = sorted_.by_customer.popitem()
        history = history_of(customer_id, placed, rules.profile)
        _count(customer_id, placed, history, sorted_, summed)
        _enter(customer_id, history, expected)
        handed += history.handed
    for one in sorted_.of_nobody:
        summed.add(*one)
    expected.unsaid.extend(_unsaid(handed, said, sorted_.written_ms))
    expected = attrs.evolve(expected, handed_on=len(handed), by_country=summed.by_country, letters=sorted_.letters)
    expected.products.update(summed.described())
    for letter in sorted(sorted_.dead_letters, key=lambda letter: letter[:3]):
        if _stays(letter, sorted_):
            expected.dead_letters.append(letter[:3])
        else:
            expected.dead_letters_gone.add(letter[:3])
    for entries in expected.lists.values():
        entries.sort(reverse=True)
    return expected


def _enter(customer_id: CustomerId, history: History, expected: Expected) -> None:
    """Enter what is known of a customer, and what their sessions add to the products' lists."""
    if history.customer is not None:
        expected.customers[customer_id] = history.customer
    elif history.stub is not None:
        expected.stubs[customer_id] = history.stub
    elif RecordClass.APPLIED in history.classes:
        expected.forgotten[customer_id] = history.forgotten_at_ms
    expected.sessions.update(history.sessions)
    expected.sessions_gone.update(history.sessions_gone)
    expected.reviews.update({(customer_id, product_id): said for product_id, said in history.reviews.items()})
    for (product_id, session), at_ms in history.listed.items():
        expected.lists.setdefault(product_id, []).append((at_ms, session))


def _said(sorted_: "_Sorted") -> dict[tuple[CustomerId, str], list[Event]]:
    """By customer and id, what the log has of each event."""
    said: dict[tuple[CustomerId, str], list[Event]] = {}
    for customer_id, placed in sorted_.by_customer.items():
        for _, event in placed:
            said.setdefault((customer_id, event.event_id), []).append(event)
    return said


def _unsaid(
    handed: Iterable[Handed],
    said: Mapping[tuple[CustomerId, str], list[Event]],
    written_ms: Mapping[tuple[CustomerId, str], list[int]],
) -> Iterator[str]:
    """What visitors hand on must be in the log, and a history once and as it was; so must their forgettings, and no
    others."""
    forgettings: dict[tuple[CustomerId, str], list[int]] = {}
    for one in handed:
        found = said.get((one.to, one.event_id), [])
        if one.forgotten_at_ms is not None:
            forgettings.setdefault((one.to, one.event_id), []).append(one.forgotten_at_ms)
        elif one.history is None:
            if one.event not in found:
                yield f"event {one.event_id} was not forwarded to {one.to}, or as another"
        elif len(found) != 1:
            yield f"history {one.event_id} is {len(found)} times in the log"
        elif (times := written_ms[one.to, one.event_id]) != [one.signed_in_ms]:
            yield f"history {one.event_id} in the log is as of {times}, should be as of {one.signed_in_ms}"
        elif (differing := _unlike_histories(history_in(found[0]), one.history)) is not None:
            yield f"history {one.event_id}: {differing}"
    for visitor, event_id in said:
        if visitor.startswith(ANONYMOUS) and event_id.startswith(f"{visitor}/"):  # as what is said of visitors is named
            forgettings.setdefault((visitor, event_id), [])
    for (visitor, event_id), wanted in forgettings.items():
        times = sorted(written_ms.get((visitor, event_id), ()))
        if times != sorted(wanted):
            yield f"forgettings {event_id} in the log are as of {times}, should be as of {sorted(wanted)}"


def _unlike_histories(found: Customer | None, wanted: Customer) -> str | None:
    """Name a field in which two histories differ."""
    if found is None:
        return "is another event"
    for field in attrs.fields(Customer):
        held, right = getattr(found, field.name), getattr(wanted, field.name)
        if next(unlike(field.name, held, right), None) is not None:
            return f"{field.name} is {held}, should be {right}"
    return None


Letter = tuple[int, int, str, CustomerId | None]
"""Partition, position, reason and owner of a record."""


@attrs.define
class _Sorted:
    """The records by class, as far as a record says by itself; a customer's events are judged together."""

    counts: dict[RecordClass, int]
    by_customer: dict[CustomerId, list[Placed]] = attrs.Factory(dict)
    of_nobody: list[Placed] = attrs.Factory(list)
    dead_letters: list[Letter] = attrs.Factory(list)
    forgettings: list[tuple[int, int, CustomerId]] = attrs.Factory(list)
    written_ms: dict[tuple[CustomerId, str], list[int]] = attrs.Factory(dict)
    """The times that forgettings and histories have in the log; where a clock was ahead they count as of earlier."""
    letters: dict[tuple[int, int], int] = attrs.Factory(dict)
    """By place, what identifies the whole of a record that cannot be folded."""


def _sort(record: Record, decoded: Decoded, future_ms: int, belongs: Belongs, sorted_: _Sorted) -> None:
    if isinstance(decoded, Tick):
        sorted_.counts[RecordClass.CONTROL] += 1
    elif isinstance(decoded, Ignored):
        sorted_.counts[RecordClass.IGNORED] += 1
    elif (reason := _refusal(record, decoded, future_ms, belongs)) is not None:
        sorted_.counts[RecordClass.DEAD_LETTER] += 1
        sorted_.dead_letters.append((record.partition, record.position, reason.partition(":")[0], decoded.customer_id))
        sorted_.letters[record.partition, record.position] = identified(record)
    elif isinstance(decoded, Event | HistoryMerged):
        event = as_event(decoded) if isinstance(decoded, HistoryMerged) else _slim(decoded)
        if not _may_be_refused(decoded):
            event = event._replace(occurred_at_ms=min(event.occurred_at_ms, record.appended_at_ms + future_ms))
        placed = SessionKey(record.position * KEY_STRIDE + record.partition), event
        if decoded.customer_id is None:
            sorted_.counts[RecordClass.APPLIED] += 1
            sorted_.of_nobody.append(placed)
        else:
            sorted_.by_customer.setdefault(decoded.customer_id, []).append(placed)
            if not _may_be_refused(decoded):
                name = decoded.customer_id, event.event_id
                sorted_.written_ms.setdefault(name, []).append(decoded.occurred_at_ms)


def _stays(letter: Letter, sorted_: _Sorted) -> bool:
    """A customer's dead letters go with the customer: those of the same partition before the forgetting."""
    partition, position, _, owner = letter
    return not any(
        (at, whose) == (partition, owner) and position < forgotten for at, forgotten, whose in sorted_.forgettings
    )


def _refusal(record: Record, decoded: Event | HistoryMerged | Rejected, future_ms: int, belongs: Belongs) -> str | None:
    """Say why a record is a dead letter whatever came before it, if it is one."""
    if isinstance(decoded, Rejected):
        return decoded.reason
    if decoded.customer_id is not None and belongs(decoded.customer_id) != record.partition:
        return "misrouted"
    is_ahead = decoded.occurred_at_ms - record.appended_at_ms > future_ms
    return "in_the_future" if is_ahead and _may_be_refused(decoded) else None


def identified(record: Record) -> int:
    """A number that another record would hardly have: of its key, its bytes, where it came from and when."""
    return crc32(repr((record.key, record.value, record.origin, record.appended_at_ms)).encode(errors="replace"))


def _may_be_refused(decoded: Event | HistoryMerged) -> bool:
    """What must be done whatever a clock says is done as of the latest time that an event may have."""
    return isinstance(decoded, Event) and decoded.kind is not EventKind.CUSTOMER_FORGOTTEN


def _key_of(customer_id: CustomerId) -> bytes:
    return (customer_id[len(ANONYMOUS) :] if customer_id.startswith(ANONYMOUS) else customer_id).encode()


def _slim(event: Event) -> Event:
    """Let go of what no expectation is about, and keep one copy of what is said often: a whole log must fit."""
    country = country_of(event)
    return event._replace(
        product_id=None if event.product_id is None else ProductId(intern(event.product_id)),
        category=None if event.category is None else intern(event.category),
        name=None if event.name is None else intern(event.name),
        properties=NOTHING,
        context=NOTHING if country is None else {"country": country},
    )


def _count(
    customer_id: CustomerId, placed: list[Placed], history: History, sorted_: _Sorted, summed: "_Summed"
) -> None:
    """Count a customer's records, and add those that were applied to what everybody's come to."""
    for (key, event), class_ in zip(placed, history.classes, strict=True):
        sorted_.counts[class_] += 1
        if class_ is RecordClass.APPLIED and event.kind is EventKind.CUSTOMER_FORGOTTEN:
            sorted_.forgettings.append((key % KEY_STRIDE, key // KEY_STRIDE, customer_id))
        elif class_ is RecordClass.APPLIED:
            summed.add(key, event)
        elif class_ is RecordClass.DEAD_LETTER:
            sorted_.dead_letters.append((key % KEY_STRIDE, key // KEY_STRIDE, "too_old", customer_id))
    for product_id, rating in history.ratings:
        summed.ratings.setdefault(product_id, []).append(rating)


@attrs.define
class _Summed:
    """What all applied events come to. Names, categories and prices are (time, value), as said last."""

    products: set[ProductId] = attrs.Factory(set)
    interactions: dict[ProductId, int] = attrs.Factory(dict)
    ratings: dict[ProductId, list[int]] = attrs.Factory(dict)
    names: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    categories: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    prices: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    activity: dict[tuple[int, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    by_country: dict[tuple[int, str, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    newest_ms: dict[int, int] = attrs.Factory(dict)

    def add(self, key: SessionKey, event: Event) -> None:
        at_ms, product_id = event.occurred_at_ms, event.product_id
        partition = key % KEY_STRIDE
        self.newest_ms[partition] = max(at_ms, self.newest_ms.get(partition, at_ms))
        if product_id is None:
            return
        self.products.add(product_id)
        # Of two that were said at one time, the larger holds.
        if event.name is not None:
            self.names[product_id] = max((at_ms, event.name), self.names.get(product_id, (at_ms, event.name)))
        if event.category is not None:
            said = (at_ms, event.category)
            self.categories[product_id] = max(said, self.categories.get(product_id, said))
        if event.price is not None and event.kind is not EventKind.PURCHASE_CANCELLED:
            self.prices[product_id] = max((at_ms, event.price), self.prices.get(product_id, (at_ms, event.price)))
        if event.kind in LOOKS:
            self.interactions[product_id] = self.interactions.get(product_id, 0) + 1
        if event.kind in _COUNTED:
            hour, more = at_ms // HOUR_MS, _COUNTED[event.kind]
            self.activity[hour, product_id] = _sum(self.activity.get((hour, product_id)), more)
            country = country_of(event)
            if country is not None:
                place = hour, country, product_id
                self.by_country[place] = _sum(self.by_country.get(place), more)

    def described(self) -> dict[ProductId, ExpectedProduct]:
        return {
            product_id: ExpectedProduct(
                self.interactions.get(product_id, 0),
                len(self.ratings.get(product_id, ())),
                sum(self.ratings.get(product_id, ())),
                _fact(self.names.get(product_id)),
                _fact(self.categories.get(product_id)),
                _fact(self.prices.get(product_id)),
            )
            for product_id in self.products
        }


def _fact(said: tuple[int, T] | None) -> tuple[T, int] | None:
    return None if said is None else (said[1], said[0])


def _sum(before: tuple[int, int, int] | None, more: tuple[int, int, int]) -> tuple[int, int, int]:
    views, carts, purchases = before or (0, 0, 0)
    return views + more[0], carts + more[1], purchases + more[2]
