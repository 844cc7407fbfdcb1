"""Stores of the memory adapter, and how they differ from what the oracle expects."""

from harness.checking.stores import differences
from harness.oracle.expected import Expected
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.pipeline import Pipeline
from tests.harness.support.worked_histories import RULES, small_shop


def store_of(partitions: list[list[Record]], settings: Settings) -> Pipeline:
    """A pipeline that has processed the records of each partition."""
    pipeline = Pipeline(settings)
    for kept, records in zip(pipeline.container.memory_log().records, partitions, strict=True):
        kept.extend(records)
    pipeline.process()
    return pipeline


def found_in(pipeline: Pipeline, expected: Expected, limit: int = 1_000) -> list[str]:
    container, stores = pipeline.container, pipeline.container.settings().stores
    return differences(
        expected,
        container.cells(),
        container.customer_queries(),
        container.product_queries(),
        container.outputs(),
        stores.session_retention_ms,
        stores.listed_sessions_max,
        limit,
    )


def small_store() -> Pipeline:
    """A pipeline that has processed the small shop."""
    return store_of(small_shop(), Settings(log="memory", store="memory", partitions=2, fold=RULES))
