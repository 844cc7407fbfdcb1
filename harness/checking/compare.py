"""Compare a pipeline's stores with what the batch oracle computes from its log."""

from harness.checking.stores import differences
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.expected import Expected, expect
from harness.support.errors import HarnessError
from harness.support.log_io import logged
from realtime_pipeline import Pipeline
from realtime_pipeline.application.routing import PARTITIONERS


def compare(pipeline: Pipeline) -> tuple[Expected, list[str]]:
    """Compare the store with what the oracle makes of the whole log; no worker may be at work meanwhile.

    Raises:
        HarnessError: the log has lost its oldest records, and the oracle would not know of them.
    """
    container, settings = pipeline.container, pipeline.container.settings()
    log = container.log()
    shortened = {number: first for number, (first, _) in log.bounds(range(log.identity.partitions)).items() if first}
    if shortened:
        number, first = next(iter(shortened.items()))
        raise HarnessError(
            f"the log no longer holds what came before position {first} of partition {number}, which the store was "
            "built from: the oracle checks stores of whole logs (without log_retention) only"
        )
    expected = expect(
        logged(log),
        EventSchema(settings.events, settings.event_types),
        settings.fold,
        log.identity.partitions,
        PARTITIONERS[log.identity.partitioner],
    )
    return expected, differences(
        expected,
        container.cells(),
        container.customer_queries(),
        container.product_queries(),
        container.outputs(),
        settings.stores.session_retention_ms,
        settings.stores.listed_sessions_max,
        trending=settings.recommendations.trending,
    )
