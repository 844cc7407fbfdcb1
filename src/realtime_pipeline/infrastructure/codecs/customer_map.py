"""A customer as the flat map that stores and messages hold: which field of the map is which of the profile.

The names of the map's fields are part of the stored format; the domain may name and group them otherwise. They are
written in the order of their names, as the releases before did, so that what is not changed has the same bytes. Fields
of format 2 are written only where the profile has excluded events, or the rate of its events has a limit.
"""

import msgspec

from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import BEFORE_ALL_TIME, SeenEvents
from realtime_pipeline.domain.profile.exposures import Exposures
from realtime_pipeline.domain.profile.interests import Interests
from realtime_pipeline.domain.profile.opinions import Opinions
from realtime_pipeline.domain.profile.purchases import Purchases
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite
from realtime_pipeline.domain.shop.order import Order


class CustomerMap(msgspec.Struct, gc=False):
    """The fields of the stored map, in their order. Values of earlier formats may lack some: these have defaults.

    Only `customer_id` must be there; it has a default because it stands in the middle. `excluded`,
    `excluded_contributions` and `minute` are all there, or all absent.
    """

    affinity: dict[str, tuple[float, int]] = {}
    closed_sessions: list[SessionKey] = []
    contributions: tuple[Contribution, ...] = ()
    country: LastWrite | None = None
    counts: dict[EventKind, int] = {}
    customer_id: CustomerId = CustomerId("")
    excluded: int | msgspec.UnsetType = msgspec.UNSET
    excluded_contributions: tuple[Contribution, ...] | msgspec.UnsetType = msgspec.UNSET
    first_seen_ms: int | None = None
    forgotten_at_ms: int = BEFORE_ALL_TIME
    forwards_to: CustomerId | None = None
    last_seen_ms: int | None = None
    minute: tuple[int, int] | msgspec.UnsetType | None = msgspec.UNSET
    open_sessions: list[Session] = []
    orders: dict[str, Order] = {}
    orders_placed: int = 0
    purchases: dict[ProductId, tuple[int, int]] = {}
    recent: dict[ProductId, int] = {}
    reviewed: dict[ProductId, tuple[int, int]] = {}
    seen: SeenEvents = msgspec.field(default_factory=SeenEvents)
    sessions_begun: int = 0
    shown: dict[ProductId, tuple[int, int]] = {}
    spend: int = 0
    units: int = 0
    visitors: dict[CustomerId, str] = {}


def map_of(customer: Customer) -> CustomerMap:
    """A customer as the map that is written."""
    visits, interests, purchases, aliases = customer.visits, customer.interests, customer.purchases, customer.aliases
    is_plain = visits.minute is None and not (visits.excluded or aliases.excluded_contributions)
    return CustomerMap(  # by position, which costs a quarter of what names cost
        interests.affinity,
        visits.closed_sessions,
        aliases.contributions,
        visits.country,
        visits.counts,
        customer.customer_id,
        msgspec.UNSET if is_plain else visits.excluded,
        msgspec.UNSET if is_plain else aliases.excluded_contributions,
        visits.first_seen_ms,
        customer.forgotten_at_ms,
        aliases.alias_of,
        visits.last_seen_ms,
        msgspec.UNSET if is_plain else visits.minute,
        visits.open_sessions,
        purchases.orders,
        purchases.orders_placed,
        purchases.by_product,
        interests.recent,
        customer.opinions.reviewed,
        customer.seen,
        visits.sessions_begun,
        customer.exposures.shown,
        purchases.spend,
        purchases.units,
        aliases.visitors,
    )


def customer_of(read: CustomerMap) -> Customer:
    """The customer that was read from a map."""
    return Customer(
        read.customer_id,
        Visits(
            read.counts,
            read.sessions_begun,
            read.first_seen_ms,
            read.last_seen_ms,
            read.country,
            read.open_sessions,
            read.closed_sessions,
            read.excluded or 0,
            read.minute or None,
        ),
        Interests(read.affinity, read.recent),
        Purchases(read.spend, read.units, read.orders_placed, read.purchases, read.orders),
        Opinions(read.reviewed),
        Exposures(read.shown),
        Aliases(read.forwards_to, read.visitors, read.contributions, read.excluded_contributions or ()),
        read.seen,
        read.forgotten_at_ms,
    )
