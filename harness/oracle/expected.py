"""The oracle: what every store must hold, computed from the whole log by a plain batch program.

It shares values with the pipeline (events, rules) and none of its code: what both get wrong, two people had to get
wrong.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar
from zlib import crc32

import attrs

from harness.oracle.customer import History, Stub, history_of
from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.judging import NEVER_MS
from harness.oracle.missing_messages import messages_in_log, missing_messages
from harness.oracle.profile import ExpectedCustomer, country_of
from harness.oracle.sessions import LOOKS, ExpectedSession
from harness.oracle.sign_in import KEY_STRIDE, ExpectedMessage, Placed, history_in
from harness.oracle.sorting import Belongs, Sorted, key_of, sort, stays
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings

HOUR_MS: Final = 3_600_000

T = TypeVar("T")

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

    `belongs` says where a customer's records lie. `forgotten` says when the customers of whom nothing is known any more
    were forgotten. `sessions` are all that were not dropped or forgotten (the store lets go of old ones),
    `sessions_gone` those that were. `activity` maps (hour, product) to (views, carts, purchases), `by_country` (hour,
    country, product) to those known to be of there; `lists` has all of a product's (time, session), the newest first
    (the store keeps some); `dead_letters` are (partition, position, code); `largest_ms` and `newest_ms` are the largest
    and the second-largest time of applied events by partition, each at most when its record was appended; `stubs` is
    what is left of who signed in; `missing_messages` what should be in the log of what they hand on, and of visitors
    who are to be forgotten with a customer, and is not there or is another; `handed_on` how many records that should
    be. `dead_letters_gone` went with their customers, where outputs can take letters back; `letters` has what
    identifies the record of each, by place. `appended_ms` is when the latest record of a partition was appended,
    `waited_to_ms` up to when nothing is waited for any longer, of those without ticks.
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
    missing_messages: list[str] = attrs.Factory(list)
    handed_on: int = 0
    by_country: dict[tuple[int, str, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    dead_letters_gone: set[tuple[int, int, str]] = attrs.Factory(set)
    letters: dict[tuple[int, int], int] = attrs.field(factory=dict, eq=False)
    appended_ms: dict[int, int] = attrs.Factory(dict)
    waited_to_ms: dict[int, int] = attrs.Factory(dict)
    largest_ms: dict[int, int] = attrs.Factory(dict)

    @property
    def now_ms(self) -> int:
        """How far the shop's time has come: by the second-largest time of all, else by the only one."""
        times = [*self.largest_ms.values(), *self.newest_ms.values()]
        return min(sorted(times)[-2:], default=NEVER_MS)


def expect(
    records: Iterable[Record],
    schema: EventSchema,
    settings: FoldSettings,
    partitions: int,
    partition_of: Callable[[bytes, int], int] = lambda key, partitions: crc32(key) % partitions,
) -> Expected:
    """Compute what the stores must hold after all records of a log, each partition's in order."""
    decode = OracleDecoder(schema)

    def belongs(customer_id: CustomerId) -> int:
        return partition_of(key_of(customer_id), partitions)

    sorted_ = Sorted(dict.fromkeys(RecordClass, 0))
    for record in records:
        sort(record, decode(record), settings.max_future_skew_ms, belongs, sorted_)
    summed = _Summed(sorted_.appended_before_ms)
    expected = Expected(belongs, sorted_.counts, {}, {}, {}, set(), {}, {}, summed.activity, {}, [], {})
    handed: list[ExpectedMessage] = []
    said = messages_in_log(sorted_)
    while sorted_.by_customer:
        customer_id, placed = sorted_.by_customer.popitem()
        history = history_of(customer_id, placed, settings.profile)
        _count(customer_id, placed, history, sorted_, summed)
        _enter(customer_id, history, expected)
        handed += history.handed
    for one in sorted_.of_nobody:
        summed.add(*one)
    expected.missing_messages.extend(missing_messages(handed, said, sorted_.written_ms))
    largest_ms = {partition: max(times) for partition, times in summed.times.items()}
    waited_to_ms = {
        partition: max(NEVER_MS, at_ms - settings.max_out_of_orderness_ms)
        for partition, at_ms in largest_ms.items()
        if partition not in sorted_.ticked
    }
    expected = attrs.evolve(
        expected,
        handed_on=len(handed),
        by_country=summed.by_country,
        letters=sorted_.letters,
        appended_ms=sorted_.appended_ms,
        waited_to_ms=waited_to_ms,
        largest_ms=largest_ms,
        newest_ms={partition: min(times) for partition, times in summed.times.items() if len(times) > 1},
    )
    expected.products.update(summed.described())
    for letter in sorted(sorted_.dead_letters, key=lambda letter: letter[:3]):
        if stays(letter, sorted_):
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


def _count(customer_id: CustomerId, placed: list[Placed], history: History, sorted_: Sorted, summed: "_Summed") -> None:
    """Count a customer's records, and add those that were applied to what everybody's come to."""
    for (key, event), class_ in zip(placed, history.classes, strict=True):
        sorted_.counts[class_] += 1
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:  # also as of a time that is forgotten already
            sorted_.forgettings.append((key % KEY_STRIDE, key // KEY_STRIDE, customer_id))
        elif class_ is RecordClass.APPLIED:
            summed.add(key, event)
        elif class_ is RecordClass.DEAD_LETTER:
            sorted_.dead_letters.append((key % KEY_STRIDE, key // KEY_STRIDE, "too_old", customer_id))
    for one in history.repeats:
        summed.take_out(one)
    for product_id, rating in history.ratings:
        summed.ratings.setdefault(product_id, []).append(rating)


@attrs.define
class _Summed:
    """What all applied events come to. Names, categories and prices are (time, value), as said last."""

    appended_before_ms: Mapping[SessionKey, int]
    products: set[ProductId] = attrs.Factory(set)
    interactions: dict[ProductId, int] = attrs.Factory(dict)
    ratings: dict[ProductId, list[int]] = attrs.Factory(dict)
    names: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    categories: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    prices: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    activity: dict[tuple[int, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    by_country: dict[tuple[int, str, ProductId], tuple[int, int, int]] = attrs.Factory(dict)
    times: dict[int, list[int]] = attrs.Factory(dict)
    """The two largest times of each partition."""
    taken_out: dict[ProductId, list[int]] = attrs.Factory(dict)

    def add(self, key: SessionKey, event: Event) -> None:
        at_ms, product_id = event.occurred_at_ms, event.product_id
        partition = key % KEY_STRIDE
        if history_in(event) is None:  # else the sign-in that it follows from has counted already
            times = [*self.times.get(partition, ()), min(at_ms, self.appended_before_ms.get(key, at_ms))]
            self.times[partition] = sorted(times)[-2:]
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

    def take_out(self, one: Contribution) -> None:
        """Count an event once that a visitor and the customer they signed in as have both counted."""
        product_id, hour = one.product_id, one.at_ms // HOUR_MS
        if product_id is None:
            return
        if one.rating is not None and one.kind is EventKind.PRODUCT_REVIEWED:
            self.taken_out.setdefault(product_id, []).append(one.rating)
        if one.kind in LOOKS:
            self.interactions[product_id] = self.interactions.get(product_id, 0) - 1
        if one.kind in _COUNTED:
            views, carts, purchases = _COUNTED[one.kind]
            less = -views, -carts, -purchases
            self.activity[hour, product_id] = _sum(self.activity.get((hour, product_id)), less)
            if one.country is not None:
                place = hour, one.country, product_id
                self.by_country[place] = _sum(self.by_country.get(place), less)

    def described(self) -> dict[ProductId, ExpectedProduct]:
        return {
            product_id: ExpectedProduct(
                self.interactions.get(product_id, 0),
                len(self.ratings.get(product_id, ())) - len(self.taken_out.get(product_id, ())),
                sum(self.ratings.get(product_id, ())) - sum(self.taken_out.get(product_id, ())),
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
