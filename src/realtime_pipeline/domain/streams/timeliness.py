"""Whether an event can have its time: by when it was appended, and by how far its partition has come."""

from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.shop.facts import STOCK
from realtime_pipeline.domain.streams.settings import FoldSettings


def untimely(event: Event, appended_at_ms: int, watermark_ms: int, settings: FoldSettings) -> str | None:
    """Judge the time of an event.

    Args:
        event: the event.
        appended_at_ms: the time at which its record was appended.
        watermark_ms: the watermark of its partition.
        settings: how far ahead an event may be, and how far behind a stock level.

    Returns:
        The reason of its dead letter; None where it can have its time. A stock level is too late where sales after it
        may be deleted. A copy that a worker forwarded was judged as the original.
    """
    at_ms = event.occurred_at_ms
    ahead_ms = at_ms - appended_at_ms
    if ahead_ms > settings.max_future_skew_ms and event.forwarded is None:
        return f"in_the_future: happens {ahead_ms // 1000} s after it was recorded"
    behind_ms = watermark_ms - at_ms
    if behind_ms > settings.stock_lateness_ms and STOCK in event.facts:
        return f"stock_too_late: it is {behind_ms // 1000} s behind other events; state the stock as of now"
    return None
