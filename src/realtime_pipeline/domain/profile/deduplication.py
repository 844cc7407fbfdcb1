"""Deduplication (dedupe): which events a customer has had already, within bounded memory."""

from enum import Enum
from hashlib import blake2b
from typing import Final

import attrs

from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event

DIGEST_BYTES: Final = 8
_TIME_BYTES: Final = 6
_ENTRY: Final = _TIME_BYTES + DIGEST_BYTES
"""A time in ms, big-endian, so that sorting the bytes sorts by time (6 bytes reach to the year 10889); then the id's
digest."""
BEFORE_ALL_TIME: Final = -1


class Verdict(Enum):
    """What becomes of one event in its customer's fold."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"
    TOO_OLD = "too_old"


def digest_of(event_id: str) -> bytes:
    """Shorten an event id to 64 bits: two ids of one customer with the same digest count as one event."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


@attrs.define
class SeenIds:
    """The ids of the newest events: what tells a repeat from a first delivery.

    Holds a 64-bit digest and the time of each event. When half as many again as `keep` are held, or a further half, it
    is cut back to the newest `keep`; events of one instant stay together (an order of 500 lines has one time), up to
    `same_timestamp_max`. `floor_ms` is the latest time among those it evicted: at or before it, a repeat can no longer
    be told from a first delivery.
    """

    entries: bytes = b""
    floor_ms: int = BEFORE_ALL_TIME

    def contains(self, digest: bytes) -> bool:
        """Whether an event of this id is remembered."""
        entries = self.entries
        found = entries.find(digest)
        while found >= 0 and found % _ENTRY != _TIME_BYTES:
            found = entries.find(digest, found + 1)
        return found >= 0

    def add(self, digest: bytes, at_ms: int, keep: int, same_timestamp_max: int) -> None:
        """Remember an event that it does not have."""
        self.entries = entries = self.entries + at_ms.to_bytes(_TIME_BYTES) + digest
        over = len(entries) // _ENTRY - keep
        if over > 0 and over % max(1, keep // 2) == 0:
            self._evict(keep, same_timestamp_max)

    def digests(self) -> bytes:
        """The digests of all events remembered, one behind the other, the first that came first."""
        entries = self.entries
        return b"".join([entries[at + _TIME_BYTES : at + _ENTRY] for at in range(0, len(entries), _ENTRY)])

    def _evict(self, keep: int, same_timestamp_max: int) -> None:
        entries = self.entries
        ordered = sorted(entries[at : at + _ENTRY] for at in range(0, len(entries), _ENTRY))
        cut = len(ordered) - keep
        time = slice(_TIME_BYTES)
        while cut > 0 and len(ordered) - cut < same_timestamp_max and ordered[cut - 1][time] == ordered[cut][time]:
            cut -= 1
        if cut > 0:
            self.floor_ms = max(self.floor_ms, int.from_bytes(ordered[cut - 1][time]))
            self.entries = b"".join(ordered[cut:])


@attrs.define
class SeenEvents(SeenIds):
    """All that tells a customer's events that come again from first deliveries.

    It holds the ids of the customer's own events; `repairs` those of events that were `replayed`, `merged_ids` the
    digests of ids that came by a sign-in, the oldest first: these come when outputs do, so they never decide whether an
    event of the customer's own is too old. `forwarded_up_to` maps each partition where a visitor signed in as the
    customer to the last position from which a profile or an event was forwarded.
    """

    repairs: SeenIds | None = None
    merged_ids: bytes = b""
    forwarded_up_to: dict[int, int] = attrs.Factory(dict)

    def admit(self, event: Event, settings: ProfileSettings) -> Verdict:
        """Judge an event by its id and time, and remember it when it is its first delivery."""
        digest = blake2b(event.event_id.encode(), digest_size=DIGEST_BYTES).digest()
        if event.forwarded is not None or event.replayed:
            return self._admit_late(event, digest, settings)
        may_repeat = digest in self.entries or self.merged_ids or self.repairs is not None  # mostly nothing of it
        if may_repeat and self.has_counted(digest):
            return Verdict.DUPLICATE
        if event.occurred_at_ms <= self.floor_ms:
            return Verdict.TOO_OLD
        self.add(digest, event.occurred_at_ms, settings.dedup_events, settings.dedup_same_timestamp_max)
        return Verdict.APPLIED

    def _admit_late(self, event: Event, digest: bytes, settings: ProfileSettings) -> Verdict:
        """Judge an event that may be older than the memory reaches.

        What was forwarded has been judged by the visitor's memory: how late it comes decides nothing here. `replayed`
        events have a memory of their own, which tells a repair that is published twice.
        """
        if event.forwarded is not None and not self.advance(event.forwarded):
            return Verdict.DUPLICATE
        if self.has_counted(digest):
            return Verdict.DUPLICATE
        if event.forwarded is not None:
            self.add_merged(digest, settings)
            return Verdict.APPLIED
        repairs = self.repairs = self.repairs or SeenIds()
        if event.occurred_at_ms <= repairs.floor_ms:
            return Verdict.TOO_OLD
        repairs.add(digest, event.occurred_at_ms, settings.dedup_replays, settings.dedup_same_timestamp_max)
        return Verdict.APPLIED

    def has_counted(self, digest: bytes) -> bool:
        """Whether an event of this id was counted, as far as ids are remembered."""
        return (
            self.contains(digest)
            or (self.repairs is not None and self.repairs.contains(digest))
            or (bool(self.merged_ids) and _holds(self.merged_ids, digest))
        )

    def advance(self, log_position: tuple[int, int]) -> bool:
        """Note the position up to which a partition has forwarded something; False where that came before.

        A partition forwards in the order of its positions, so a position at or before the last is a repeat,
        however long ago: another store that is built from the same log forwards everything again.
        """
        partition, position = log_position
        if position <= self.forwarded_up_to.get(partition, -1):
            return False
        self.forwarded_up_to[partition] = position
        return True

    def all_digests(self) -> bytes:
        """The digests of all ids remembered, however they came."""
        repairs = b"" if self.repairs is None else self.repairs.digests()
        return self.merged_ids + repairs + self.digests()

    def add_merged(self, digests: bytes, settings: ProfileSettings) -> None:
        """Remember ids that came by a sign-in; over `dedup_merged_ids_max` those that came first leave."""
        self.merged_ids = (self.merged_ids + digests)[-DIGEST_BYTES * settings.dedup_merged_ids_max :]


def _holds(digests: bytes, digest: bytes) -> bool:
    """Whether a row of digests has this one, at a place where one begins."""
    found = digests.find(digest)
    while found >= 0 and found % DIGEST_BYTES:
        found = digests.find(digest, found + 1)
    return found >= 0
