"""`oracle`: the plain batch computation, on its own."""

import argparse
from collections.abc import Mapping

import attrs

from harness.checking.stores import summary_of
from harness.commands.replay import lines_of
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.expected import expect
from harness.support.console import console, heading
from harness.support.log_io import publish, read_log
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.interfaces.text import counts_in_words

SHOWN_CUSTOMERS = 3


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Compute what a store must hold after a replay of these files, without any store."""
    settings = load_settings(options.settings, log="memory", store="memory")
    with Pipeline(settings) as pipeline:
        publish(pipeline, lines_of(options), options.limit)
        log, schema = pipeline.container.log(), EventSchema(settings.events, settings.event_types)
        expected = expect(read_log(log), schema, settings.fold, log.identity.partitions)
        if expected.missing_messages:  # what visitors who sign in hand on is in the log only once a worker has said it
            pipeline.process()
            expected = expect(read_log(log), schema, settings.fold, log.identity.partitions)
    heading(summary_of(expected))
    console.print(counts_in_words(expected.counts))
    by_activity = sorted(expected.customers.values(), key=lambda one: (-sum(one.counts.values()), one.customer_id))
    shown = options.customer or [one.customer_id for one in by_activity[:SHOWN_CUSTOMERS]]
    for customer_id in shown:
        customer = expected.customers.get(CustomerId(customer_id))
        console.print(f"\n{customer_id}: {'nothing is known' if customer is None else attrs.asdict(customer)}")
    return {
        "counts": {name.value: count for name, count in expected.counts.items()},
        "customers": {id_: attrs.asdict(one) for id_, one in expected.customers.items()},
        "sessions": {str(key): attrs.asdict(one) for key, one in expected.sessions.items()},
        "products": {id_: attrs.asdict(one) for id_, one in expected.products.items()},
        "reviews": [[*key, *review] for key, review in expected.reviews.items()],
        "dead_letters": expected.dead_letters,
    }
