"""HandleDeadLetters: look at dead letters, publish them again once they are mended, or mark them as resolved."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import attrs

from realtime_pipeline.application.errors import UnknownLetter
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.dead_letters import BATCH_LETTERS_MAX, DeadLetters
from realtime_pipeline.application.ports.decoding import Decode, EncodeReplay, FindRoute
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.letters import Handling, Letter, LetterKey, LetterState, place_in
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected

BATCH_BYTES_MAX: Final = 4 << 20
NOTE_LENGTH_MAX: Final = 1_000
REFUSALS_SHOWN: Final = 100
ORDERED_LETTERS_MAX: Final = 10_000
ORDERED_BYTES_MAX: Final = 64 << 20


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

    def takes(self, letter: Letter) -> bool:
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
        future_ms: int,
    ) -> None:
        self._letters = letters
        self._decode = decode
        self._find_route = find_route
        self._encode_replay = encode_replay
        self._clock = clock
        self._future_ms = future_ms

    def select(self, selection: Selection) -> Iterator[Letter]:
        """Read the letters of a selection, as they lie.

        Raises:
            UnknownLetter: something is no letter's id.
        """
        partitions = None if selection.ids is None else {_place(letter_id)[0] for letter_id in selection.ids}
        found = (letter for letter in self._letters.letters(partitions) if selection.takes(letter))
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
        for batch in _batches((letter.key, None) for letter in self._selected(selection)):
            handling = Handling(LetterState.RESOLVED, self._clock.now_ms(), note)
            resolved += len(self._letters.handle(batch, handling))
            on_progress(resolved)
        return resolved

    def replay(self, selection: Selection, on_progress: Callable[[int], object] = lambda _: None) -> Replay:
        """Publish the open letters of a selection again, as they are; of some thousand what happened first first.

        Raises:
            UnknownLetter: there is none of some id; nothing was published.
        """
        return self._replay(((letter, letter.record.value) for letter in self._selected(selection)), [], on_progress)

    def replay_repaired(
        self, repairs: Iterable[tuple[str, bytes | None]], on_progress: Callable[[int], object] = lambda _: None
    ) -> Replay:
        """Publish, in place of the letters of these ids, what was made of each; None where nothing was.

        Of an id that comes twice the first counts.
        """
        waiting, total = iter(repairs), Replay()
        while chunk := list(islice(waiting, ORDERED_LETTERS_MAX)):
            refusals: list[tuple[str, str]] = []
            mended: dict[str, bytes] = {}
            for letter_id, value in chunk:
                if place_in(letter_id) is None:
                    refusals.append((letter_id, "is no id of a dead letter"))
                elif value is None:
                    refusals.append((letter_id, "has no event yet: put what is to be published into `event`"))
                elif mended.setdefault(letter_id, value) != value:
                    refusals.append((letter_id, "comes twice, with another event"))
            found = list(self.select(Selection(frozenset(mended), state=None))) if mended else []
            there = {letter.id for letter in found}
            refusals += ((letter_id, "there is no such dead letter") for letter_id in mended if letter_id not in there)
            values = [(letter, mended[letter.id]) for letter in found]
            total = _added(total, self._replay(values, refusals, _from(total.published, on_progress)))
        return total

    def _selected(self, selection: Selection) -> Iterable[Letter]:
        if selection.ids is not None:
            chosen = attrs.evolve(selection, state=None)
            return [letter for letter in self.find(selection.ids) if chosen.takes(letter)][: selection.limit]
        return self.select(selection)

    def _replay(
        self,
        values: Iterable[tuple[Letter, bytes]],
        refusals: list[tuple[str, str]],
        on_progress: Callable[[int], object],
    ) -> Replay:
        published = handled = 0

        def replays() -> Iterator[_Replayed]:
            nonlocal handled
            for letter, value in values:
                if letter.handling is not None:
                    handled += 1
                    continue
                replayed = self._replayed(letter, value)
                if isinstance(replayed, _Replayed):
                    yield replayed
                else:
                    refusals.append((letter.id, replayed))

        for batch in _batches(_by_time(replays())):
            marked = self._letters.handle(batch, Handling(LetterState.REPLAYED, self._clock.now_ms()))
            published += len(marked)
            handled += len(batch) - len(marked)
            on_progress(published)
        return Replay(published, handled, len(refusals), tuple(refusals[:REFUSALS_SHOWN]))

    def _replayed(self, letter: Letter, value: bytes) -> "_Replayed | str":
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
        if ahead_ms > self._future_ms:
            return f"in_the_future: happens in {ahead_ms // 1000} s"
        event = self._encode_replay(value, decoded.event_id)
        again = self._decode(Record(partition, position, None, event, letter.record.appended_at_ms))
        if isinstance(again, Rejected):  # too large, now that it says more
            return again.reason
        key = None if route.key is None else route.key.encode()
        return _Replayed(decoded.occurred_at_ms, letter.key, Outgoing(key, event, f"dead letter {letter.id}"))


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


class _Replayed(NamedTuple):
    """What is to be published in place of a letter, and when it happened."""

    at_ms: int
    key: LetterKey
    outgoing: Outgoing


def _by_time(replays: Iterator[_Replayed]) -> Iterator[tuple[LetterKey, Outgoing]]:
    """Put what happened first first, among so many letters as may be held: a customer remembers the ids of the newest
    repairs only, and refuses as too old what happened before those that it has forgotten."""
    held, size = list[_Replayed](), 0
    for replayed in replays:
        held.append(replayed)
        size += len(replayed.outgoing.value)
        if len(held) >= ORDERED_LETTERS_MAX or size >= ORDERED_BYTES_MAX:
            yield from _ordered(held)
            held, size = [], 0
    yield from _ordered(held)


def _ordered(held: list[_Replayed]) -> Iterator[tuple[LetterKey, Outgoing]]:
    return ((one.key, one.outgoing) for one in sorted(held, key=lambda one: one.at_ms))


def _place(letter_id: str) -> tuple[int, int]:
    place = place_in(letter_id)
    if place is None:
        raise UnknownLetter(
            f"{ascii(letter_id)[:200]} is no id of a dead letter: ids are partition-position, as 3-1417"
        )
    return place


def _batches(
    due: Iterable[tuple[LetterKey, Outgoing | None]],
) -> Iterator[Sequence[tuple[LetterKey, Outgoing | None]]]:
    """Cut into batches of so many letters, and of so many bytes."""
    batch, size = list[tuple[LetterKey, Outgoing | None]](), 0
    for key, outgoing in due:
        batch.append((key, outgoing))
        size += 0 if outgoing is None else len(outgoing.value)
        if len(batch) >= BATCH_LETTERS_MAX or size >= BATCH_BYTES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _from(number: int, on_progress: Callable[[int], object]) -> Callable[[int], object]:
    return lambda more: on_progress(number + more)


def _added(total: Replay, more: Replay) -> Replay:
    return Replay(
        total.published + more.published,
        total.handled + more.handled,
        total.refused + more.refused,
        (*total.refusals, *more.refusals)[:REFUSALS_SHOWN],
    )
