"""Cut dead letters, on their way back into the log, into chunks that fit memory, sorted by time, and into batches."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from realtime_pipeline.application.ports.dead_letters import BATCH_LETTERS_MAX
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.dead_letters import LetterKey, Repair

BATCH_BYTES_MAX: Final = 4 << 20
HELD_LETTERS_MAX: Final = 10_000
HELD_BYTES_MAX: Final = 64 << 20


class PendingReplay(NamedTuple):
    """The record to publish in place of a letter, and its event time in ms."""

    at_ms: int
    key: LetterKey
    outgoing: Outgoing


def chunks(repairs: Iterable[Repair]) -> Iterator[list[Repair]]:
    """Cut repairs into chunks of at most `HELD_LETTERS_MAX` repairs and about `HELD_BYTES_MAX` bytes."""
    chunk, size = list[Repair](), 0
    for repair in repairs:
        chunk.append(repair)
        size += len(repair.value or b"")
        if len(chunk) >= HELD_LETTERS_MAX or size >= HELD_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def by_time(replays: Iterable[PendingReplay]) -> Iterator[tuple[LetterKey, Outgoing]]:
    """Sort replays by event time, within chunks that fit memory.

    A customer's deduplication window has the ids of the newest replays only, and refuses older ones.
    """
    held, size = list[PendingReplay](), 0
    for replayed in replays:
        held.append(replayed)
        size += len(replayed.outgoing.value)
        if len(held) >= HELD_LETTERS_MAX or size >= HELD_BYTES_MAX:
            yield from _ordered(held)
            held, size = [], 0
    yield from _ordered(held)


def batches(
    due: Iterable[tuple[LetterKey, Outgoing | None]],
) -> Iterator[Sequence[tuple[LetterKey, Outgoing | None]]]:
    """Cut into batches of at most `BATCH_LETTERS_MAX` letters and about `BATCH_BYTES_MAX` bytes."""
    batch, size = list[tuple[LetterKey, Outgoing | None]](), 0
    for key, outgoing in due:
        batch.append((key, outgoing))
        size += 0 if outgoing is None else len(outgoing.value)
        if len(batch) >= BATCH_LETTERS_MAX or size >= BATCH_BYTES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ordered(held: list[PendingReplay]) -> Iterator[tuple[LetterKey, Outgoing]]:
    return ((replay.key, replay.outgoing) for replay in sorted(held, key=lambda replay: replay.at_ms))
