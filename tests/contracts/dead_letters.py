"""What every adapter of dead letters must do: a letter is read once and handled once."""

from collections.abc import Callable

import pytest

from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver, Stage, StageObserver
from realtime_pipeline.application.ports.outputs import Emission, Outputs
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey, LetterState, key_of
from realtime_pipeline.domain.streams.records import Record
from tests.contracts.outputs import ADA, letter

REPLAYED = Handling(LetterState.REPLAYED, 100)
RESOLVED = Handling(LetterState.RESOLVED, 200, "nobody's")


class Interrupted(BaseException):
    """The process ends here."""


class EndsAt(StageObserver):
    """Raises when a stage is reached, as if the process ended."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage

    def reached(self, stage: Stage, records: int) -> None:
        if stage is self.stage:
            raise Interrupted


class DeadLettersContract:
    """Empty dead letters, the outputs that write them, and the log that replays go to.

    `opened` opens the same dead letters as another program would.
    """

    letters: DeadLetters
    outputs: Outputs
    opened: Callable[[StageObserver], DeadLetters]
    log: Callable[[], list[Record]]
    """All records of the log."""

    def emit(self, *positions: int, begin: int = 0, end: int = 9, partition: int = 0) -> None:
        letters = tuple(letter(position, partition) for position in positions)
        self.outputs.emit([Emission(partition, 1, begin, end, letters)])

    def given(self, *positions: int) -> None:
        self.outputs.claim(0, 1)
        self.emit(*positions)

    def states(self) -> dict[str, str]:
        return {letter.id: letter.state.value for letter in self.letters.letters()}

    def values(self) -> list[bytes]:
        return [record.value for record in self.log()]

    def test_letters_are_read_as_they_were_emitted(self) -> None:
        self.given(3, 7)
        self.outputs.claim(1, 1)
        self.emit(4, partition=1)
        assert list(self.letters.letters()) == [Letter(letter(3)), Letter(letter(7)), Letter(letter(4, 1))]
        assert [letter.id for letter in self.letters.letters([1])] == ["1-4"]
        assert list(self.letters.letters([])) == []

    def test_a_letter_is_marked_once_with_the_time_and_a_note(self) -> None:
        self.given(3, 7)
        assert set(self.letters.handle([(key(3), None)], RESOLVED)) == {key(3)}
        assert set(self.letters.handle([(key(3), None)], REPLAYED)) == set()
        assert list(self.letters.letters()) == [Letter(letter(3), RESOLVED), Letter(letter(7))]
        assert list(self.opened(EndsAt()).letters()) == [Letter(letter(3), RESOLVED), Letter(letter(7))]
        assert list(self.outputs.dead_letters(10)) == [letter(3), letter(7)]

    def test_a_replay_of_a_letter_is_published_once(self) -> None:
        self.given(3, 7)
        again = Outgoing(b"bob", b"mended", "dead letter 0-3")
        assert set(self.letters.handle([(key(3), again), (key(7), None)], REPLAYED)) == {key(3), key(7)}
        assert not self.letters.handle([(key(3), again)], REPLAYED)
        assert not self.opened(EndsAt()).handle([(key(3), again), (key(7), again)], REPLAYED)
        (record,) = self.log()
        assert (record.key, record.value, record.origin) == (b"bob", b"mended", "dead letter 0-3")
        assert self.states() == {"0-3": "replayed", "0-7": "replayed"}

    def test_letters_emitted_later_are_open(self) -> None:
        self.given(3)
        assert self.states() == {"0-3": "open"}
        self.letters.handle([(key(3), None)], RESOLVED)
        self.emit(12, begin=9, end=20)
        assert self.states() == {"0-3": "resolved", "0-12": "open"}
        assert set(self.letters.handle([(key(3), None), (key(12), None)], RESOLVED)) == {key(12)}
        assert self.states() == {"0-3": "resolved", "0-12": "resolved"}

    def test_letters_emitted_during_a_read_are_in_the_next_read(self) -> None:
        self.given(3, 7)
        reading = self.letters.letters()
        assert next(reading).id == "0-3"
        self.emit(12, begin=9, end=20)
        assert [letter.id for letter in reading] == ["0-7"]
        assert list(self.states()) == ["0-3", "0-7", "0-12"]

    def test_many_letters_are_handled_in_batches(self) -> None:
        self.outputs.claim(0, 1)
        self.emit(*range(1_200), end=1_200)
        for begin in range(0, 1_200, 400):
            self.letters.handle([(key(at), Outgoing(b"k", b"%d" % at)) for at in range(begin, begin + 400)], REPLAYED)
        assert set(self.states().values()) == {"replayed"}
        assert [int(value) for value in self.values()] == list(range(1_200))


class DurableContract(DeadLettersContract):
    """Letters that outlive a process, which can end while it handles a letter."""

    def test_a_crash_between_publishing_and_marking_undoes_both(self) -> None:
        self.given(3)
        again = Outgoing(b"bob", b"mended")
        with pytest.raises(Interrupted):
            self.opened(EndsAt(Stage.APPENDED)).handle([(key(3), again)], REPLAYED)
        assert (self.states(), self.values()) == ({"0-3": "open"}, [])
        assert set(self.letters.handle([(key(3), again)], REPLAYED)) == {key(3)}
        assert (self.states(), self.values()) == ({"0-3": "replayed"}, [b"mended"])

    def test_a_state_of_a_newer_release_is_kept(self) -> None:
        """The letter is not open: what a newer release did about it is not done again."""
        self.given(3)
        self.letters.handle([(key(3), None)], Handling(LetterState("waived"), 5, "by a newer release"))
        again = self.opened(NoObserver())
        assert [(letter.state.value, letter.handling is not None) for letter in again.letters()] == [("waived", True)]
        assert not again.handle([(key(3), Outgoing(b"bob", b"mended"))], REPLAYED)
        assert (self.states(), self.values()) == ({"0-3": "waived"}, [])


class ForgottenContract(DeadLettersContract):
    """Letters that are deleted with their marks when their customer is forgotten."""

    def test_marks_go_with_their_letters(self) -> None:
        self.given(3)
        self.letters.handle([(key(3), None)], RESOLVED)
        self.outputs.emit([Emission(0, 1, 9, 20, (), frozenset([ADA]))])
        assert self.states() == {}
        assert not self.letters.handle([(key(3), Outgoing(b"bob", b"mended"))], REPLAYED)
        assert self.values() == []


def key(position: int) -> LetterKey:
    return key_of(letter(position))
