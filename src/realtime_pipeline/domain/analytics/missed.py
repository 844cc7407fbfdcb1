"""What an event has missed that is late for every window of a definition."""

from typing import NamedTuple


class MissedWindows(NamedTuple):
    """The name of a definition, and how many windows of it contain the event's time: all of them were final."""

    definition: str
    windows: int
