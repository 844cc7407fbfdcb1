"""Sums of whole numbers by product: whatever a shop counts besides, added up and read without the stores knowing what.

A new one is a class in a module of its own, and a line in `deltas.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from realtime_pipeline.domain.profile.changes import APPLIED, Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.kinds import REVIEWED
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.views.projection import Add, Projection

SumKey = tuple[str, ProductId, str]
"""A projection's name, a product, and what is measured of it."""


class SumProjection(ABC):
    """What every applied event adds to sums by product, but for sign-ins, forgettings and excluded events.

    Where a visitor's event is sent again after they signed in, it is subtracted again. By then little of it is known,
    so `adds` never sees more: of the event the kind, time, product, category, amount, quantity, order, country and list
    of products shown; of `recorded` the ratings. All else is absent. The stars of a review are in
    `recorded.rating_sum`: a review may replace an earlier one.
    """

    name: str
    """Small letters, digits and underscores; stores keep the sums under it."""

    @abstractmethod
    def adds(self, event: Event, recorded: Recorded) -> Iterable[tuple[ProductId, str, int]]:
        """Say what an event adds: for each sum the product, the name of what is measured, and a whole number.

        It is called once for each event, and must depend on nothing else. What the events of a minute add
        must stay within ±10^15, and a sum within ±10^17: beyond that a store may round, or stop the worker.
        """


class Sums(Projection[SumKey, int]):
    """By projection, product and measure, a sum."""

    product_of = itemgetter(1)

    def __init__(self, projections: Sequence[SumProjection]) -> None:
        names = [projection.name for projection in projections]
        if len(set(names)) < len(names) or not all(name.isidentifier() and name.islower() for name in names):
            raise ValueError(f"names of sum projections must differ, and be of small letters, digits and _: {names}")
        self._projections = tuple(projections)

    def adder(self, table: dict[SumKey, int]) -> Add | None:
        """Add what each of the projections says; nothing where there are none."""
        if not self._projections:
            return None

        def add(event: Event, _product_id: ProductId | None, recorded: Recorded) -> None:
            ratings = Recorded(Verdict.APPLIED, None, recorded.ratings, recorded.rating_sum)
            self._add(table, Contribution.of(event, b""), ratings, 1)

        return add

    def retract(self, table: dict[SumKey, int], event: Contribution) -> None:
        """Subtract what each of the projections says."""
        is_opinion = event.kind is REVIEWED and event.rating is not None
        recorded = Recorded(Verdict.APPLIED, None, 1, event.rating or 0) if is_opinion else APPLIED
        self._add(table, event, recorded, -1)

    def _add(self, table: dict[SumKey, int], event: Contribution, recorded: Recorded, sign: int) -> None:
        known = event._replace(rating=None).as_event()
        for projection in self._projections:
            for product_id, measure, number in projection.adds(known, recorded):
                key = (projection.name, product_id, measure)
                table[key] = table.get(key, 0) + sign * number

    def merge(self, table: dict[SumKey, int], other: Mapping[SumKey, int], latest_ms: int) -> None:
        """Add the sums."""
        for key, number in other.items():
            table[key] = table.get(key, 0) + number
