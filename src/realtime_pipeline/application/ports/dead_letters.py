"""Dead letters, as people see to them: read, published again, marked."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey

BATCH_LETTERS_MAX = 500
"""How many letters a call of `handle` takes at most, so that no transaction holds others up for long."""


class DeadLetters(ABC):
    """Reads what `Outputs` has emitted, and remembers what was done about each letter.

    A letter is handled once: publishing it again and marking it are one step, so that neither a crash between the two
    nor two programs at the same time can publish it twice. The mark of a letter goes with the letter.
    """

    @abstractmethod
    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read the letters of records of these partitions (default: of all), each once, a bounded number at a time.

        Letters that are emitted after the first was asked for do not come: else whoever replays what dies again while
        a worker runs would never come to an end.

        Those of one partition come in the order of their positions, unless another store built from the same log has
        emitted more of them since.

        Raises:
            Unavailable: they cannot be read.
        """

    @abstractmethod
    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Mark the letters of a batch that are open, and append what is to be published in their place to the log.

        All of it is done, and durable on return, or none of it. Returns the letters that this call has marked: those
        handled before, or gone since, are passed over, and so is what was to be published for them.

        Raises:
            Unavailable: the log or the store does not answer, or another program handles letters at the same time, or
                marks would not be kept as long as the log. Calling it again is safe.
        """
