"""Recovering the position of outputs from the store, where the group's committed offsets are gone."""

from enum import Enum
from typing import Final

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.outputs import Emission, Search
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay

RESTORE: Final = "end all workers, then: realtime-pipeline outputs restore --in-doubt"
"""The command by which a person decides about outputs in doubt."""


class InDoubt(Enum):
    """What to do with outputs in doubt: nobody can tell whether they were emitted."""

    AGAIN = "again"
    SKIP = "skip"


def recover_position(relay: OutboxRelay, partition: int, search: Search, in_doubt: InDoubt | None = None) -> int:
    """Find the position up to which a partition's outputs were emitted.

    The owner's notes say it, as of when they were written, and an outbox entry is trimmed only after its outputs were
    emitted. So only the outputs of outbox entries behind the noted position are in doubt: `search` looks for them among
    the records that were emitted.

    Raises:
        UnrecoverableState: the position cannot be found, and `in_doubt` does not say what to do.
        Unreachable: a store or the log does not answer.
    """
    position = relay.cells.positions([partition])[partition]
    furthest = max(position, *relay.views.positions([partition])[partition])
    noted = relay.cells.read_notes(partition).emitted
    unconfirmed = [entry for entry in relay.cells.outbox(partition, noted) if entry.has_outputs]
    has_lost_commits = furthest > position  # outputs of records that are folded again may be emitted already
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
        f"how far outputs were emitted; outputs of records {begin} to {max(noted, furthest)} are in doubt. Look for "
        f"them among the dead letters, {RESTORE} again, or skip"
    )


def _emission(entry: OutboxEntry) -> Emission:
    return Emission(
        entry.partition,
        0,
        entry.from_position,
        entry.to_position,
        entry.dead_letters,
        outgoing=entry.outgoing,
        late_events=entry.late_events,
    )


def _since_ms(entry: OutboxEntry) -> int:
    """A time before which no output of an entry can have been emitted, by the clocks of brokers and workers."""
    return min(entry.at_ms, entry.watermark.appended_at_ms)
