"""The settings of the fold: part of what a replay of the log gives."""

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.shop.profile_rules import ProfileRules


@attrs.frozen
class FoldRules:
    """The fold's settings. `disorder_ms` bounds how far event time may lag behind the newest before time moves on."""

    profile: ProfileRules = attrs.Factory(ProfileRules)
    disorder_ms: int = 5_000
    future_ms: int = 5 * 60_000

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
