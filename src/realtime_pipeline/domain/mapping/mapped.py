"""What a mapping makes of a record."""

from collections.abc import Mapping
from typing import Any

import attrs

Document = Mapping[str, Any]
"""A record: a JSON object, or its columns."""


class Unmappable(Exception):
    """A record cannot become an event; the message is the reason of its dead letter."""


@attrs.frozen
class Mapped:
    """What a record became: events, none if it is of a type that the mapping ignores."""

    events: tuple[dict[str, object], ...]
    ignored_type: str | None = None
