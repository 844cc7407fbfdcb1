"""What a range of records adds to the views: a table for each projection."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from zlib import crc32

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.session import Session
from realtime_pipeline.domain.shop.events import EventKind, ProductId
from realtime_pipeline.domain.views.activity import Activity, CountryActivity, CountryKey, HourKey, HourlyActivity
from realtime_pipeline.domain.views.listings import Listing, Listings
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStates
from realtime_pipeline.domain.views.projection import Add, Projection
from realtime_pipeline.domain.views.sales import SaleKey, Sales
from realtime_pipeline.domain.views.session_index import SessionIndex, TouchKey
from realtime_pipeline.domain.views.sums import SumKey, SumProjection, Sums

SUM_PROJECTIONS: Final[tuple[SumProjection, ...]] = ()
"""What a shop counts besides: an instance of each, one a line."""

PROJECTIONS: Final[Mapping[str, Projection[Any, Any]]] = {
    "products": ProductStates(),
    "activity": HourlyActivity(),
    "by_country": CountryActivity(),
    "index": SessionIndex(),
    "sums": Sums(SUM_PROJECTIONS),
    "listings": Listings(),
    "sales": Sales(),
}
"""By the name of its table in `Deltas`, each projection."""


def view_cell_of(product_id: ProductId, view_cells: int) -> int:
    """Which of so many view cells a product lies in."""
    return crc32(product_id.encode()) % view_cells


class Adders(dict[EventKind, Sequence[Add]]):
    """By the kind of an event, the functions that add it to the tables of deltas, one a projection."""

    def __init__(self, adders: Sequence[tuple[frozenset[EventKind] | None, Add]]) -> None:
        super().__init__()
        self._adders = adders

    def __missing__(self, kind: EventKind) -> Sequence[Add]:
        """The functions for a kind that was not asked for before."""
        found = self[kind] = tuple(add for kinds, add in self._adders if kinds is None or kind in kinds)
        return found


@attrs.define
class Deltas:
    """What a range of records adds to the views that all customers share; the projections say what each table holds."""

    products: dict[ProductId, ProductState] = attrs.Factory(dict)
    activity: dict[HourKey, Activity] = attrs.Factory(dict)
    index: dict[TouchKey, int] = attrs.Factory(dict)
    by_country: dict[CountryKey, Activity] = attrs.Factory(dict)
    sums: dict[SumKey, int] = attrs.Factory(dict)
    listings: dict[ProductId, Listing] = attrs.Factory(dict)
    sales: dict[SaleKey, int] = attrs.Factory(dict)

    def _tables(self) -> list[tuple[Projection[Any, Any], dict[Any, Any]]]:
        return [(projection, getattr(self, name)) for name, projection in PROJECTIONS.items()]

    def adders(self) -> Adders:
        """The functions that add an event to these deltas; for as long as many are added."""
        adders = [(projection.kinds, projection.adder(table)) for projection, table in self._tables()]
        return Adders([(kinds, add) for kinds, add in adders if add is not None])

    def retract(self, events: Sequence[Contribution]) -> None:
        """Take out what a visitor's events have added."""
        for projection, table in self._tables():
            for event in events:
                projection.retract(table, event)

    def continue_session(self, session: Session, moved: Session) -> None:
        """Note that a visitor's session, `moved`, is part of a customer's session now."""
        for projection, table in self._tables():
            projection.continue_session(table, session, moved)

    def parts(self, view_cells: int) -> Sequence[Self]:
        """The deltas that belong to each of so many view cells; these themselves where there is one."""
        if view_cells == 1:
            return (self,)
        parts = [type(self)() for _ in range(view_cells)]
        cells: dict[ProductId, int] = {}
        for name, projection in PROJECTIONS.items():
            table, tables = getattr(self, name), [getattr(part, name) for part in parts]
            for product_id, (key, value) in zip(map(projection.product_of, table), table.items(), strict=True):
                cell = cells.get(product_id)
                if cell is None:
                    cell = cells[product_id] = view_cell_of(product_id, view_cells)
                tables[cell][key] = value
        return parts

    def merge(self, other: Self, latest_ms: int = sys.maxsize) -> None:
        """Add another range's deltas to these; `other` stays as it is.

        Facts of products with a time after `latest_ms` give way to any other.
        """
        for name, projection in PROJECTIONS.items():
            projection.merge(getattr(self, name), getattr(other, name), latest_ms)
