"""ForgetCustomer: have everything about one customer erased, and say what became of it."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import UnknownCustomer
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.maintenance.follow_forgetting import FollowForgetting, Progress
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.routing import MISROUTED
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, naming
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.records import Record

LETTERS_READ = 10_000


@attrs.frozen
class Forgetting:
    """A request that a customer be forgotten, as of a time in ms, and what the stores had of them when it was made.

    It lies in the log at `position` of `partition`. `visitors` are those who signed in as the customer; what they
    had is counted in.
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
        """This as JSON takes it; of sessions, how many they were.

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
    def names(self) -> tuple[CustomerId, ...]:
        """Everybody who is to be forgotten."""
        return (self.customer_id, *self.visitors)


@attrs.frozen
class Receipt:
    """How far a forgetting has come, and what the stores still have of the customer, by what it is; zeros only once it
    is done.

    `records_before` is how many records the owner has yet to fold before it. `stays` says in words what no store can
    let go of, and how long it is there.
    """

    forgetting: Forgetting
    progress: Progress
    records_before: int
    left: Mapping[str, int]
    stays: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it; see `Forgetting.as_dict`.

        Example:
            {"forgetting": {"customer_id": "ada", ...}, "is_done": False, "progress": "queued", "records_before": 2,
             "left": {"profile": 1, "sessions": 1, "reviews": 1, "dead_letters": 0,
             "snapshot_profiles": 0}, "stays": ["what was ..."]}
        """
        return {
            "forgetting": self.forgetting.as_dict(),
            "is_done": self.is_done,
            "progress": self.progress.value,
            "records_before": self.records_before,
            "left": {name.replace(" ", "_"): count for name, count in self.left.items()},
            "stays": list(self.stays),
        }

    @property
    def is_done(self) -> bool:
        """Whether the workers are through with it, and nothing is left that a store could let go of."""
        return self.progress is Progress.PROCESSED and not any(self.left.values())


class ForgetCustomer:
    """Publishes that a customer is to be forgotten. The worker that owns the customer does it, in the log's order.

    `log_keeps` says in words how long the log keeps what was published.
    """

    def __init__(
        self,
        publish: PublishEvents,
        customers: CustomerQueries,
        outputs: Outputs,
        follow: FollowForgetting,
        clock: Clock,
        keeps: Sequence[str],
        snapshots: Snapshots,
    ) -> None:
        self._publish = publish
        self._customers = customers
        self._outputs = outputs
        self._follow = follow
        self._clock = clock
        self._keeps = keeps
        self._snapshots = snapshots

    def __call__(self, customer_id: CustomerId) -> Forgetting:
        """Ask for a customer to be forgotten as of now, or of when they were last seen, where that is later still.

        Records up to then that come later, by a replay, are counted as forgotten and not folded.

        Raises:
            UnknownCustomer: it is a visitor who has signed in: what they did is the customer's.
        """
        customer = self._customers.read_customer(customer_id)
        alias_of = None if customer is None else customer.aliases.alias_of
        if alias_of is not None:
            raise UnknownCustomer(
                f"{customer_id} has signed in, and is {alias_of} since: forget that one, whom the visitor goes with"
            )
        last_seen_ms = customer.visits.last_seen_ms if customer is not None else None
        as_of_ms = max(self._clock.now_ms(), last_seen_ms or 0)
        known = self._known(customer_id, customer, as_of_ms)
        event = {
            "event_type": EventKind.CUSTOMER_FORGOTTEN.value,
            **naming(customer_id),
            "timestamp": as_of_ms,
        }
        partition, position = self._publish.publish_one(event)
        if position < 0:
            position = self._follow.end_of(partition) - 1
        return attrs.evolve(known, partition=partition, position=position)

    def _known(self, customer_id: CustomerId, customer: Customer | None, as_of_ms: int) -> Forgetting:
        """What is known of a customer before it is known where in the log the forgetting lies."""
        if customer is None:
            return Forgetting(customer_id, as_of_ms, 0, 0)
        visitors = {one: self._customers.read_customer(one) for one in customer.aliases.visitors}
        theirs = [customer, *(visitor for visitor in visitors.values() if visitor is not None)]
        sessions = [key for one in theirs for key in one.visits.session_keys]
        reviews = sum(len(self._customers.reviews(one.customer_id)) for one in theirs)
        events = sum(customer.visits.counts.values())
        return Forgetting(customer_id, as_of_ms, 0, 0, events, reviews, tuple(sessions), tuple(visitors))

    def receipt(self, forgetting: Forgetting) -> Receipt:
        """See how far the workers have come, and look into every store for what is left of a customer.

        Of dead letters the first 10,000 are looked at; those in Kafka cannot be taken back, and are among what stays.
        """
        progress, records_before = self._follow(forgetting.partition, forgetting.position)
        known = [self._customers.read_customer(name) for name in forgetting.names]
        profiles = sum(one is not None and one.forgotten_at_ms < forgetting.as_of_ms for one in known)  # else: new ones
        sessions = self._customers.session_summaries(forgetting.sessions, self._clock.now_ms())
        reviews = [review for name in forgetting.names for review in self._customers.reviews(name)]
        found = [
            letter
            for letter in self._outputs.dead_letters(LETTERS_READ)
            if letter.customer_id in forgetting.names and _is_before(letter.record, forgetting)
        ]
        letters = [letter for letter in found if self._outputs.can_retract and not letter.reason.startswith(MISROUTED)]
        stays = [
            *self._keeps,
            "what everybody's events add up to, in numbers: views, purchases and ratings of products",
            "a digest of the id with the time, so that a replay brings nothing back",
            "in the lists of products numbers of sessions that lead nowhere, until newer ones push them out",
            "dead letters of which it cannot be read whose they are, as lines that were cut off",
        ]
        if len(found) > len(letters):
            others = len(found) - len(letters)
            why = "in a partition of somebody else's"
            if not self._outputs.can_retract:
                why = "until the retention of their topic ends"
            stays.append(f"{counted(others, 'dead letter')}, {why}")
        return Receipt(
            forgetting,
            progress,
            records_before,
            {
                "profile": profiles,
                "sessions": len(sessions),
                "reviews": sum(review.occurred_at_ms <= forgetting.as_of_ms for review in reviews),
                "dead letters": len(letters),
                "snapshot profiles": self._snapshots.forgotten(),  # whose: a visitor may be theirs whom nobody knew of
            },
            tuple(stays),
        )


def _is_before(record: Record, forgetting: Forgetting) -> bool:
    """Whether a record came before a forgetting: in its partition by position, in others by time."""
    if record.partition == forgetting.partition:
        return record.position < forgetting.position
    return record.appended_at_ms <= forgetting.as_of_ms
