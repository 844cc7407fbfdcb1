"""HandleDeadLetters: look at dead letters, publish them again once they are mended, or mark them as resolved."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Final

import attrs

from realtime_pipeline.application.errors import UnknownLetter
from realtime_pipeline.application.maintenance.match_repairs import match_repairs
from realtime_pipeline.application.maintenance.replay_batches import PendingReplay, batches, by_time, chunks
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.decoding import Decode, EncodeReplay, FindRoute
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterState, Repair, place_in
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected

NOTE_LENGTH_MAX: Final = 1_000
REFUSALS_SHOWN: Final = 100


@attrs.frozen
class Selection:
    """Which dead letters: those of these ids (None for all ids; an empty set takes none), of a reason and of a time; of
    a state, unless it is None; the first `limit` of them.

    `reason` is what a letter's reason begins with, up to its colon, as `not_json`. The time is that at which the log
    took the record in, in ms since 1970: `since_ms` belongs to it, `until_ms` does not.
    """

    ids: frozenset[str] | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int | None = None
    state: LetterState | None = LetterState.OPEN

    def matches(self, letter: Letter) -> bool:
        """Whether a letter is one of these, but for the limit."""
        at_ms = letter.record.appended_at_ms
        return (
            (self.ids is None or letter.id in self.ids)
            and self.reason in (None, letter.code)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
            and self.state in (None, letter.state)
        )


@attrs.frozen
class Replay:
    """What came of publishing dead letters again.

    `published` were, and are marked as replayed. `handled` had been replayed or resolved before. `refused` cannot be
    published as they are; `refusals` are the first hundred of them, with why.
    """

    published: int = 0
    handled: int = 0
    refused: int = 0
    refusals: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it."""
        return {
            "published": self.published,
            "handled_before": self.handled,
            "refused": self.refused,
            "refusals": [{"id": letter_id, "reason": reason} for letter_id, reason in self.refusals],
        }


class HandleDeadLetters:
    """Reads, replays and resolves dead letters. Each is handled once, whoever handles it and whatever is killed."""

    def __init__(
        self,
        letters: DeadLetters,
        decode: Decode,
        find_route: FindRoute,
        encode_replay: EncodeReplay,
        clock: Clock,
        max_future_skew_ms: int,
    ) -> None:
        self._letters = letters
        self._decode = decode
        self._find_route = find_route
        self._encode_replay = encode_replay
        self._clock = clock
        self._max_future_skew_ms = max_future_skew_ms

    def select(self, selection: Selection) -> Iterator[Letter]:
        """Read the letters of a selection, as they lie.

        Raises:
            UnknownLetter: something is no letter's id.
        """
        partitions = None if selection.ids is None else {_place(letter_id)[0] for letter_id in selection.ids}
        found = (letter for letter in self._letters.letters(partitions) if selection.matches(letter))
        return islice(found, selection.limit)

    def find(self, ids: Collection[str]) -> list[Letter]:
        """Read the letters of these ids, in whatever state.

        There may be several of an id where a topic was deleted and made again.

        Raises:
            UnknownLetter: there is none of some id.
        """
        found = list(self.select(Selection(frozenset(ids), state=None)))
        missing = sorted(set(ids) - {letter.id for letter in found})
        if missing:
            raise UnknownLetter(
                f"there is no dead letter {missing[0]}: it was never one, its customer was forgotten, or it was kept "
                "no longer (dead-letters list shows those there are)"
            )
        return found

    def resolve(
        self, selection: Selection, note: str = "", on_progress: Callable[[int], object] = lambda _: None
    ) -> int:
        """Mark the open letters of a selection as resolved, with a note; return how many these are.

        Raises:
            UnknownLetter: there is none of some id; nothing was marked.
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
        """Publish the open letters of a selection again, as they are; of some thousand what happened first first.

        The selection's limit counts those that are published: what cannot be is passed over.

        Raises:
            UnknownLetter: there is none of some id; nothing was published.
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

        A repair that says when the log took its letter in replaces only a letter of that time; else it replaces the
        newest letter of its id. Of two for a letter the first counts.
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
        """What is to be published in place of a letter; or why nothing can be.

        An event without an id keeps the one that it had by its place in the log: so it counts once, also where it is
        published in another way as well.
        """
        partition, position = letter.record.partition, letter.record.position
        decoded = self._decode(Record(partition, position, None, value, letter.record.appended_at_ms))
        if isinstance(decoded, Rejected):
            return decoded.reason
        if isinstance(decoded, Ignored):
            return f"its type {decoded.event_type} means nothing here: map it in [event_types]"
        route = self._find_route(value)
        if route.is_workers or not isinstance(decoded, Event):
            return "a worker made this copy: it comes again where its original does"
        ahead_ms = decoded.occurred_at_ms - self._clock.now_ms()
        if ahead_ms > self._max_future_skew_ms:
            return f"in_the_future: happens in {ahead_ms // 1000} s"
        event = self._encode_replay(value, decoded.event_id)
        again = self._decode(Record(partition, position, None, event, letter.record.appended_at_ms))
        if isinstance(again, Rejected):  # too large, now that it says more
            return again.reason
        key = None if route.key is None else route.key.encode()
        return PendingReplay(decoded.occurred_at_ms, letter.key, Outgoing(key, event, f"dead letter {letter.id}"))


def check_note(note: str) -> None:
    """See that a note can be kept.

    Raises:
        ValueError: it is longer than 1,000 characters, or cannot be written as UTF-8.
    """
    if len(note) > NOTE_LENGTH_MAX:
        raise ValueError(f"a note has at most {NOTE_LENGTH_MAX} characters, not {len(note)}")
    try:
        note.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a note is text that UTF-8 can hold, not {ascii(note)[:200]}") from None


def _place(letter_id: str) -> tuple[int, int]:
    place = place_in(letter_id)
    if place is None:
        raise UnknownLetter(
            f"{ascii(letter_id)[:200]} is no id of a dead letter: ids are partition-position, as 3-1417"
        )
    return place


def _from(number: int, on_progress: Callable[[int], object]) -> Callable[[int], object]:
    return lambda more: on_progress(number + more)


def _added(*parts: Replay) -> Replay:
    return Replay(
        sum(part.published for part in parts),
        sum(part.handled for part in parts),
        sum(part.refused for part in parts),
        tuple(islice((refusal for part in parts for refusal in part.refusals), REFUSALS_SHOWN)),
    )
