"""The windows of a real shop's first days: by the oracle, and added up from the file's own lines."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from harness.checking.checked_windows import REPORTED
from harness.formats.online_retail import read
from harness.formats.rows import Options
from harness.support.files import opened
from realtime_pipeline import AnalyticsSettings, Pipeline, Settings
from tests.harness.commands.test_commands import ran
from tests.harness.support.real_data import real

NAME = "online_retail/online_retail.csv.zst"
LINES = 8_000
"""Three days of December 2010."""


@pytest.mark.data
@pytest.mark.parametrize("disorder", [(), ("--disorder", 3)], ids=["in order", "out of order"])
def test_all_windows_of_a_shop_equal_the_oracle(tmp_path: Path, disorder: Sequence[object]) -> None:
    arguments = ("--format", "online-retail", "--data", real(NAME), "--limit", LINES, "--windows", "--check")
    figures = ran(tmp_path, "replay", *arguments, *disorder)
    assert figures["differences"] == []
    windows = figures["windows"]
    assert len(windows) == 10
    assert windows["revenue_by_country_day"]["windows"] > 10
    assert windows["customers_per_hour"]["windows"] > 20
    for name, numbers in windows.items():
        assert 0 <= numbers["late"] < LINES / 10, name
        assert bool(numbers["late"]) is bool(disorder), name


@pytest.mark.data
def test_revenue_and_customers_are_those_of_the_files_lines() -> None:
    """To the penny: sums of the lines, as decimal numbers."""
    file = real(NAME)
    documents = [json.loads(record.value) for record in islice(read(file, Options()), LINES)]
    settings = Settings(log="memory", store="memory", analytics=AnalyticsSettings(REPORTED, shipped=()))
    with Pipeline(settings) as pipeline:
        pipeline.publish(documents)
        pipeline.process()
        days, hours = pipeline.windows("revenue_by_country_day").items, pipeline.windows("customers_per_hour").items
        assert pipeline.windows("customers_per_hour").late == 0
    assert {
        (item.start_ms, item.key): (Decimal(str(item.values["gross"])), Decimal(str(item.values["net"])))
        for item in days
    } == revenue_of(lines_of(file))
    assert {item.start_ms: item.values["customers"] for item in hours} == customers_of(lines_of(file))


def lines_of(file: Path) -> Iterator[dict[str, str]]:
    """The lines that are sales and cancellations: others with a negative quantity correct the stock."""
    with opened(file) as stream:
        for line in islice(csv.DictReader(io.TextIOWrapper(stream, "utf-8")), LINES):
            if line["InvoiceNo"].startswith("C") or int(line["Quantity"]) > 0:
                yield line


def start_of(line: dict[str, str], unit: str) -> int:
    """The start of a line's day or hour, in ms since 1970."""
    time = datetime.fromisoformat(line["InvoiceDate"]).replace(tzinfo=UTC, minute=0, second=0)
    return int((time.replace(hour=0) if unit == "day" else time).timestamp()) * 1_000


def revenue_of(lines: Iterator[dict[str, str]]) -> dict[tuple[int, tuple[str]], tuple[Decimal, Decimal]]:
    """Gross and net by day and country; the quantity of a cancellation is negative."""
    found: dict[tuple[int, tuple[str]], tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(), Decimal()))
    for line in lines:
        amount, key = Decimal(line["UnitPrice"]) * int(line["Quantity"]), (start_of(line, "day"), (line["Country"],))
        gross, net = found[key]
        found[key] = gross + max(amount, Decimal()), net + amount
    return dict(found)


def customers_of(lines: Iterator[dict[str, str]]) -> dict[int, int]:
    """Distinct customers by hour, in hours that have one."""
    found: dict[int, set[str]] = defaultdict(set)
    for line in lines:
        if line["CustomerID"]:
            found[start_of(line, "hour")].add(line["CustomerID"])
    return {start: len(customers) for start, customers in found.items()}
