"""How dead letters are cut up on their way back into the log: in chunks that memory holds, by time, in batches."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from realtime_pipeline.application.ports.dead_letters import BATCH_LETTERS_MAX
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.dead_letters import LetterKey, Repair

BATCH_BYTES_MAX: Final = 4 << 20
HELD_LETTERS_MAX: Final = 10_000
HELD_BYTES_MAX: Final = 64 << 20


class PendingReplay(NamedTuple):
    """What is to be published in place of a letter, and when it happened."""

    at_ms: int
    key: LetterKey
    outgoing: Outgoing


def chunks(repairs: Iterable[Repair]) -> Iterator[list[Repair]]:
    """Cut into as many repairs as may be held."""
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
    """Put what happened first first, among so many letters as may be held: a customer remembers the ids of the newest
    repairs only, and refuses as too old what happened before those that it has forgotten."""
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


def _ordered(held: list[PendingReplay]) -> Iterator[tuple[LetterKey, Outgoing]]:
    return ((one.key, one.outgoing) for one in sorted(held, key=lambda one: one.at_ms))
