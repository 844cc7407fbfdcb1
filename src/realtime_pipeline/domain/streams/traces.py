"""What became of an event: where its copies lie, the class each fell into, and what each changed."""

from collections.abc import Mapping

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import as_number
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.dead_letters import LetterState
from realtime_pipeline.domain.streams.effects import Effects, RecordClass
from realtime_pipeline.domain.streams.records import Record


@attrs.frozen
class Totals:
    """What a customer's events add up to, as far as a single event changes it. `spend` is in ten-thousandths."""

    units: int = 0
    spend: int = 0
    orders: int = 0
    sessions_begun: int = 0
    excluded: int = 0

    @classmethod
    def of(cls, customer: Customer | None) -> "Totals":
        """Read them off a customer; zeros where there is none."""
        if customer is None:
            return cls()
        visits, purchases = customer.visits, customer.purchases
        return cls(
            purchases.units, purchases.spend, purchases.orders_placed, visits.sessions_begun, excluded=visits.excluded
        )


@attrs.frozen
class Change:
    """What one record changed; numbers are differences, `spend` in ten-thousandths.

    `session` names the session it fell into by the place of the record that began it. `interactions` and `ratings`
    (with their sum) are the product's. `to` is whom a visitor's event was forwarded to, or signed in as. `erased` is
    set where the customer was forgotten. `excluded` is how many events more count for the customer's profile alone.
    """

    units: int = 0
    spend: int = 0
    orders: int = 0
    sessions_begun: int = 0
    session: str | None = None
    interactions: int = 0
    ratings: int = 0
    rating_sum: int = 0
    to: CustomerId | None = None
    erased: bool = False
    excluded: int = 0

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it, `spend` in units of the currency."""
        return attrs.asdict(self) | {"spend": as_number(self.spend)}


@attrs.frozen
class Copy:
    """One record of an event.

    `record_class` is None where no worker has come to it yet. `reason` is that of a dead letter, `letter` what was done
    about it. `doubt` says why the class cannot be told for sure; it is empty where it can. `in_log` is False where only
    a dead letter holds the record still.
    """

    partition: int
    position: int
    appended_at_ms: int
    origin: str | None = None
    record_class: RecordClass | None = None
    kind: EventKind | None = None
    customer_id: CustomerId | None = None
    product_id: ProductId | None = None
    reason: str | None = None
    letter: LetterState | None = None
    change: Change | None = None
    doubt: str = ""
    in_log: bool = True

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it."""
        return {
            "partition": self.partition,
            "position": self.position,
            "appended_at": utc_text(self.appended_at_ms),
            "origin": self.origin,
            "class": "not_processed" if self.record_class is None else self.record_class.value,
            "kind": None if self.kind is None else self.kind.value,
            "customer_id": self.customer_id,
            "product_id": self.product_id,
            "reason": self.reason,
            "letter": None if self.letter is None else self.letter.value,
            "changed": None if self.change is None else self.change.as_dict(),
            "doubt": self.doubt or None,
            "in_log": self.in_log,
        }


@attrs.frozen
class Trace:
    """All copies of an event that were found, by partition and position, and where was looked for them.

    `log` says in words which log that is; `searched` maps each partition to the positions [from, to) that it holds.
    `more` is set where there are more copies than are listed.
    """

    event_id: str
    log: str
    copies: tuple[Copy, ...]
    searched: Mapping[int, tuple[int, int]]
    more: bool = False

    @property
    def shortened(self) -> tuple[int, ...]:
        """Partitions that have lost their beginning: what was there before, nobody can say."""
        return tuple(number for number, (begin, _) in sorted(self.searched.items()) if begin > 0)

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it."""
        return {
            "event_id": self.event_id,
            "log": self.log,
            "copies": [copy.as_dict() for copy in self.copies],
            "more": self.more,
            "searched": [
                {"partition": number, "from": begin, "to": end}
                for number, (begin, end) in sorted(self.searched.items())
            ],
        }


def copy_of(record: Record, decoded: object, record_class: RecordClass | None, reason: str | None = None) -> Copy:
    """A record as a copy of its event."""
    copy = Copy(record.partition, record.position, record.appended_at_ms, record.origin, record_class, reason=reason)
    if isinstance(decoded, Event):
        return attrs.evolve(copy, kind=decoded.kind, customer_id=decoded.customer_id, product_id=decoded.product_id)
    if isinstance(decoded, ProfileMerged):
        return attrs.evolve(copy, customer_id=decoded.customer_id)
    return copy


def change_of(before: Totals, after: Totals, effects: Effects, decoded: Event | ProfileMerged) -> Change:
    """What folding one record changed, by the totals of its customer around it and the effects of the fold."""
    products = effects.deltas.products.values()
    session = next(iter(effects.sessions), None)
    to = decoded.identified_as if isinstance(decoded, Event) else None
    if RecordClass.FORWARDED in effects.counts:
        to = effects.messages[0].to
    return Change(
        units=after.units - before.units,
        spend=after.spend - before.spend,
        orders=after.orders - before.orders,
        sessions_begun=after.sessions_begun - before.sessions_begun,
        session=None if session is None else _session_id(session),
        interactions=sum(state.interactions for state in products),
        ratings=sum(state.ratings for state in products),
        rating_sum=sum(state.rating_sum for state in products),
        to=to,
        erased=bool(effects.tombstones),
        excluded=after.excluded - before.excluded,
    )


def _session_id(key: SessionKey) -> str:
    position, partition = divmod(key, PARTITIONS_MAX)
    return f"{partition}-{position}"
