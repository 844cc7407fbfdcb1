"""The effects of folding some records of one partition: the value that every engine produces and tests assert on."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.analytics.pane_table import PaneTable
from realtime_pipeline.domain.analytics.panes import ChunkChanges, PaneId
from realtime_pipeline.domain.open_enum import OpenStrEnum
from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.views.deltas import Deltas

TOO_OLD: Final = "too_old: so many newer events of this customer were folded that a repeat could not be told from news"


class RecordClass(OpenStrEnum):
    """Every record read is in exactly one of these."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    FORGOTTEN = "forgotten"
    FORWARDED = "forwarded"
    DEAD_LETTER = "dead_letter"
    CONTROL = "control"


@attrs.frozen
class DeadLetter:
    """A record that could not be folded, whole, with the reason: it can be mended and published again.

    It goes when the customer whose it is is forgotten.
    """

    record: Record
    reason: str
    customer_id: CustomerId | None = None


@attrs.frozen
class Effects:
    """The outcome of a fold: changed customers and sessions, deltas for the views, outputs, a count per class.

    `tombstones` are the customers forgotten in this range, with the time: the store erases their records first;
    a customer who came back since is among `customers` again. A review of None is taken down. `messages` are for other
    customers, whose owners find them in the log. `ignored_types` counts ignored events by the name of their type.
    Earlier dead letters and late events of `letters_forgotten` are taken back: of all customers that a record of this
    range has forgotten, also as of a time that is forgotten already. `panes` has the new values of the chunks of
    windows.
    """

    customers: Mapping[CustomerId, Customer]
    sessions: Mapping[SessionKey, Session]
    sessions_dropped: frozenset[SessionKey]
    reviews: Mapping[tuple[CustomerId, ProductId], Review | None]
    tombstones: Mapping[CustomerId, int]
    deltas: Deltas
    dead_letters: tuple[DeadLetter, ...]
    counts: Mapping[RecordClass, int]
    messages: tuple[Message, ...] = ()
    ignored_types: Mapping[str, int] = attrs.Factory(dict)
    letters_forgotten: frozenset[CustomerId] = frozenset()
    panes: Mapping[PaneId, ChunkChanges] = attrs.Factory(dict)
    late_events: tuple[LateEvent, ...] = ()


@attrs.define
class EffectsBuilder:
    """The effects of the records folded so far; `changed` are the customers that they changed."""

    changed: dict[CustomerId, Customer] = attrs.Factory(dict)
    changes: Changes = attrs.Factory(Changes)
    deltas: Deltas = attrs.Factory(Deltas)
    messages: list[Message] = attrs.Factory(list)
    dead_letters: list[DeadLetter] = attrs.Factory(list)
    late_events: list[LateEvent] = attrs.Factory(list)
    letters_forgotten: set[CustomerId] = attrs.Factory(set)
    ignored_types: dict[str, int] = attrs.Factory(dict)
    counts: dict[RecordClass, int] = attrs.Factory(lambda: dict.fromkeys(RecordClass, 0))
    windows: PaneTable | None = None

    def reject(self, record: Record, reason: str, customer_id: CustomerId | None) -> RecordClass:
        """Make a record a dead letter; return its class."""
        self.dead_letters.append(DeadLetter(record, reason, customer_id))
        return RecordClass.DEAD_LETTER

    def refuse(self, record: Record, verdict: Verdict, customer_id: CustomerId) -> RecordClass:
        """The class of an event that its customer did not apply; a dead letter where it is too old to be judged."""
        if verdict is Verdict.TOO_OLD:
            return self.reject(record, TOO_OLD, customer_id)
        return RecordClass.DUPLICATE if verdict is Verdict.DUPLICATE else RecordClass.FORGOTTEN

    def add_late(self, record: Record, event: Event, missed: Sequence[MissedWindows], time_ms: int) -> None:
        """Note that an event is late, by the partition's time before it.

        It is of the customer that its record names, also where they are an alias: their forgetting comes to the
        partition of the record.
        """
        self.late_events.append(LateEvent(record, tuple(missed), event.occurred_at_ms, time_ms, event.customer_id))

    def ignore(self, event_type: str) -> RecordClass:
        """Count an event of a type without a meaning; return its class."""
        self.ignored_types[event_type] = self.ignored_types.get(event_type, 0) + 1
        return RecordClass.IGNORED

    def build(self) -> Effects:
        """The effects."""
        return Effects(
            customers={id_: customer for id_, customer in self.changed.items() if not customer.is_blank},
            sessions=self.changes.sessions,
            sessions_dropped=frozenset(self.changes.sessions_dropped),
            reviews=self.changes.reviews,
            tombstones=self.changes.tombstones,
            deltas=self.deltas,
            dead_letters=tuple(self.dead_letters),
            counts={name: count for name, count in self.counts.items() if count},
            messages=tuple(self.messages),
            ignored_types=self.ignored_types,
            letters_forgotten=frozenset(self.letters_forgotten),
            panes={} if self.windows is None else self.windows.changes(),
            late_events=tuple(self.late_events),
        )
