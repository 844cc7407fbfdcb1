"""How far outputs were emitted, told from the store: for where the group's offsets, which say it, are gone."""

from enum import Enum
from typing import Final

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.outputs import Emission, Search
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay

RESTORE: Final = "end all workers, then: realtime-pipeline outputs restore --in-doubt"
"""How a person says what becomes of outputs of which nobody can tell whether they were emitted."""


class InDoubt(Enum):
    """What becomes of outputs of which nobody can tell whether they were emitted."""

    AGAIN = "again"
    SKIP = "skip"


def recover_position(relay: OutboxRelay, partition: int, search: Search, in_doubt: InDoubt | None = None) -> int:
    """Up to which position a partition's outputs were emitted.

    A cell's owner notes how far they were, and entries leave the store only when their outputs were emitted. So what is
    open are the outputs of entries that are kept, behind what was noted: those are looked for among what was put out.

    Raises:
        UnrecoverableState: it cannot be told, and `in_doubt` does not say what to do.
        Unreachable: a store or the log does not answer.
    """
    position = relay.cells.positions([partition])[partition]
    furthest = max(position, *relay.views.positions([partition])[partition])
    noted = relay.cells.read_notes(partition).emitted
    unconfirmed = [entry for entry in relay.cells.outbox(partition, noted) if entry.dead_letters or entry.outgoing]
    has_lost_commits = furthest > position  # what is folded again may be out
    if not unconfirmed and not has_lost_commits:
        return max(noted, position)
    if not has_lost_commits:
        found = search([_emission(entry) for entry in unconfirmed], _since_ms(unconfirmed[0]))
        if found is not None:
            return next(
                (entry.from_position for entry in unconfirmed if entry.from_position >= found), max(found, position)
            )
    if in_doubt is InDoubt.AGAIN:
        return unconfirmed[0].from_position if unconfirmed else max(noted, position)
    if in_doubt is InDoubt.SKIP:
        return max(noted, furthest)
    begin = unconfirmed[0].from_position if unconfirmed else position
    raise UnrecoverableState(
        f"partition {partition}: the group's offsets are gone (deleted, or expired while no worker ran), and with them "
        f"how far outputs were emitted; those of records {begin} to {max(noted, furthest)} may be out or not. Look for "
        f"them among the dead letters, {RESTORE} again, or skip"
    )


def _emission(entry: OutboxEntry) -> Emission:
    return Emission(
        entry.partition, 0, entry.from_position, entry.to_position, entry.dead_letters, outgoing=entry.outgoing
    )


def _since_ms(entry: OutboxEntry) -> int:
    """A time before which nothing of an entry can have been put out: brokers and workers have a clock each."""
    return min(entry.at_ms, entry.watermark.appended_at_ms)
