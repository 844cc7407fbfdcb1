"""DeadLetters: dead letters as operators handle them: read, replayed, resolved."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey

BATCH_LETTERS_MAX = 500
"""The largest batch that `handle` accepts, so that no transaction blocks others for long."""


class DeadLetters(ABC):
    """Reads dead letters that `Outputs` has emitted, and marks those that were handled.

    A letter is handled once: replaying and marking it are one transaction, so that neither a crash nor two programs at
    the same time can replay it twice. A mark is deleted with its letter.
    """

    @abstractmethod
    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read the letters of records of these partitions (default: of all), each once, a bounded number at a time.

        Letters that are emitted after the iteration began are not returned: a replay of letters that die again while a
        worker runs would never end otherwise. Letters of one partition come in the order of their positions, unless
        another store that was built from the same log has emitted more of them since.

        Raises:
            Unavailable: they cannot be read.
        """

    @abstractmethod
    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Mark the open letters of a batch, and append to the log the record that replaces each (None: no record).

        All of it is done, and durable on return, or none of it. Returns the letters that this call has marked: letters
        handled before, or deleted since, are skipped together with their records.

        Raises:
            Unavailable: the log or the store does not answer, or another program handles letters at the same time, or
                marks would not be kept as long as the log. Calling it again is safe.
        """
