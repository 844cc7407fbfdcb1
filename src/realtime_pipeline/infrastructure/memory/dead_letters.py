"""Dead letters in memory."""

from collections.abc import Collection, Iterator, Sequence
from threading import Lock

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.domain.streams.dead_letters import Handling, Letter, LetterKey, key_of

_ALL = 2**31


class MemoryDeadLetters(DeadLetters):
    """Keeps a dictionary of marks beside the letters that outputs hold.

    Marks end with the process. Where the log `outlives` them, the next process emits the letters again, as open: a
    second replay would publish the same events again, and an event without a customer would count twice. So replays
    are refused there.
    """

    def __init__(self, outputs: Outputs, publisher: EventPublisher, outlives: bool = False) -> None:
        self._outputs = outputs
        self._publisher = publisher
        self._outlives = outlives
        self._marks: dict[LetterKey, Handling] = {}
        self._lock = Lock()

    def letters(self, partitions: Collection[int] | None = None) -> Iterator[Letter]:
        """Read letters, by partition and position."""
        for letter in self._outputs.dead_letters(_ALL):
            if partitions is None or letter.record.partition in partitions:
                yield Letter(letter, self._marks.get(key_of(letter)))

    def handle(self, batch: Sequence[tuple[LetterKey, Outgoing | None]], handling: Handling) -> Collection[LetterKey]:
        """Publish, then mark, under a lock: one call at a time."""
        with self._lock:
            existing = {key_of(letter) for letter in self._outputs.dead_letters(_ALL)}
            self._marks = {key: mark for key, mark in self._marks.items() if key in existing}
            due = {key: outgoing for key, outgoing in batch if key in existing and key not in self._marks}
            records = [outgoing for outgoing in due.values() if outgoing is not None]
            if records and self._outlives:
                raise Unavailable(
                    "nothing was replayed: marks of dead letters end with this process, the log does not, and the "
                    'letters would be open again: keep the store on disk, too (store = "sqlite"), then replay'
                )
            if records:
                self._publisher.publish(records)
            self._marks.update(dict.fromkeys(due, handling))
            return due.keys()
