"""Which measures there are: a new measure adds a line."""

from collections.abc import Mapping
from typing import Final

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator
from realtime_pipeline.domain.analytics.measures.counts import Count, Ratio
from realtime_pipeline.domain.analytics.measures.distinct import Distinct
from realtime_pipeline.domain.analytics.measures.extremes import First, Last, Max, Min
from realtime_pipeline.domain.analytics.measures.quantiles import Quantiles
from realtime_pipeline.domain.analytics.measures.sums import Mean, Sum, Variance
from realtime_pipeline.domain.analytics.measures.top import Top

ACCUMULATORS: Final[Mapping[str, type[Accumulator]]] = {
    "count": Count,
    "sum": Sum,
    "min": Min,
    "max": Max,
    "mean": Mean,
    "variance": Variance,
    "ratio": Ratio,
    "first": First,
    "last": Last,
    "top": Top,
    "distinct": Distinct,
    "quantiles": Quantiles,
}
"""The class of each measure, by its name in a definition."""
