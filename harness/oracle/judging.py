"""What becomes of each event of a customer, by its id and time, and which ids are known after it.

Written from the definitions: an event that comes again is told by its id as long as the id is remembered. Of a
customer's own events the newest ids are, of repairs (`replayed`) the newest of these; ids that came by a sign-in are
remembered in the order they came.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import attrs

from harness.oracle.sign_in import LATEST, Placed, history_in, latest_ms
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass

NEVER_MS: Final = -1

Remembered = frozenset[tuple[int, str]]
"""Time and digest of each event that is remembered."""


@attrs.frozen
class ExpectedSeen:
    """What tells a customer's events that come again: their own, repairs, and those that came by a sign-in."""

    floor_ms: int = NEVER_MS
    own: Remembered = frozenset()
    repairs_floor_ms: int = NEVER_MS
    repairs: Remembered = frozenset()
    merged: tuple[str, ...] = ()
    forwarded_up_to: dict[int, int] = attrs.Factory(dict)

    @property
    def ids(self) -> frozenset[str]:
        """The digests of all."""
        return frozenset((*(id_ for _, id_ in (*self.own, *self.repairs)), *self.merged))


@attrs.frozen
class Judgement:
    """What becomes of each event, up to when all is forgotten each time, and which ids are known at the end.

    `known_at` has, for each sign-in of a visitor that was applied, which ids were known then; `duplicates` for each
    profile that was merged, which events of it the customer had counted already.
    """

    classes: list[RecordClass]
    forgettings_ms: list[int]
    seen: ExpectedSeen
    known_at: dict[int, frozenset[str]]
    repeats: dict[int, list[Contribution]]

    @property
    def forgotten_at_ms(self) -> int:
        """Up to when all is forgotten."""
        return self.forgettings_ms[-1] if self.forgettings_ms else NEVER_MS


@attrs.define
class _Newest:
    """Ids of which the newest are remembered: whenever half as many again as `keep` are held, or a further half, the
    newest are kept, whole instants, but no more than `same_timestamp_max` for their sake."""

    keep: int
    instant_max: int
    held: list[tuple[int, str]] = attrs.Factory(list)
    floor_ms: int = NEVER_MS

    def add(self, at_ms: int, digest: str) -> None:
        self.held.append((at_ms, digest))
        over = len(self.held) - self.keep
        if over <= 0 or over % max(1, self.keep // 2):
            return
        newest_first = sorted(self.held, reverse=True)
        instants_whole = sum(time >= newest_first[self.keep - 1][0] for time, _ in self.held)
        kept = max(self.keep, min(self.instant_max, instants_whole))
        self.floor_ms = max([self.floor_ms, *(time for time, _ in newest_first[kept:])])
        self.held = newest_first[:kept]


@attrs.define
class _Life:
    """What is known between two forgettings."""

    settings: ProfileSettings
    newest_ms: int = NEVER_MS
    merged: list[str] = attrs.Factory(list)
    forwarded_up_to: dict[int, int] = attrs.Factory(dict)
    visitors: dict[CustomerId, str] = attrs.Factory(dict)
    own: _Newest = attrs.field(init=False)
    repairs: _Newest = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.own = _Newest(self.settings.dedup_events, self.settings.dedup_same_timestamp_max)
        self.repairs = _Newest(self.settings.dedup_replays, self.settings.dedup_same_timestamp_max)

    def ids(self) -> frozenset[str]:
        return frozenset((*self.merged, *(id_ for _, id_ in (*self.own.held, *self.repairs.held))))

    def remember_merged(self, digests: Sequence[str]) -> None:
        self.merged = [*self.merged, *digests][-self.settings.dedup_merged_ids_max :]

    def comes_again(self, event: Event) -> bool:
        """Whether a forwarded record, or a profile, stands at or before the last one that came from its partition."""
        if event.forwarded is None:
            return False
        partition, position = event.forwarded
        return position <= self.forwarded_up_to.get(partition, -1)

    def judge(self, event: Event) -> RecordClass:
        """Say what becomes of an event that no forgetting covers."""
        digest, at_ms = digest_of(event.event_id), event.occurred_at_ms
        if self.comes_again(event):
            return RecordClass.DUPLICATE
        if event.forwarded is not None:
            self.forwarded_up_to[event.forwarded[0]] = event.forwarded[1]
        if digest in self.ids():
            return RecordClass.DUPLICATE
        if event.forwarded is not None:
            self.remember_merged([digest])
        elif event.replayed:
            if at_ms <= self.repairs.floor_ms:
                return RecordClass.DEAD_LETTER
            self.repairs.add(at_ms, digest)
        elif at_ms <= self.own.floor_ms:
            return RecordClass.DEAD_LETTER
        else:
            self.own.add(at_ms, digest)
        self.newest_ms = max(self.newest_ms, at_ms)
        return RecordClass.APPLIED

    def knows_profile(self, event: Event, visitor: CustomerId) -> bool:
        return self.comes_again(event) or self.visitors.get(visitor) == event.event_id

    def merge(self, event: Event, visitor: CustomerId, digests: Sequence[str]) -> None:
        """Note a visitor's profile, the visitor who signed in last at the end."""
        if event.forwarded is not None:
            self.forwarded_up_to[event.forwarded[0]] = event.forwarded[1]
        self.visitors.pop(visitor, None)
        self.visitors[visitor] = event.event_id
        self.visitors = dict(list(self.visitors.items())[-self.settings.visitors_max :])
        self.remember_merged(digests)
        self.newest_ms = max(self.newest_ms, latest_ms(event))


def judged(placed: Sequence[Placed], settings: ProfileSettings) -> Judgement:
    """Say of each event what becomes of it (a dead letter is one too old), and what is remembered of it all.

    A forgetting reaches to the newest event it erases, but not beyond the latest time that an event may have by then.
    """
    classes: list[RecordClass] = []
    forgettings_ms: list[int] = []
    known_at: dict[int, frozenset[str]] = {}
    repeats: dict[int, list[Contribution]] = {}
    life, forgotten_at_ms = _Life(settings), NEVER_MS
    for number, (_, event) in enumerate(placed):
        history, at_ms = history_in(event), event.occurred_at_ms
        if history is not None and life.knows_profile(event, history.customer_id):
            classes.append(RecordClass.DUPLICATE)
        elif at_ms <= forgotten_at_ms:
            classes.append(RecordClass.FORGOTTEN)
        elif event.kind is EventKind.CUSTOMER_FORGOTTEN:
            latest = event.properties[LATEST]
            forgotten_at_ms = max(at_ms, min(life.newest_ms, latest if isinstance(latest, int) else at_ms))
            forgettings_ms.append(forgotten_at_ms)
            life = _Life(settings)
            classes.append(RecordClass.APPLIED)
        elif history is not None:
            known = life.ids()
            repeats[number] = [one for one in history.contributions if one.digest.hex() in known]
            life.merge(event, history.customer_id, digests_in(history.seen.merged_ids))
            classes.append(RecordClass.APPLIED)
        else:
            classes.append(life.judge(event))
            if event.identified_as is not None:
                known_at[number] = life.ids()
    seen = ExpectedSeen(
        life.own.floor_ms,
        frozenset(life.own.held),
        life.repairs.floor_ms,
        frozenset(life.repairs.held),
        tuple(life.merged),
        life.forwarded_up_to,
    )
    return Judgement(classes, forgettings_ms, seen, known_at, repeats)


def digest_of(event_id: str) -> str:
    """What is remembered of an id: 64 bits of BLAKE2b, in hexadecimal."""
    return blake2b(event_id.encode(), digest_size=8).hexdigest()


def digests_in(written: bytes) -> list[str]:
    """Read digests of 8 bytes, one behind the other."""
    return [written[at : at + 8].hex() for at in range(0, len(written), 8)]
