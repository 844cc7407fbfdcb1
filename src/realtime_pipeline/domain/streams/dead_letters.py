"""Dead letters as people handle them: each has an id, and a state that says whether anything is left to do."""

import re
from typing import Final, NamedTuple

import attrs

from realtime_pipeline.domain.open_enum import OpenStrEnum
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.record_document import record_document
from realtime_pipeline.domain.streams.records import Record

_ID: Final = re.compile(r"(\d{1,6})-(\d{1,18})", re.ASCII)


class LetterKey(NamedTuple):
    """What tells a dead letter from all others: the place of its record in the log, and when the log took that in.

    The time tells records apart that had one place in two logs, as after a topic was deleted and made again.
    """

    partition: int
    position: int
    appended_at_ms: int


class LetterState(OpenStrEnum):
    """Whether a dead letter is still to be seen to; in a state that only a newer release knows, it is not open."""

    OPEN = "open"
    REPLAYED = "replayed"
    RESOLVED = "resolved"


@attrs.frozen
class Handling:
    """What was done about a dead letter, when (ms since 1970, UTC), and what whoever did it noted down."""

    state: LetterState
    at_ms: int
    note: str = ""


@attrs.frozen
class Letter:
    """A dead letter with what was done about it; None as long as nothing was."""

    dead_letter: DeadLetter
    handling: Handling | None = None

    @property
    def id(self) -> str:
        """Partition and position of its record, as `3-1417`."""
        return f"{self.record.partition}-{self.record.position}"

    @property
    def key(self) -> LetterKey:
        """What tells it from all others."""
        return key_of(self.dead_letter)

    @property
    def state(self) -> LetterState:
        """Whether it is still to be seen to."""
        return LetterState.OPEN if self.handling is None else self.handling.state

    @property
    def record(self) -> Record:
        """The record that could not be folded."""
        return self.dead_letter.record

    @property
    def reason(self) -> str:
        """Why it could not be folded."""
        return self.dead_letter.reason

    @property
    def code(self) -> str:
        """The reason in a word, as `not_json`: what stands before the colon."""
        return self.dead_letter.reason.partition(":")[0]

    @property
    def customer_id(self) -> CustomerId | None:
        """Whose it is, as far as that could be read."""
        return self.dead_letter.customer_id

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it: bytes that are UTF-8 as text, others in base64 under `…_base64`."""
        handling = self.handling
        return {
            "id": self.id,
            "state": self.state.value,
            "handled_at": None if handling is None else utc_text(handling.at_ms),
            "note": None if handling is None else handling.note,
            "reason": self.reason,
            "customer_id": self.customer_id,
            **record_document(self.record),
        }


@attrs.frozen
class Repair:
    """What is to be published in place of the letter of an id; None where nothing was made of it yet.

    `appended_at` says, as text, when the log took the letter's record in: in another log another record has the id.
    None where that is not known.
    """

    letter_id: str
    value: bytes | None
    appended_at: str | None = None


def key_of(letter: DeadLetter) -> LetterKey:
    """What tells a dead letter from all others."""
    record = letter.record
    return LetterKey(record.partition, record.position, record.appended_at_ms)


def place_in(letter_id: object) -> tuple[int, int] | None:
    """The partition and position that an id names; None where it is no id."""
    found = _ID.fullmatch(letter_id) if isinstance(letter_id, str) else None
    return None if found is None else (int(found[1]), int(found[2]))
