"""The settings of the fold: part of what a replay of the log gives."""

from typing import Final

import attrs

from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.settings import ProfileSettings

SET_ELSEWHERE: Final = "set elsewhere"
"""Marks a field that is no setting of its own group."""


@attrs.frozen
class FoldSettings:
    """The fold's settings. `max_out_of_orderness_ms` bounds how far event time may lag behind the newest before time
    moves on; `stock_lateness_ms`, how far the time of a stock level may lag behind its partition's watermark. `exclude`
    says which events count for their profile alone; None where a shop excludes none. It is set by `quality.exclude`,
    `windows`, what is counted in windows, by `analytics` (`Settings.folding`)."""

    profile: ProfileSettings = attrs.Factory(ProfileSettings)
    max_out_of_orderness_ms: int = 5_000
    max_future_skew_ms: int = 5 * 60_000
    stock_lateness_ms: int = 24 * 3_600_000
    exclude: Exclusion | None = attrs.field(default=None, metadata={SET_ELSEWHERE: True})
    windows: tuple[WindowedAggregate, ...] = attrs.field(default=(), metadata={SET_ELSEWHERE: True})

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
