"""The command that traces an event through the log."""

import argparse
from collections.abc import Iterator
from typing import TypeAlias

from realtime_pipeline.application.errors import UnknownEvent
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.money import decimals_of, in_units
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.traces import Change, Copy, Trace
from realtime_pipeline.interfaces.cli.dead_letters import Progress
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.text import plain
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_trace(commands: Commands, common: argparse.ArgumentParser, progress: Progress) -> None:
    """Add the command; `progress` makes its progress line, of the records read."""
    trace = commands.add_parser("trace", parents=[common], help="find the copies of an event, and what each changed")
    trace.add_argument("event_id", metavar="EVENT_ID", help="the event's id")
    trace.add_argument(
        "--customer", metavar="CUSTOMER", help="the event's customer: reads only the customer's partitions"
    )
    add_json(trace)

    def run(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
        shows = progress("record", "read")
        try:
            found = pipeline.trace(options.event_id, options.customer, shows.update)
        finally:
            shows.end()
        _check_found(found, options.customer)
        if options.json:
            print_json(found.as_dict())
        else:
            print("\n".join(map(plain, _in_words(found, decimals_of(settings.currency), options.customer))))

    trace.set_defaults(command=run, reads=True)


def _check_found(trace: Trace, customer: str | None) -> None:
    """Check that there is a copy.

    Raises:
        UnknownEvent: there is none; the message says what was read.
    """
    if trace.copies:
        return
    positions = sum(end - begin for begin, end in trace.searched.values())
    where = f"{positions:,} positions of {trace.log}"
    if customer is not None:
        where += f", in the partitions of {ascii(customer)[1:-1]} alone (leave out --customer to read all)"
    cut = ""
    if trace.shortened:
        begins = ", ".join(f"{trace.searched[number][0]} of partition {number}" for number in trace.shortened[:5])
        cut = f"; the log has been shortened, and begins at {begins}: what came before is not known"
    raise UnknownEvent(f"no record has the event id {ascii(trace.event_id)[1:-1]}: looked through {where}{cut}")


def _in_words(trace: Trace, decimals: int, customer: str | None) -> Iterator[str]:
    where = "" if customer is None else f", in the partitions of {customer} alone"
    copies = counted(len(trace.copies), "copy", "copies")
    yield f"event {trace.event_id} in {trace.log}: {copies}{', and more' if trace.more else ''}{where}"
    for copy in trace.copies:
        origin = "" if copy.origin is None else f", from {copy.origin}"
        yield f"partition {copy.partition}, position {copy.position}{origin}"
        yield f"  taken in  {utc_text(copy.appended_at_ms)}"
        yield f"  class     {_class_in_words(copy)}"
        if copy.kind is not None:
            yield f"  kind      {copy.kind.value}"
        if copy.customer_id is not None:
            yield f"  customer  {copy.customer_id}"
        if copy.product_id is not None:
            yield f"  product   {copy.product_id}"
        if copy.change is not None:
            yield f"  changed   {', '.join(_change_in_words(copy.change, decimals)) or 'nothing that is counted'}"
        if copy.doubt:
            yield f"  unsure    {copy.doubt}"
        if not copy.in_log:
            yield "  unsure    only the dead letter is stored: the log no longer has the record"


def _class_in_words(copy: Copy) -> str:
    if copy.record_class is None:
        return "not processed yet"
    words = copy.record_class.value.replace("_", " ")
    if copy.reason is not None:
        words += f": {copy.reason}"
    return words if copy.letter is None else f"{words} ({copy.letter.value})"


def _change_in_words(change: Change, decimals: int) -> Iterator[str]:
    for number, name in ((change.units, "units"), (change.orders, "orders")):
        if number:
            yield f"{name} {number:+,}"
    if change.spend:
        yield f"spend {'+' if change.spend > 0 else ''}{in_units(change.spend, decimals)}"
    if change.session is not None:
        yield f"session {change.session}{' (begun)' if change.sessions_begun else ''}"
    elif change.sessions_begun:
        yield f"sessions begun {change.sessions_begun:+,}"
    if change.interactions:
        yield f"interactions of the product {change.interactions:+,}"
    if change.ratings or change.rating_sum:
        yield f"ratings of the product {change.ratings:+,}, their sum {change.rating_sum:+,}"
    if change.excluded:
        yield f"events excluded {change.excluded:+,}"
    if change.to is not None:
        yield f"to {change.to}"
    if change.erased:
        yield "the customer was erased"
