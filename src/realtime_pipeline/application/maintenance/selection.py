"""Selection: which dead letters a call is about."""

from collections.abc import Collection
from datetime import UTC, datetime

import attrs

from realtime_pipeline.application.serving.request_checks import bounded_limit
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterState


@attrs.frozen
class Selection:
    """Dead letters that meet all of these conditions; None is no condition.

    Args:
        ids: letters of these ids; an empty set selects none.
        reason: letters whose reason has this code, the text before its colon, as `not_json`.
        since_ms: letters whose records the log took in at this time or later, in ms since 1970.
        until_ms: letters whose records the log took in before this time, in ms since 1970.
        limit: the first so many.
        state: letters in this state.
    """

    ids: frozenset[str] | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int | None = None
    state: LetterState | None = LetterState.OPEN

    def matches(self, letter: Letter) -> bool:
        """Whether a letter meets the conditions, whatever the limit."""
        at_ms = letter.record.appended_at_ms
        return (
            (self.ids is None or letter.id in self.ids)
            and self.reason in (None, letter.code)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
            and self.state in (None, letter.state)
        )


def checked_selection(
    ids: Collection[str] | None = None,
    reason: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    state: str | None = LetterState.OPEN,
) -> Selection:
    """Make a selection of what a caller passes in.

    Raises:
        TypeError: `ids` is a text, a time is no datetime, or `limit` is no whole number.
        ValueError: `limit` is less than 1, or there is no such state.
    """
    if isinstance(ids, str):
        raise TypeError("ids must be a list of ids of dead letters, also for a single id")
    return Selection(
        None if ids is None else frozenset(ids),
        reason,
        _ms(since),
        _ms(until),
        None if limit is None else bounded_limit(limit),
        None if state is None else LetterState.known(state),
    )


def check_is_selective(selection: Selection) -> None:
    """Check that a selection has a condition besides limit and state.

    Raises:
        ValueError: it has none.
    """
    if (selection.ids, selection.reason, selection.since_ms, selection.until_ms) == (None, None, None, None):
        raise ValueError("say which dead letters are resolved: by ids, reason, since or until")


def check_is_everything(selection: Selection) -> None:
    """Check that a selection comes with repairs, which say themselves which letters they are for.

    Raises:
        ValueError: it has a condition.
    """
    if selection != Selection():
        raise ValueError("repairs say which dead letters: leave out ids, reason, since, until and limit")


def _ms(time: datetime | None) -> int | None:
    if time is None:
        return None
    if not isinstance(time, datetime):
        raise TypeError(f"since and until are datetimes, as datetime(2025, 10, 10), not a {type(time).__name__}")
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
