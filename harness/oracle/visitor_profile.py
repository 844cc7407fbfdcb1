"""A visitor's profile as messages carry it, and the message: written from the stored format, not from the pipeline."""

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import SeenEvents
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.order import Order
from realtime_pipeline.domain.streams.records import Ignored, Rejected, Tick, WatermarkTick


@attrs.frozen
class VisitorProfile:
    """What a visitor had done; fields have their names in the map. `forwards_to` is whose alias the visitor is."""

    customer_id: CustomerId
    counts: dict[EventKind, int] = attrs.Factory(dict)
    spend: int = 0
    units: int = 0
    orders_placed: int = 0
    sessions_begun: int = 0
    first_seen_ms: int | None = None
    last_seen_ms: int | None = None
    country: tuple[str | int, int] | None = None
    affinity: dict[str, tuple[float, int]] = attrs.Factory(dict)
    recent: dict[ProductId, int] = attrs.Factory(dict)
    purchases: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    shown: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    orders: dict[str, Order] = attrs.Factory(dict)
    reviewed: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    open_sessions: list[Session] = attrs.Factory(list)
    closed_sessions: list[SessionKey] = attrs.Factory(list)
    seen: SeenEvents = attrs.Factory(SeenEvents)
    forgotten_at_ms: int = -1
    forwards_to: CustomerId | None = None
    visitors: dict[CustomerId, str] = attrs.Factory(dict)
    contributions: tuple[Contribution, ...] = ()
    excluded: int = 0
    excluded_contributions: tuple[Contribution, ...] = ()


@attrs.frozen
class MergeMessage:
    """The message by which a visitor's profile goes to the customer they signed in as; `signed_in` is the position of
    the sign-in in the log (partition, position), where the message has it; `filter` the fingerprint of the filter by
    which the visitor's events were judged, "" without a filter."""

    event_id: str
    customer_id: CustomerId
    visitor: CustomerId
    occurred_at_ms: int
    profile: VisitorProfile
    signed_in: tuple[int, int] | None = None
    filter: str = ""


OracleDecoded = Event | MergeMessage | Tick | WatermarkTick | Ignored | Rejected
"""What a record of the log is, by the oracle's decoding."""
