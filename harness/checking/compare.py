"""Compare a pipeline's stores with what the batch oracle computes from its log."""

from harness.checking.stores import differences
from harness.checking.windows import window_differences
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.expected import Expected, expect
from harness.support.errors import HarnessError
from harness.support.log_io import read_log
from realtime_pipeline import Pipeline
from realtime_pipeline.application.routing import PARTITIONERS


def compare(pipeline: Pipeline) -> tuple[Expected, list[str]]:
    """Compare the store with what the oracle computes from the whole log. No worker may run meanwhile.

    Returns:
        What the oracle expects, and a line for each difference.

    Raises:
        HarnessError: the oldest records of the log were removed, so that the oracle cannot read them.
    """
    container, settings = pipeline.container, pipeline.container.settings()
    log = container.log()
    bounds = log.bounds(range(log.identity.partitions))
    truncated = {partition: first for partition, (first, _) in bounds.items() if first}
    if truncated:
        partition, first = next(iter(truncated.items()))
        raise HarnessError(
            f"the log no longer holds what came before position {first} of partition {partition}: the oracle checks "
            "stores of whole logs only (without log_retention)"
        )
    expected = expect(
        read_log(log),
        EventSchema(settings.events, settings.event_types),
        settings.folding,
        log.identity.partitions,
        PARTITIONERS[log.identity.partitioner],
    )
    found = differences(
        expected,
        container.cells(),
        container.customer_queries(),
        container.product_queries(),
        container.outputs(),
        settings.stores.session_retention_ms,
        settings.stores.listed_sessions_max,
        trending=settings.recommendations.trending,
    )
    times_ms = [expected.window_times_ms.get(partition, -1) for partition in range(log.identity.partitions)]
    found += window_differences(settings.analytics.definitions, expected.windows, times_ms, container.read_windows())
    return expected, found
