"""A measure as data: which number a window has of its events."""

from typing import Final

import attrs

from realtime_pipeline.domain.conditions import Condition
from realtime_pipeline.domain.limits import at_least, in_bounds

TOP_MAX: Final = 100
ENTRIES_MAX: Final = 10_000
QUANTILES: Final = (0.5, 0.95, 0.99)


@attrs.frozen
class Measure:
    """A measure of a windowed aggregate.

    `measure` names it: count, sum, min, max, mean, variance, ratio, first, last, top, distinct or quantiles. `field` is
    the field of the event that it reads; count and ratio read none. Only events for which all conditions of `where`
    hold are measured; a ratio is the share of these for which those of `of_which` hold, too. `limit` is how many
    entries `top` lists; `entries_max` how many values `top` and `distinct` know exactly. `quantiles` are the shares of
    the events that have at most the value which is given.
    """

    measure: str
    field: str = ""
    where: dict[str, Condition] = attrs.Factory(dict)
    of_which: dict[str, Condition] = attrs.Factory(dict)
    limit: int = 10
    entries_max: int = 100
    quantiles: tuple[float, ...] = QUANTILES

    def __attrs_post_init__(self) -> None:
        at_least(1, self, "limit", "entries_max")
        in_bounds("limit", self.limit, 1, TOP_MAX)
        in_bounds("entries_max", self.entries_max, self.limit if self.measure == "top" else 1, ENTRIES_MAX)
        for quantile in self.quantiles:
            in_bounds("quantiles", quantile, 0, 1)
