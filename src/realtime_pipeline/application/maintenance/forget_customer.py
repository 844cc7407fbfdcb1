"""ForgetCustomer: request the erasure of a customer, and report how far it has come."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import UnknownCustomer
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.maintenance.follow_forgetting import FollowForgetting, Progress
from realtime_pipeline.application.maintenance.retained import ALWAYS_RETAINED, Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.routing import MISROUTED
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, customer_id_field
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.records import Record

OUTPUTS_READ_MAX = 10_000
"""How many dead letters, and how many late events, a receipt reads at most."""


@attrs.frozen
class Forgetting:
    """A request to erase a customer, and what the stores had of them when it was made.

    It erases what happened up to `as_of_ms` (ms since 1970). Its record is at `position` of `partition` in the log.
    `visitors` are the visitors who signed in as the customer; the numbers of events and reviews, and the `sessions`,
    include theirs.
    """

    customer_id: CustomerId
    as_of_ms: int
    partition: int
    position: int
    events: int = 0
    reviews: int = 0
    sessions: tuple[SessionKey, ...] = ()
    visitors: tuple[CustomerId, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the request as a JSON document, with the number of sessions.

        Example:
            {"customer_id": "ada", "as_of": "2025-10-10T01:21:51.250Z", "partition": 0, "position": 6, "events": 3,
             "reviews": 1, "sessions": 1, "visitors": []}
        """
        return {
            "customer_id": self.customer_id,
            "as_of": utc_text(self.as_of_ms),
            "partition": self.partition,
            "position": self.position,
            "events": self.events,
            "reviews": self.reviews,
            "sessions": len(self.sessions),
            "visitors": list(self.visitors),
        }

    @property
    def ids(self) -> tuple[CustomerId, ...]:
        """The ids of the customer and of their visitors."""
        return (self.customer_id, *self.visitors)


@attrs.frozen
class Receipt:
    """How far an erasure has come, and what is left of the customer.

    `records_before` is how many records the worker processes before the request. `left` counts what is to be erased
    yet, by code: `profile`, `sessions`, `reviews`, `dead_letters`, `late_events`, `snapshot_profiles`. `stays` is what
    no store can erase.
    """

    forgetting: Forgetting
    progress: Progress
    records_before: int
    left: Mapping[str, int]
    stays: tuple[Retained, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the receipt as a JSON document; see `Forgetting.as_dict` and `Retained.as_dict`.

        Example:
            {"forgetting": {"customer_id": "ada", ...}, "is_done": False, "progress": "queued", "records_before": 2,
             "left": {"profile": 1, "sessions": 1, "reviews": 1, "dead_letters": 0, "late_events": 0,
             "snapshot_profiles": 0}, "stays": [{"code": "log", ...}]}
        """
        return {
            "forgetting": self.forgetting.as_dict(),
            "is_done": self.is_done,
            "progress": self.progress.value,
            "records_before": self.records_before,
            "left": dict(self.left),
            "stays": [retained.as_dict() for retained in self.stays],
        }

    @property
    def is_done(self) -> bool:
        """Whether the workers have processed it, and nothing is left that a store can erase."""
        return self.progress is Progress.PROCESSED and not any(self.left.values())


class ForgetCustomer:
    """Publishes that a customer is to be erased. The worker that owns the customer erases them, in the log's order.

    `retained` is what the log and the outbox retain, and how long.
    """

    def __init__(
        self,
        publish: PublishEvents,
        customers: CustomerQueries,
        outputs: Outputs,
        follow: FollowForgetting,
        clock: Clock,
        retained: Sequence[Retained],
        snapshots: Snapshots,
    ) -> None:
        self._publish = publish
        self._customers = customers
        self._outputs = outputs
        self._follow = follow
        self._clock = clock
        self._retained = retained
        self._snapshots = snapshots

    def __call__(self, customer_id: CustomerId) -> Forgetting:
        """Request the erasure of a customer as of now, or as of their last event if that is later.

        Records of a time up to then that arrive later, by a replay, are counted as forgotten and not folded.

        Raises:
            UnknownCustomer: the id is the alias of a customer: of a visitor who has signed in.
        """
        customer = self._customers.read_customer(customer_id)
        alias_of = None if customer is None else customer.aliases.alias_of
        if alias_of is not None:
            raise UnknownCustomer(
                f"{customer_id} is a visitor who has signed in as {alias_of}: forget {alias_of}, which erases the "
                f"visitor, too"
            )
        last_seen_ms = customer.visits.last_seen_ms if customer is not None else None
        as_of_ms = max(self._clock.now_ms(), last_seen_ms or 0)
        known = self._known(customer_id, customer, as_of_ms)
        event = {
            "event_type": EventKind.CUSTOMER_FORGOTTEN.value,
            **customer_id_field(customer_id),
            "timestamp": as_of_ms,
        }
        partition, position = self._publish.publish_one(event)
        if position < 0:
            position = self._follow.end_of(partition) - 1
        return attrs.evolve(known, partition=partition, position=position)

    def _known(self, customer_id: CustomerId, customer: Customer | None, as_of_ms: int) -> Forgetting:
        """Return what the stores have of a customer, in a request that has no position yet."""
        if customer is None:
            return Forgetting(customer_id, as_of_ms, 0, 0)
        visitors = {visitor_id: self._customers.read_customer(visitor_id) for visitor_id in customer.aliases.visitors}
        profiles = [customer, *(visitor for visitor in visitors.values() if visitor is not None)]
        sessions = [key for profile in profiles for key in profile.visits.session_keys]
        reviews = sum(len(self._customers.reviews(profile.customer_id)) for profile in profiles)
        events = sum(customer.visits.counts.values())
        return Forgetting(customer_id, as_of_ms, 0, 0, events, reviews, tuple(sessions), tuple(visitors))

    def receipt(self, forgetting: Forgetting) -> Receipt:
        """Read how far the workers have come, and look in every store for what is left of the customer.

        It reads the first 10,000 dead letters and late events. Those in Kafka cannot be erased: they are among what
        stays.
        """
        progress, records_before = self._follow(forgetting.partition, forgetting.position)
        known = [self._customers.read_customer(customer_id) for customer_id in forgetting.ids]
        # A profile that begins after the erasure is a new one.
        profiles = sum(profile is not None and profile.forgotten_at_ms < forgetting.as_of_ms for profile in known)
        sessions = self._customers.session_summaries(forgetting.sessions, self._clock.now_ms())
        reviews = [review for customer_id in forgetting.ids for review in self._customers.reviews(customer_id)]
        letters, retained_letters = self._letters(forgetting)
        late_events, retained_late_events = self._late_events(forgetting)
        left = {
            "profile": profiles,
            "sessions": len(sessions),
            "reviews": sum(review.occurred_at_ms <= forgetting.as_of_ms for review in reviews),
            "dead_letters": letters,
            "late_events": late_events,
            # Of any customer: the profile did not know all visitors, whose profiles a snapshot may have.
            "snapshot_profiles": self._snapshots.forgotten(),
        }
        stays = (*self._retained, *ALWAYS_RETAINED, *retained_letters, *retained_late_events)
        return Receipt(forgetting, progress, records_before, left, stays)

    def _letters(self, forgetting: Forgetting) -> tuple[int, list[Retained]]:
        """Count the customer's dead letters: those to be erased yet, and those that stay."""
        reasons = [
            letter.reason
            for letter in self._outputs.dead_letters(OUTPUTS_READ_MAX)
            if letter.customer_id in forgetting.ids and _is_before(letter.record, forgetting)
        ]
        if not self._outputs.can_retract:
            code, until, count = RetainedCode.DEAD_LETTERS, RetainedUntil.TOPIC_RETENTION, len(reasons)
        else:
            code, until = RetainedCode.MISROUTED_DEAD_LETTERS, None
            count = sum(reason.startswith(MISROUTED) for reason in reasons)
        return len(reasons) - count, [Retained(code, until, count=count)] if count else []

    def _late_events(self, forgetting: Forgetting) -> tuple[int, list[Retained]]:
        """Count the customer's late events: those to be erased yet, and those that stay."""
        count = sum(
            late.customer_id in forgetting.ids and _is_before(late.record, forgetting)
            for late in self._outputs.late_events(OUTPUTS_READ_MAX)
        )
        if self._outputs.can_retract or not count:
            return count, []
        return 0, [Retained(RetainedCode.LATE_EVENTS, RetainedUntil.TOPIC_RETENTION, count=count)]


def _is_before(record: Record, forgetting: Forgetting) -> bool:
    """Whether a record came before the request: in its partition by position, in others by time."""
    if record.partition == forgetting.partition:
        return record.position < forgetting.position
    return record.appended_at_ms <= forgetting.as_of_ms
