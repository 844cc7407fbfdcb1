"""Fields that are computed from other fields of an event."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from fractions import Fraction

import attrs

from realtime_pipeline.domain.analytics.fields import MILLIONTHS, Field, field_named
from realtime_pipeline.domain.conditions import Scalar
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.zones import zone_named


@attrs.frozen
class Derived:
    """A computed field: exactly one of these.

    `product`, `difference` and `ratio` are of two fields that are numbers; the result is rounded to six decimals, and
    absent where a number is, or the divisor is 0. `hour_of_day` is the hour of the event's time, "00" to "23", in the
    time zone that it names. `constant` is the same value for every event.
    """

    product: tuple[str, ...] = ()
    difference: tuple[str, ...] = ()
    ratio: tuple[str, ...] = ()
    hour_of_day: str = ""
    constant: Scalar | None = None

    def __attrs_post_init__(self) -> None:
        given = [name for name in ("product", "difference", "ratio", "hour_of_day") if getattr(self, name)]
        if len(given) + (self.constant is not None) != 1:
            raise ValueError("derive: a field needs exactly one of product, difference, ratio, hour_of_day, constant")
        if self.fields and len(self.fields) != 2:
            raise ValueError(f"derive: {given[0]} needs two fields")
        for name in self.fields:
            field_named(name)
        if self.hour_of_day:
            zone_named(self.hour_of_day)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are computed with."""
        return self.product or self.difference or self.ratio

    def field(self, name: str) -> Field:
        """The field under its name."""
        if self.hour_of_day:
            zone = zone_named(self.hour_of_day)
            return Field(name, lambda event: f"{_local(event.occurred_at_ms, zone).hour:02}", 0)
        if self.constant is not None:
            constant = self.constant
            return Field(name, lambda _: constant, 0)
        return Field(name, self._computed(), MILLIONTHS)

    def _computed(self) -> Callable[[Event], int | None]:
        first, second = (field_named(name) for name in self.fields)
        left, right = first.number(), second.number()

        def compute(event: Event) -> int | None:
            one, other = left(event), right(event)
            if one is None or other is None or (self.ratio and other == 0):
                return None
            a, b = Fraction(one, first.scale), Fraction(other, second.scale)
            return round((a * b if self.product else a - b if self.difference else a / b) * MILLIONTHS)

        return compute


def _local(at_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ms // 1_000, zone)
