"""Which events a customer has had already, within bounded memory."""

from enum import Enum
from hashlib import blake2b
from typing import Final

import attrs

_ENTRY: Final = 16  # bytes: 8 of time, big-endian, so that sorting the bytes sorts by time, and 8 of the id's digest
_DIGEST_AT: Final = 8
BEFORE_ALL_TIME: Final = -1


class Verdict(Enum):
    """What becomes of one event in its customer's fold."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"
    TOO_OLD = "too_old"


@attrs.define
class EventMemory:
    """The ids of a customer's newest events: what tells a repeat from news.

    Holds a 64-bit digest and the time of each event. When `2 × keep` are held, or a larger multiple of `keep`, it is
    cut back to the newest `keep`; events of one instant stay together (an order of 500 lines has one time), up to
    `instant_max`. `floor_ms` is the latest time among those it let go: at or before it, a repeat could no longer be
    told from news.
    """

    entries: bytes = b""
    floor_ms: int = BEFORE_ALL_TIME

    def admit(self, event_id: str, at_ms: int, replayed: bool, keep: int, instant_max: int) -> Verdict:
        """Judge an event by its id and time, and remember it when it is news."""
        digest = blake2b(event_id.encode(), digest_size=8).digest()
        entries = self.entries
        found = entries.find(digest)
        while found >= 0 and found % _ENTRY != _DIGEST_AT:
            found = entries.find(digest, found + 1)
        if found >= 0:
            return Verdict.DUPLICATE
        if at_ms <= self.floor_ms and not replayed:
            return Verdict.TOO_OLD
        self.entries = entries = entries + at_ms.to_bytes(8) + digest
        held = len(entries) // _ENTRY
        if held >= 2 * keep and held % keep == 0:
            self._let_go(keep, instant_max)
        return Verdict.APPLIED

    def _let_go(self, keep: int, instant_max: int) -> None:
        entries = self.entries
        ordered = sorted(entries[at : at + _ENTRY] for at in range(0, len(entries), _ENTRY))
        cut = len(ordered) - keep
        while cut > 0 and len(ordered) - cut < instant_max and ordered[cut - 1][:8] == ordered[cut][:8]:
            cut -= 1
        if cut > 0:
            self.floor_ms = max(self.floor_ms, int.from_bytes(ordered[cut - 1][:8]))
            self.entries = b"".join(ordered[cut:])
