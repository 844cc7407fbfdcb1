"""What a profile keeps, and for how long."""

import attrs

from realtime_pipeline.domain.limits import WEIGHT_MAX, at_least, at_most
from realtime_pipeline.domain.profile.kinds import CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.shop.events import EventKind


@attrs.frozen
class ProfileSettings:
    """What a profile keeps, and for how long. Every list has a limit.

    The limits are part of the fold: changing one changes what a replay of the log gives. Sessions that were not touched
    for longer than `session_gap_ms` close when another begins, but for `idle_sessions_max`. `dedup_events` ids of
    a customer's own events tell repeats, `dedup_replays` those of `replayed` events, `dedup_merged_ids_max` those of
    visitors who signed in; of a visitor's last `contributions_max` events it is known what each added.
    """

    session_gap_ms: int = 30 * 60_000
    open_sessions_max: int = 8
    idle_sessions_max: int = 1
    closed_sessions_max: int = 64
    session_products_max: int = 50
    recent_products_max: int = 20
    categories_max: int = 24
    affinity_half_life_ms: int = 7 * 86_400_000
    orders_max: int = 16
    bought_products_max: int = 50
    shown_products_max: int = 50
    reviews_max: int = 50
    visitors_max: int = 64
    dedup_events: int = 128
    dedup_replays: int = 256
    dedup_same_timestamp_max: int = 4096
    dedup_merged_ids_max: int = 256
    contributions_max: int = 32
    view_weight: int = 1
    cart_weight: int = 3
    purchase_weight: int = 5

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(WEIGHT_MAX, self, "view_weight", "cart_weight", "purchase_weight")

    def interest_weight(self, kind: EventKind) -> int:
        """How much an action says of interest; 0 for those that say none."""
        if kind is VIEWED:
            return self.view_weight
        if kind is CARTED:
            return self.cart_weight
        return self.purchase_weight if kind is PURCHASED else 0
