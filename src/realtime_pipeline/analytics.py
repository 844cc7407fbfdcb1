"""Analytics: the part of a `Pipeline` that reads windows and late events."""

from collections.abc import Sequence
from datetime import UTC, datetime

from realtime_pipeline.application.serving.read_windows import LIMIT, LIMIT_MAX, Windows
from realtime_pipeline.application.serving.request import checked_limit
from realtime_pipeline.application.serving.request_checks import bounded_limit
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.ingestion import Ingestion


class Analytics(Ingestion):
    """The part of a `Pipeline` that reads windows and late events."""

    def windows(
        self,
        name: str,
        since: datetime | None = None,
        until: datetime | None = None,
        key: Sequence[str | None] | None = None,
        limit: int = LIMIT,
    ) -> Windows:
        """Read what was counted in windows.

        Args:
            name: the name of a definition: `analytics.shipped` or `analytics.windows` of the settings has it.
            since: only windows that start at this time or later; UTC without a time zone.
            until: only windows that start before this time; UTC without a time zone.
            key: only windows of this key: the values of its fields, as text; None for all.
            limit: how many windows at most: the latest.

        Returns:
            The windows that have events, the earliest first. Those that are final never change again.

        Raises:
            UnknownWindow: there is no such definition.
            ValueError: `limit` is less than 1.
            TypeError: `limit` is no whole number.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        from_ms = -END_OF_TIME if since is None else _ms(since)
        to_ms = END_OF_TIME if until is None else _ms(until)
        checked = min(checked_limit(limit), LIMIT_MAX)
        return self._checked_container.read_windows()(name, from_ms, to_ms, key, checked)

    def late_events(self, limit: int = 20, definition: str | None = None) -> Sequence[LateEvent]:
        """List late events: each came when all windows of some definition that would count it were final.

        Args:
            limit: the length of the list, at least 1.
            definition: only those that are late for the definition of this name.

        Returns:
            The first `limit` late events, in the order in which they are stored.

        Raises:
            UnknownWindow: the settings have no such definition, and no late event names it.
            ValueError: `limit` is less than 1.
            TypeError: `limit` is no whole number.
            Unavailable: the late events cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.read_late_events()(bounded_limit(limit), definition)

    def late_event(self, late_event_id: str) -> LateEvent:
        """Read a late event; the newest, if the id has several.

        Args:
            late_event_id: partition and position of the record (`"3-1417"`).

        Raises:
            UnknownLateEvent: no late event has that id.
            Unavailable: the late events cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.read_late_events().find(late_event_id)


def _ms(time: datetime) -> int:
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000)
