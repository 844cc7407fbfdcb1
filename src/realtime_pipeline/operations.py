"""What whoever operates a pipeline asks of it: its dead letters, and what became of an event."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.maintenance.handle_dead_letters import Replay, Selection
from realtime_pipeline.application.serving.request_checks import bounded_limit, checked_customer_id
from realtime_pipeline.composition.container import Container
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterState, Repair
from realtime_pipeline.domain.streams.traces import Trace
from realtime_pipeline.infrastructure.codecs.dead_letters import encode_letter
from realtime_pipeline.infrastructure.codecs.events import encode_event


class Operations(ABC):
    """The part of a `Pipeline` that is for whoever operates it."""

    @property
    @abstractmethod
    def _checked_container(self) -> Container:
        """The container, for whoever calls this pipeline."""

    def dead_letters(
        self,
        limit: int = 20,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        state: str | None = LetterState.OPEN,
    ) -> Sequence[Letter]:
        """Show the first records that could not be folded, each with its id, reason, origin and bytes.

        `reason` is a reason's code (`"not_json"`); `since` and `until` (which is left out) bound the time at which the
        log took the record in, UTC where they name no zone; `state` is `"open"`, `"replayed"`, `"resolved"`, or None
        for all.

        Raises:
            ValueError: `limit` is less than 1, or there is no such state.
            TypeError: a time is no datetime.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        chosen = None if state is None else LetterState.known(state)
        selection = Selection(None, reason, _ms(since), _ms(until), bounded_limit(limit), chosen)
        return list(self._checked_container.handle_dead_letters().select(selection))

    def dead_letter(self, letter_id: str) -> Letter:
        """Show a dead letter, whatever was done about it; where there are several of an id, the newest.

        Raises:
            UnknownLetter: there is none.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        found = self._checked_container.handle_dead_letters().find([letter_id])
        return max(found, key=lambda letter: letter.record.appended_at_ms)

    def export_dead_letters(
        self,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[bytes]:
        """Write the open dead letters as JSON lines (without line ends), to be mended and published again.

        Raises:
            ValueError: `limit` is less than 1.
            TypeError: a time is no datetime.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        selection = Selection(None, reason, _ms(since), _ms(until), _limit_or_none(limit))
        return map(encode_letter, self._checked_container.handle_dead_letters().select(selection))

    def replay_dead_letters(
        self,
        ids: Collection[str] | None = None,
        repairs: Mapping[str, Mapping[str, object]] | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Replay:
        """Publish dead letters again, and mark them as replayed: each once, also where this is called twice.

        With `repairs` (by id, the event to publish in place of the letter) these, and nothing else may be chosen; else
        those of `ids` (none, where it is empty), or of all ids where it is None; of a reason and a time, if named. What
        cannot be published as it is stays open, and is named.

        Raises:
            UnknownLetter: there is none of some id of `ids`; nothing was published.
            InvalidEvents: a repair cannot be written as JSON; nothing was published.
            ValueError: `limit` is less than 1, or `repairs` come together with another choice.
            TypeError: `ids` is a text, or a time is no datetime.
            Unavailable: log or store do not answer; calling this again is safe.
            ProcessingFailed: the thread of `processing` has failed.
        """
        handle = self._checked_container.handle_dead_letters()
        if repairs is not None:
            if any(choice is not None for choice in (ids, reason, since, until, limit)):
                raise ValueError("repairs say which dead letters: leave out ids, reason, since, until and limit")
            encoded = [Repair(str(letter_id), _encoded(letter_id, event)) for letter_id, event in repairs.items()]
            return handle.replay_repaired(encoded)
        return handle.replay(_selection(ids, reason, since, until, limit))

    def resolve_dead_letters(
        self,
        ids: Collection[str] | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        note: str = "",
    ) -> int:
        """Mark open dead letters as resolved, with a note of at most 1,000 characters: nothing is to be done about
        them any more. Return how many these were. Empty `ids` choose none.

        Raises:
            UnknownLetter: there is none of some id; nothing was marked.
            ValueError: it is not said which (ids, a reason or a time), the note is too long or cannot be written, or
                `limit` is less than 1.
            TypeError: `ids` is a text, or a time is no datetime.
            Unavailable: the store does not answer; calling this again is safe.
            ProcessingFailed: the thread of `processing` has failed.
        """
        if (ids, reason, since, until) == (None, None, None, None):
            raise ValueError("say which dead letters are resolved: by ids, reason, since or until")
        return self._checked_container.handle_dead_letters().resolve(_selection(ids, reason, since, until, limit), note)

    def trace(
        self, event_id: str, customer_id: str | None = None, on_progress: Callable[[int], object] = lambda _: None
    ) -> Trace:
        """Say where an event lies, in which class each copy of it fell, and what it changed.

        The log is read, as it is when the call begins: all of it, or with `customer_id` only the partitions of that
        customer and of the visitors whom their profile knows (not of those who signed in before they were forgotten).
        `on_progress` is told now and then how many records were read. What each record came to is found by folding its
        customer once more, with the settings that hold now.

        Raises:
            UnknownCustomer: no customer can have that id.
            Unavailable: log or store do not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        whose = None if customer_id is None else checked_customer_id(customer_id)
        return self._checked_container.trace_event()(str(event_id), whose, on_progress)


def _limit_or_none(limit: int | None) -> int | None:
    return None if limit is None else bounded_limit(limit)


def _selection(
    ids: Collection[str] | None, reason: str | None, since: datetime | None, until: datetime | None, limit: int | None
) -> Selection:
    if isinstance(ids, str):
        raise TypeError("ids is a list of ids of dead letters, also where it is one")
    chosen = None if ids is None else frozenset(ids)
    return Selection(chosen, reason, _ms(since), _ms(until), _limit_or_none(limit))


def _ms(time: datetime | None) -> int | None:
    if time is None:
        return None
    if not isinstance(time, datetime):
        raise TypeError(f"since and until are datetimes, as datetime(2025, 10, 10), not a {type(time).__name__}")
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _encoded(letter_id: str, event: Mapping[str, object]) -> bytes:
    try:
        return encode_event(event)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidEvents(f"the repair of {letter_id} cannot be written as JSON: {error}") from None
