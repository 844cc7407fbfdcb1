"""Times on the command line."""

import argparse

from realtime_pipeline.domain.mapping.times import time_reader
from realtime_pipeline.domain.zones import zone_named


def time_of(text: str) -> int:
    """Read a time in ms since 1970, of a time zone or in UTC.

    Raises:
        argparse.ArgumentTypeError: it is no time.
    """
    at_ms = time_reader("", zone_named("UTC"))(text)
    if not isinstance(at_ms, int):
        raise argparse.ArgumentTypeError("must be a time as 2026-03-01T06:00:00Z")
    return at_ms
