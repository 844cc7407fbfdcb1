"""The class of each event of a customer, by its id and time; and which ids are remembered afterwards.

Written from the definitions. An event is a duplicate as long as its id is remembered. Of a customer's own events the
newest ids are remembered, and separately those of replayed events; ids that a sign-in or forwarding brought are
remembered in the order in which they came.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import attrs

from harness.oracle.identity import LATEST_MS, KeyedEvent, merged_profile_in, newest_time_ms
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass

NEVER_MS: Final = -1

TimedIds = frozenset[tuple[int, str]]
"""The time and the id's digest of each event that is remembered."""


@attrs.frozen
class ExpectedSeenEvents:
    """The ids that must be remembered: of own events, of replayed events, and of events that were merged or forwarded.

    A `floor_ms` is the time at or before which an unknown event is too old to be distinguished from a duplicate.
    """

    floor_ms: int = NEVER_MS
    own_ids: TimedIds = frozenset()
    replays_floor_ms: int = NEVER_MS
    replayed_ids: TimedIds = frozenset()
    merged_ids: tuple[str, ...] = ()
    forwarded_up_to: dict[int, int] = attrs.Factory(dict)


@attrs.frozen
class Deduplication:
    """What deduplication makes of a customer's events.

    `classes` and `forgettings_ms` are in log order. `ids_at_sign_in` has the ids that were remembered at each applied
    sign-in of a visitor; `duplicates` has the contributions of each merged profile that the customer had counted
    already, `excluded_duplicates` those that were excluded. All are by the event's index.
    """

    classes: list[RecordClass]
    forgettings_ms: list[int]
    seen: ExpectedSeenEvents
    ids_at_sign_in: dict[int, frozenset[str]]
    duplicates: dict[int, list[Contribution]]
    excluded_duplicates: dict[int, list[Contribution]]

    @property
    def forgotten_at_ms(self) -> int:
        """The time up to which everything is forgotten."""
        return self.forgettings_ms[-1] if self.forgettings_ms else NEVER_MS


@attrs.define
class _SeenIds:
    """The newest ids. Each time half of `keep` ids more than `keep` were added, all but the `keep` newest are evicted.

    Events of the same time are evicted together, unless that would keep more than `same_timestamp_max` ids.
    """

    keep: int
    same_timestamp_max: int
    ids: list[tuple[int, str]] = attrs.Factory(list)
    floor_ms: int = NEVER_MS

    def add(self, at_ms: int, digest: str) -> None:
        self.ids.append((at_ms, digest))
        over = len(self.ids) - self.keep
        if over <= 0 or over % max(1, self.keep // 2):
            return
        newest_first = sorted(self.ids, reverse=True)
        with_whole_timestamp = sum(time >= newest_first[self.keep - 1][0] for time, _ in self.ids)
        kept = max(self.keep, min(self.same_timestamp_max, with_whole_timestamp))
        self.floor_ms = max([self.floor_ms, *(time for time, _ in newest_first[kept:])])
        self.ids = newest_first[:kept]


@attrs.define
class _SeenEvents:
    """What is remembered between two forgettings."""

    settings: ProfileSettings
    newest_ms: int = NEVER_MS
    merged_ids: list[str] = attrs.Factory(list)
    forwarded_up_to: dict[int, int] = attrs.Factory(dict)
    visitors: dict[CustomerId, str] = attrs.Factory(dict)
    own_ids: _SeenIds = attrs.field(init=False)
    replayed_ids: _SeenIds = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.own_ids = _SeenIds(self.settings.dedup_events, self.settings.dedup_same_timestamp_max)
        self.replayed_ids = _SeenIds(self.settings.dedup_replays, self.settings.dedup_same_timestamp_max)

    def all_ids(self) -> frozenset[str]:
        return frozenset((*self.merged_ids, *(id_ for _, id_ in (*self.own_ids.ids, *self.replayed_ids.ids))))

    def add_merged(self, digests: Sequence[str]) -> None:
        self.merged_ids = [*self.merged_ids, *digests][-self.settings.dedup_merged_ids_max :]

    def was_forwarded_before(self, event: Event) -> bool:
        """Whether a record of the same partition at or after this position was forwarded already."""
        if event.forwarded is None:
            return False
        partition, position = event.forwarded
        return position <= self.forwarded_up_to.get(partition, -1)

    def classify(self, event: Event) -> RecordClass:
        """Classify an event that is newer than the last forgetting, and remember its id where it is applied."""
        digest, at_ms = digest_of(event.event_id), event.occurred_at_ms
        if self.was_forwarded_before(event):
            return RecordClass.DUPLICATE
        if event.forwarded is not None:
            self.forwarded_up_to[event.forwarded[0]] = event.forwarded[1]
        if digest in self.all_ids():
            return RecordClass.DUPLICATE
        if event.forwarded is not None:
            self.add_merged([digest])
        elif event.replayed:
            if at_ms <= self.replayed_ids.floor_ms:
                return RecordClass.DEAD_LETTER
            self.replayed_ids.add(at_ms, digest)
        elif at_ms <= self.own_ids.floor_ms:
            return RecordClass.DEAD_LETTER
        else:
            self.own_ids.add(at_ms, digest)
        self.newest_ms = max(self.newest_ms, at_ms)
        return RecordClass.APPLIED

    def has_merged(self, event: Event, visitor: CustomerId) -> bool:
        return self.was_forwarded_before(event) or self.visitors.get(visitor) == event.event_id

    def merge(self, event: Event, visitor: CustomerId, digests: Sequence[str]) -> None:
        """Remember a visitor's profile; the visitor becomes the newest."""
        if event.forwarded is not None:
            self.forwarded_up_to[event.forwarded[0]] = event.forwarded[1]
        self.visitors.pop(visitor, None)
        self.visitors[visitor] = event.event_id
        self.visitors = dict(list(self.visitors.items())[-self.settings.visitors_max :])
        self.add_merged(digests)
        self.newest_ms = max(self.newest_ms, newest_time_ms(event))

    def expected(self) -> ExpectedSeenEvents:
        return ExpectedSeenEvents(
            self.own_ids.floor_ms,
            frozenset(self.own_ids.ids),
            self.replayed_ids.floor_ms,
            frozenset(self.replayed_ids.ids),
            tuple(self.merged_ids),
            self.forwarded_up_to,
        )


def deduplicate(events: Sequence[KeyedEvent], settings: ProfileSettings) -> Deduplication:
    """Classify all events of a customer, in log order. An event too old for deduplication is a dead letter.

    A forgetting covers times up to the newest event that it erases, but not beyond the latest time that an event may
    have when the forgetting is appended.
    """
    classes: list[RecordClass] = []
    forgettings_ms: list[int] = []
    ids_at_sign_in: dict[int, frozenset[str]] = {}
    duplicates: dict[int, list[Contribution]] = {}
    excluded_duplicates: dict[int, list[Contribution]] = {}
    seen, forgotten_at_ms = _SeenEvents(settings), NEVER_MS
    for number, (_, event) in enumerate(events):
        profile, at_ms = merged_profile_in(event), event.occurred_at_ms
        if profile is not None and seen.has_merged(event, profile.customer_id):
            classes.append(RecordClass.DUPLICATE)
        elif at_ms <= forgotten_at_ms:
            classes.append(RecordClass.FORGOTTEN)
        elif event.kind is EventKind.CUSTOMER_FORGOTTEN:
            latest = event.properties[LATEST_MS]
            forgotten_at_ms = max(at_ms, min(seen.newest_ms, latest if isinstance(latest, int) else at_ms))
            forgettings_ms.append(forgotten_at_ms)
            seen = _SeenEvents(settings)
            classes.append(RecordClass.APPLIED)
        elif profile is not None:
            known = seen.all_ids()
            duplicates[number] = [each for each in profile.contributions if each.digest.hex() in known]
            excluded_duplicates[number] = [
                each for each in profile.excluded_contributions if each.digest.hex() in known
            ]
            seen.merge(event, profile.customer_id, digests_in(profile.seen.merged_ids))
            classes.append(RecordClass.APPLIED)
        else:
            classes.append(seen.classify(event))
            if event.identified_as is not None:
                ids_at_sign_in[number] = seen.all_ids()
    return Deduplication(classes, forgettings_ms, seen.expected(), ids_at_sign_in, duplicates, excluded_duplicates)


def digest_of(event_id: str) -> str:
    """The digest by which an id is remembered: 64 bits of BLAKE2b, in hexadecimal."""
    return blake2b(event_id.encode(), digest_size=8).hexdigest()


def digests_in(written: bytes) -> list[str]:
    """Read digests of 8 bytes each that are stored one after the other."""
    return [written[start : start + 8].hex() for start in range(0, len(written), 8)]
