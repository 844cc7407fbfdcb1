"""The settings of recommendations."""

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.neighbours import NeighbourSettings
from realtime_pipeline.domain.recommendation.trending import TrendingSettings


@attrs.frozen
class RecommendationSettings:
    """The recommender's settings.

    `rules` apply to requests without rules of their own. `categories` is how many of the customer's favourite
    categories are read for what is trending in them. `repeat_seen` also recommends products of the current session, and
    seeds that neighbours lead to via themselves only.

    When the current session has few products, the products touched last before it are seeds, too.
    """

    neighbours: NeighbourSettings = attrs.Factory(NeighbourSettings)
    trending: TrendingSettings = attrs.Factory(TrendingSettings)
    blend: Blend = attrs.Factory(Blend)
    rules: ListRules = attrs.Factory(ListRules)
    categories: int = 3
    repeat_seen: bool = False

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
