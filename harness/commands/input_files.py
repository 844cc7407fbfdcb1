"""The files that `replay` and `oracle` read."""

import argparse
from collections.abc import Iterator
from itertools import islice

from harness.formats import Options, SourceRecord, read
from harness.support.files import in_event_time_order


def source_records(options: argparse.Namespace) -> Iterator[SourceRecord]:
    """Read the records of all files that the options name, in event-time order."""
    records = read(options.data, options.format, Options(collapse_repeats=options.collapse_repeats))
    return islice(in_event_time_order(records), options.limit)
