"""`oracle`: shows what a store must hold after a replay, computed by the batch oracle alone."""

import argparse
from collections.abc import Mapping

import attrs

from harness.checking.stores import summary_of
from harness.commands.input_files import source_records
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.expected import expect
from harness.support.console import console, heading
from harness.support.log_io import publish, read_log
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.interfaces.text import counts_in_words

SHOWN_CUSTOMERS = 3


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Compute what a store must hold after a replay of the files."""
    settings = load_settings(options.settings, log="memory", store="memory")
    with Pipeline(settings) as pipeline:
        publish(pipeline, source_records(options), options.limit)
        log, schema = pipeline.container.log(), EventSchema(settings.events, settings.event_types)
        expected = expect(read_log(log), schema, settings.folding, log.identity.partitions)
        if expected.missing_messages:  # the log has the messages about sign-ins only after a worker has written them
            pipeline.process()
            expected = expect(read_log(log), schema, settings.folding, log.identity.partitions)
    heading(summary_of(expected))
    console.print(counts_in_words(expected.counts))
    by_activity = sorted(
        expected.customers.values(), key=lambda customer: (-sum(customer.counts.values()), customer.customer_id)
    )
    shown = options.customer or [customer.customer_id for customer in by_activity[:SHOWN_CUSTOMERS]]
    for customer_id in shown:
        customer = expected.customers.get(CustomerId(customer_id))
        console.print(f"\n{customer_id}: {'not in the store' if customer is None else attrs.asdict(customer)}")
    return {
        "counts": {name.value: count for name, count in expected.counts.items()},
        "customers": {id_: attrs.asdict(customer) for id_, customer in expected.customers.items()},
        "sessions": {str(key): attrs.asdict(session) for key, session in expected.sessions.items()},
        "products": {id_: attrs.asdict(product) for id_, product in expected.products.items()},
        "reviews": [[*key, *review] for key, review in expected.reviews.items()],
        "dead_letters": expected.dead_letters,
    }
