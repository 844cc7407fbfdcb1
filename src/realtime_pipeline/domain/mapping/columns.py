"""ColumnsMapping: records whose fields are named as ours already, as the columns of a CSV file may be."""

from collections.abc import Mapping
from datetime import UTC
from typing import Final

from realtime_pipeline.domain.mapping.definitions import NUMBERS, TOP_LEVEL, TYPE
from realtime_pipeline.domain.mapping.mapped import Document, Mapped, Unmappable
from realtime_pipeline.domain.mapping.numbers import read_number
from realtime_pipeline.domain.mapping.times import time_reader

LOG_LINE: Final = "log_line"
"""The type of a record that has none: a line of text."""
_READ_TIME: Final = time_reader("", UTC)
_CONTEXT: Final = ("country", "user_agent", "ip_address", "location")


class ColumnsMapping:
    """Makes an event of a record by the names of its fields; fields with other names become properties.

    `default_type` is that of records without a field `event_type` or `action`; without it they cannot be events.
    """

    def __init__(self, default_type: str = "") -> None:
        self._default_type = default_type

    def __call__(self, document: Document, record_id: str = "") -> Mapped:
        """Map a record.

        Raises:
            Unmappable: it has no type.
        """
        type_ = document.get(TYPE) or document.get("action") or self._default_type
        if not type_:
            raise Unmappable("no_event_type: there is no field event_type: name a --mapping that has the type")
        event: dict[str, object] = {TYPE: type_}
        event |= {name: value for name in TOP_LEVEL if (value := document.get(name)) not in (None, "")}
        if "timestamp" in event:
            event["timestamp"] = _READ_TIME(event["timestamp"])
        properties: dict[str, object] = {}
        for name, value in document.items():
            if name in TOP_LEVEL or name in _CONTEXT or name in (TYPE, "action") or value in (None, ""):
                continue
            number = read_number(value) if name in NUMBERS else None
            is_whole = number is not None and number == number.to_integral_value()
            properties[name] = value if number is None else int(number) if is_whole else number
        if properties:
            event["properties"] = properties
        context = {name: value for name in _CONTEXT if (value := document.get(name)) not in (None, "")}
        if context:
            event["context"] = context
        return Mapped((event,))

    def customer(self, document: Document) -> Mapping[str, object]:
        """The ids of the customer of a record that cannot be mapped."""
        return document
