"""`replay`: real files through the very same pipeline."""

import argparse
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

from dependency_injector import providers

from harness.checking.compare import compare
from harness.checking.stores import compared
from harness.formats import Options, SourceRecord, read
from harness.formats.catalogue import read_catalogue
from harness.support.console import console, heading
from harness.support.environment import environment
from harness.support.files import in_event_time_order
from harness.support.log_io import process_all, publish
from realtime_pipeline import Pipeline
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.interfaces.text import CLASSES, profile_in_words, recommendations_in_words

SHOWN_CUSTOMERS = 3
SHOWN_RECOMMENDATIONS = 5
SHOWN_REASONS = 10


def lines_of(options: argparse.Namespace) -> Iterator[SourceRecord]:
    """The lines of all the files named, in event-time order."""
    lines = read(options.data, options.format, Options(collapse_repeats=options.collapse_repeats))
    return islice(in_event_time_order(lines), options.limit)


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Publish, process, show, and where asked compare with the oracle."""
    with environment(options) as settings, Pipeline(settings) as pipeline:
        if options.catalogue is not None:
            pipeline.container.products.override(providers.Object(read_catalogue(options.catalogue)))
        figures = _replay(pipeline, options)
        _show_customers(pipeline, options.customer)
        if options.check:
            figures["differences"] = _check(pipeline)
            figures["ok"] = figures["ok"] and not figures["differences"]
        return figures


def _replay(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, object]:
    rows = publish(pipeline, lines_of(options), options.limit, finite=options.database is None)
    seconds, counts = process_all(pipeline, rows)
    classes = {name.value: count for name, count in counts.items() if name is not RecordClass.CONTROL}
    handed_on = sum(classes.values()) - rows  # what visitors who signed in had to say is in the log too
    adds_up = handed_on == 0 or (
        handed_on > 0 and any(_is_of_visitors(one) for one in pipeline.container.cells().scan())
    )
    heading(f"{rows:,} lines at {rows / seconds:,.0f} a second")
    for name, words in CLASSES.items():
        if name is not RecordClass.CONTROL:
            console.print(f"  {counts[name]:>12,} {words}")
    in_all = (
        f"{rows:,} lines" if handed_on <= 0 else f"{rows:,} lines, and {handed_on:,} records of visitors who signed in"
    )
    verdict = "the classes add up" if adds_up else f"but the classes come to {sum(classes.values()):,}"
    console.print(f"  {in_all}: {verdict}")
    return {
        "lines": rows,
        "handed_on": max(handed_on, 0),
        "seconds": seconds,
        "classes": classes,
        "control": counts[RecordClass.CONTROL],
        "dead_letters": _dead_letters(pipeline, counts[RecordClass.DEAD_LETTER]),
        "ok": adds_up,
    }


def _is_of_visitors(customer: Customer) -> bool:
    return bool(customer.aliases.visitors) or customer.aliases.alias_of is not None


def _dead_letters(pipeline: Pipeline, count: int) -> dict[str, int]:
    """Show why lines could not be folded, and where the first of each kind stands."""
    letters = pipeline.container.outputs().dead_letters(max(count, 1))
    reasons = Counter(letter.reason.partition(":")[0] for letter in letters)
    if reasons:
        heading("Dead letters")
    for reason, times in reasons.most_common(SHOWN_REASONS):
        first = next(letter for letter in letters if letter.reason.partition(":")[0] == reason)
        console.print(f"  {times:>8,} {first.reason}")
        console.print(
            f"           first at {first.record.origin or first.record.position}: {first.record.value[:100]!r}"
        )
    return dict(reasons)


def _show_customers(pipeline: Pipeline, named: list[str]) -> None:
    for customer_id in named or most_active(pipeline, SHOWN_CUSTOMERS):
        heading(f"Customer {customer_id}")
        if pipeline.container.cells().read_customer(CustomerId(customer_id)) is None:
            console.print("  never seen, or forgotten; what anybody new would be shown:")
        else:
            for line in profile_in_words(pipeline.profile(customer_id)):
                console.print(line)
        for line in recommendations_in_words(pipeline.recommend(customer_id, SHOWN_RECOMMENDATIONS)):
            console.print(line)


def most_active(pipeline: Pipeline, limit: int) -> list[CustomerId]:
    """The customers with the most events (ties: by id)."""

    def events(customer: Customer) -> tuple[int, str]:
        return (-sum(customer.visits.counts.values()), customer.customer_id)

    busiest = heapq.nsmallest(limit, ((events(one), one.customer_id) for one in pipeline.container.cells().scan()))
    return [customer_id for _, customer_id in busiest]


def _check(pipeline: Pipeline) -> list[str]:
    heading("Checked against the batch oracle")
    expected, differences = compare(pipeline)
    for difference in differences:
        console.print(f"  {difference}")
    verdict = f"{len(differences)} differences" if differences else "equal, field by field"
    console.print(f"  {compared(expected)}: {verdict}")
    return differences
