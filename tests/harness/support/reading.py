"""Reads text as a file of a format; the headers of the formats."""

import json
from pathlib import Path
from typing import Any

from harness.formats import Options, SourceRecord, read

RETAIL = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\r\n"
RSC15 = "SessionId\tItemId\tTime\n"
RETAILROCKET = "timestamp\tuser_id\titem_id\tsession_id\n"

NOON_2020_MS = 1_577_880_000_000
"""2020-01-01 12:00:00 UTC."""


class Reading:
    """Reads text as a file of a format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(
        self, format_name: str, content: str | bytes, name: str = "shop.csv", **options: bool
    ) -> list[SourceRecord]:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read([path], format_name, Options(**options)))

    def event(self, format_name: str, content: str) -> dict[str, Any]:
        (line,) = self.lines(format_name, content)
        event: dict[str, Any] = json.loads(line.value)
        assert line.occurred_at_ms == event["timestamp"]
        return event


GOOD = "900001,77A,MUG,6,2020-01-01 12:00:00,2.50,4,Norway\n"
"""A row of online-retail."""
