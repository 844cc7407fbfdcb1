"""The files that `replay` and `oracle` read."""

import argparse
from collections.abc import Iterator
from itertools import islice

from harness.formats import Options, SourceRecord, read
from harness.support.disorder import disordered
from harness.support.files import in_event_time_order


def source_records(options: argparse.Namespace) -> Iterator[SourceRecord]:
    """Read the records of all files that the options name, in event-time order, or out of it by the seed named."""
    records = read(options.data, options.format, Options(collapse_repeats=options.collapse_repeats))
    first = islice(in_event_time_order(records), options.limit)
    return first if options.disorder is None else disordered(first, options.disorder)
