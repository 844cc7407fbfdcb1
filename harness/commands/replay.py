"""`replay`: runs real files through the whole pipeline, and on demand compares the store with the oracle."""

import argparse
from collections import Counter
from collections.abc import Mapping

from dependency_injector import providers

from harness.checking.checked_windows import with_all_windows
from harness.checking.compare import compare
from harness.checking.stores import summary_of
from harness.commands.active_customers import most_active
from harness.commands.input_files import source_records
from harness.formats.catalogue import read_catalogue
from harness.support.console import console, heading
from harness.support.environment import environment
from harness.support.log_io import process_all, publish
from realtime_pipeline import Pipeline
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.interfaces.text import CLASSES, profile_in_words, recommendations_in_words

SHOWN_CUSTOMERS = 3
SHOWN_RECOMMENDATIONS = 5
SHOWN_REASONS = 10


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Publish and process the files, show customers, and with --check compare the store with the oracle."""
    with (
        environment(options) as settings,
        Pipeline(with_all_windows(settings) if options.windows else settings) as pipeline,
    ):
        if options.catalogue is not None:
            pipeline.container.products.override(providers.Object(read_catalogue(options.catalogue)))
        figures = _replay(pipeline, options)
        _show_customers(pipeline, options.customer)
        if options.check:
            figures["differences"], figures["windows"] = _check(pipeline)
            figures["ok"] = figures["ok"] and not figures["differences"]
        return figures


def _replay(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, object]:
    lines = publish(pipeline, source_records(options), options.limit)
    seconds, counts = process_all(pipeline, lines)
    if options.database is None:  # to a database that is kept, more may be added
        pipeline.close_windows()
    classes = {name.value: count for name, count in counts.items() if name is not RecordClass.CONTROL}
    messages = sum(classes.values()) - lines  # the worker has written them for visitors who signed in
    adds_up = messages == 0 or (
        messages > 0 and any(_has_signed_in(customer) for customer in pipeline.container.customer_queries().scan())
    )
    heading(f"{lines:,} lines at {lines / seconds:,.0f} a second")
    for name, words in CLASSES.items():
        if name is not RecordClass.CONTROL:
            console.print(f"  {counts[name]:>12,} {words}")
    in_all = (
        f"{lines:,} lines"
        if messages <= 0
        else f"{lines:,} lines, and {messages:,} messages about visitors who signed in"
    )
    verdict = "the classes add up" if adds_up else f"but the sum of the classes is {sum(classes.values()):,}"
    console.print(f"  {in_all}: {verdict}")
    return {
        "lines": lines,
        "messages": max(messages, 0),
        "seconds": seconds,
        "classes": classes,
        "control": counts[RecordClass.CONTROL],
        "dead_letters": _dead_letters(pipeline, counts[RecordClass.DEAD_LETTER]),
        "ok": adds_up,
    }


def _has_signed_in(customer: Customer) -> bool:
    return bool(customer.aliases.visitors) or customer.aliases.alias_of is not None


def _dead_letters(pipeline: Pipeline, count: int) -> dict[str, int]:
    """Show why records became dead letters, and the first record of each reason."""
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
        if pipeline.container.customer_queries().read_customer(CustomerId(customer_id)) is None:
            console.print("  never seen, or forgotten; a new customer would get:")
        else:
            for line in profile_in_words(pipeline.profile(customer_id)):
                console.print(line)
        for line in recommendations_in_words(pipeline.recommend(customer_id, SHOWN_RECOMMENDATIONS)):
            console.print(line)


def _check(pipeline: Pipeline) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Compare the store with the oracle.

    Returns:
        The differences; and of each definition of windows, how many windows of a key were compared, and how many
        events were late.
    """
    heading("Compared with the batch oracle")
    expected, differences = compare(pipeline)
    for difference in differences:
        console.print(f"  {difference}")
    windows = {name: {"windows": len(found.events), "late": found.late} for name, found in expected.windows.items()}
    for name, numbers in windows.items():
        console.print(f"  {name}: {numbers['windows']:,} windows of a key, {numbers['late']:,} events late for all")
    verdict = f"{len(differences)} differences" if differences else "equal, field by field"
    console.print(f"  {summary_of(expected)}: {verdict}")
    return differences, windows
