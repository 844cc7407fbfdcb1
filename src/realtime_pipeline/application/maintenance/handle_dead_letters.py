"""HandleDeadLetters: read dead letters, replay them once they are repaired, or mark them as resolved."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import attrs

from realtime_pipeline.application.errors import InvalidEvents, UnknownLetter
from realtime_pipeline.application.maintenance.match_repairs import match_repairs
from realtime_pipeline.application.maintenance.replay_batches import PendingReplay, batches, by_time, chunks
from realtime_pipeline.application.maintenance.selection import Selection
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.decoding import Decode, EncodeEvent, EncodeReplay, FindRoute
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterState, Repair, place_in
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected

NOTE_LENGTH_MAX: Final = 1_000
"""How many characters a note has at most."""
REFUSALS_SHOWN: Final = 100
"""How many refusals a `Replay` names at most."""


@attrs.frozen
class Replay:
    """The result of replaying dead letters, in numbers of letters.

    `published` were published and marked as replayed. `handled` were replayed or resolved before. `refused` cannot be
    published as they are, and stay open; `refusals` has the ids of the first 100 of them, with the reason.
    """

    published: int = 0
    handled: int = 0
    refused: int = 0
    refusals: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the result as a JSON document."""
        return {
            "published": self.published,
            "handled_before": self.handled,
            "refused": self.refused,
            "refusals": [{"id": letter_id, "reason": reason} for letter_id, reason in self.refusals],
        }


class HandleDeadLetters:
    """Reads, replays and resolves dead letters. Each is handled once, even if calls overlap or fail midway."""

    def __init__(
        self,
        letters: DeadLetters,
        decode: Decode,
        find_route: FindRoute,
        encode_event: EncodeEvent,
        encode_replay: EncodeReplay,
        clock: Clock,
        max_future_skew_ms: int,
    ) -> None:
        self._letters = letters
        self._decode = decode
        self._find_route = find_route
        self._encode_event = encode_event
        self._encode_replay = encode_replay
        self._clock = clock
        self._max_future_skew_ms = max_future_skew_ms

    def select(self, selection: Selection) -> Iterator[Letter]:
        """Read the letters of a selection, lazily, in the order in which they are stored.

        Raises:
            UnknownLetter: a text is no id of a letter.
        """
        partitions = None if selection.ids is None else {_location(letter_id)[0] for letter_id in selection.ids}
        found = (letter for letter in self._letters.letters(partitions) if selection.matches(letter))
        return islice(found, selection.limit)

    def find(self, ids: Collection[str]) -> list[Letter]:
        """Read the letters of these ids, in any state.

        An id may have several letters if a topic was deleted and created again.

        Raises:
            UnknownLetter: an id has no letter.
        """
        found = list(self.select(Selection(frozenset(ids), state=None)))
        missing = sorted(set(ids) - {letter.id for letter in found})
        if missing:
            raise UnknownLetter(
                f"there is no dead letter {missing[0]}: the id is wrong, its customer was erased, or its retention has "
                "ended (dead-letters list shows those there are)"
            )
        return found

    def resolve(
        self, selection: Selection, note: str = "", on_progress: Callable[[int], object] = lambda _: None
    ) -> int:
        """Mark the open letters of a selection as resolved, with a note; return how many.

        Raises:
            UnknownLetter: an id has no letter; nothing was marked.
            ValueError: the note is longer than 1,000 characters, or cannot be written as UTF-8.
        """
        check_note(note)
        resolved = 0
        for batch in batches((letter.key, None) for letter in self._selected(selection)):
            handling = Handling(LetterState.RESOLVED, self._clock.now_ms(), note)
            resolved += len(self._letters.handle(batch, handling))
            on_progress(resolved)
        return resolved

    def replay(self, selection: Selection, on_progress: Callable[[int], object] = lambda _: None) -> Replay:
        """Publish the open letters of a selection again, unchanged, in the order of their event times (in chunks).

        The selection's limit counts the letters that are published, not those that cannot be.

        Raises:
            UnknownLetter: an id has no letter; nothing was published.
        """
        letters = self._selected(attrs.evolve(selection, limit=None))
        return self._replay(((letter, letter.record.value) for letter in letters), selection.limit, on_progress)

    def replay_repaired(
        self,
        repairs: Iterable[Repair],
        limit: int | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> Replay:
        """Publish repairs in place of their letters, at most `limit` of them.

        A repair with the time at which the log took its letter in replaces only a letter of that time; without a time
        it replaces the newest letter of its id. Of two repairs for a letter the first counts.
        """
        total = Replay()
        for chunk in chunks(repairs):
            values, refusals = match_repairs(chunk, self._letters_of)
            left = None if limit is None else limit - total.published
            more = self._replay(values, left, _from(total.published, on_progress))
            total = _added(total, Replay(refused=len(refusals), refusals=tuple(refusals)), more)
            if total.published == limit:
                break
        return total

    def replay_documents(self, repairs: Mapping[str, Mapping[str, object]]) -> Replay:
        """Publish event documents in place of the letters of their ids; see `replay_repaired`.

        Raises:
            InvalidEvents: JSON cannot hold a document; nothing was published.
        """
        return self.replay_repaired(
            [Repair(str(letter_id), self._encoded(letter_id, event)) for letter_id, event in repairs.items()]
        )

    def _encoded(self, letter_id: str, event: Mapping[str, object]) -> bytes:
        try:
            return self._encode_event(event)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidEvents(f"the repair of {letter_id} cannot be written as JSON: {error}") from None

    def _letters_of(self, ids: Collection[str]) -> Iterator[Letter]:
        return self.select(Selection(frozenset(ids), state=None))

    def _selected(self, selection: Selection) -> Iterable[Letter]:
        if selection.ids is not None:
            chosen = attrs.evolve(selection, state=None)
            return [letter for letter in self.find(selection.ids) if chosen.matches(letter)][: selection.limit]
        return self.select(selection)

    def _replay(
        self, values: Iterable[tuple[Letter, bytes]], limit: int | None, on_progress: Callable[[int], object]
    ) -> Replay:
        published = handled = refused = 0
        refusals: list[tuple[str, str]] = []

        def replays() -> Iterator[PendingReplay]:
            nonlocal handled, refused
            for letter, value in values:
                if letter.handling is not None:
                    handled += 1
                    continue
                replayed = self._replayed(letter, value)
                if isinstance(replayed, PendingReplay):
                    yield replayed
                    continue
                refused += 1
                if len(refusals) < REFUSALS_SHOWN:
                    refusals.append((letter.id, replayed))

        for batch in batches(by_time(islice(replays(), limit))):
            marked = self._letters.handle(batch, Handling(LetterState.REPLAYED, self._clock.now_ms()))
            published += len(marked)
            handled += len(batch) - len(marked)
            on_progress(published)
        return Replay(published, handled, refused, tuple(refusals))

    def _replayed(self, letter: Letter, value: bytes) -> PendingReplay | str:
        """Return what to publish in place of a letter, or why the letter is refused.

        An event without an id keeps the id made of its position in the log, so that it counts once even if it is also
        published in another way.
        """
        partition, position = letter.record.partition, letter.record.position
        decoded = self._decode(Record(partition, position, None, value, letter.record.appended_at_ms))
        if isinstance(decoded, Rejected):
            return decoded.reason
        if isinstance(decoded, Ignored):
            return f"its type {decoded.event_type} is unknown: map it in [event_types]"
        route = self._find_route(value)
        if route.is_workers or not isinstance(decoded, Event):
            return "a worker made this copy: it comes again where its original does"
        ahead_ms = decoded.occurred_at_ms - self._clock.now_ms()
        if ahead_ms > self._max_future_skew_ms:
            return f"in_the_future: happens in {ahead_ms // 1000} s"
        event = self._encode_replay(value, decoded.event_id)
        again = self._decode(Record(partition, position, None, event, letter.record.appended_at_ms))
        if isinstance(again, Rejected):  # too large with its id
            return again.reason
        key = None if route.key is None else route.key.encode()
        return PendingReplay(decoded.occurred_at_ms, letter.key, Outgoing(key, event, f"dead letter {letter.id}"))


def check_note(note: str) -> None:
    """Check that a note can be stored.

    Raises:
        ValueError: it is longer than 1,000 characters, or cannot be written as UTF-8.
    """
    if len(note) > NOTE_LENGTH_MAX:
        raise ValueError(f"a note has at most {NOTE_LENGTH_MAX} characters, not {len(note)}")
    try:
        note.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a note is text that UTF-8 can hold, not {ascii(note)[:200]}") from None


def _location(letter_id: str) -> tuple[int, int]:
    location = place_in(letter_id)
    if location is None:
        raise UnknownLetter(
            f"{ascii(letter_id)[:200]} is no id of a dead letter: an id is partition-position, as 3-1417"
        )
    return location


def _from(number: int, on_progress: Callable[[int], object]) -> Callable[[int], object]:
    return lambda more: on_progress(number + more)


def _added(*parts: Replay) -> Replay:
    return Replay(
        sum(part.published for part in parts),
        sum(part.handled for part in parts),
        sum(part.refused for part in parts),
        tuple(islice((refusal for part in parts for refusal in part.refusals), REFUSALS_SHOWN)),
    )
