"""`bench ingest`: rows per CPU-second from files into the log, beside plain reading of the same file."""

import argparse
import csv
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from harness.support.console import console, heading
from harness.support.errors import HarnessError
from realtime_pipeline import EventMapping, FileFormat, FileSource, Pipeline, Settings
from realtime_pipeline.domain.mapping.definitions import FieldSpec

MAPPING: Final = "bench"
_FIELDS: Final = ("event_id", "event_type", "user_id", "session_id", "timestamp")
_PROPERTIES: Final = ("product_id", "name", "category", "price", "quantity", "order_id")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Write the same events in each format; read each plainly, and publish it to a log in SQLite."""
    events = _events(options.events)
    figures: dict[str, object] = {"rows": len(events)}
    heading(f"{len(events):,} rows in each file")
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        for kind, (path, format_, read, mapping) in _files(folder, events).items():
            plain_s = _cpu_s(partial(read, path))
            with Pipeline(_settings(folder / f"{kind}.db")) as pipeline:
                source = FileSource(kind, [path], format_, with_digests=bool(mapping))
                published = 0

                def publish(source: FileSource = source, pipeline: Pipeline = pipeline, mapping: str = mapping) -> None:
                    nonlocal published
                    published = pipeline.publish_source(source, mapping).published

                ingest_s = _cpu_s(publish)
            if published != len(events):
                raise HarnessError(f"{kind}: {published} of {len(events)} rows were published")
            per_s, plain_per_s = len(events) / ingest_s, len(events) / plain_s
            figures[kind] = {"rows_per_cpu_second": per_s, "plainly": plain_per_s}
            console.print(f"  {per_s:>10,.0f} a CPU-second into the log, {plain_per_s:>12,.0f} read plainly: {kind}")
    return figures


def _settings(database: Path) -> Settings:
    top_level: dict[str, FieldSpec] = {name: name for name in _FIELDS}
    nested: dict[str, FieldSpec] = {name: f"properties.{name}" for name in _PROPERTIES}
    columns: dict[str, FieldSpec] = {name: name for name in _PROPERTIES}
    mappings = {MAPPING: EventMapping(fields=top_level | nested), "columns": EventMapping(fields=top_level | columns)}
    return Settings(database=str(database), mapping=mappings)


def _events(count: int) -> list[dict[str, Any]]:
    """Views and purchases of a shop, without anything wrong in them."""
    random = Random(7)
    return [
        {
            "event_id": f"e{number}",
            "event_type": "purchase" if number % 20 == 0 else "view",
            "user_id": f"customer-{random.randrange(50_000)}",
            "session_id": f"session-{random.randrange(200_000)}",
            "timestamp": 1_760_000_000_000 + number * 50,
            "properties": {
                "product_id": f"product-{random.randrange(2_000)}",
                "name": "Digital Kitchen Scale, Black",
                "category": "Kitchen",
                "price": random.randrange(100, 10_000) / 100,
                "quantity": 1 + random.randrange(3),
                "order_id": f"order-{number}",
            },
        }
        for number in range(count)
    ]


_File = tuple[Path, FileFormat, Callable[[Path], object], str]


def _files(folder: Path, events: list[dict[str, Any]]) -> dict[str, _File]:
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    rows = [
        {name: event.get(name) for name in _FIELDS}
        | {name: (event.get("properties") or {}).get(name) for name in _PROPERTIES}
        for event in events
    ]
    plain, packed, frame = folder / "events.jsonl", folder / "events.jsonl.gz", folder / "events.jsonl.zst"
    plain.write_bytes(lines)
    packed.write_bytes(gzip.compress(lines))
    frame.write_bytes(zstandard.compress(lines))
    table, columns = folder / "events.csv", folder / "events.parquet"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*_FIELDS, *_PROPERTIES])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), columns)
    return {
        "JSON lines": (plain, FileFormat(), _read_lines, ""),
        "JSON lines, gzip": (packed, FileFormat(), _read_gzip, ""),
        "JSON lines, zstd": (frame, FileFormat(), _read_zstd, ""),
        "JSON lines by a mapping": (plain, FileFormat(), _read_json, MAPPING),
        "CSV": (table, FileFormat("csv"), _read_csv, ""),
        "CSV by a mapping": (table, FileFormat("csv"), _read_csv, "columns"),
        "Parquet": (columns, FileFormat("parquet"), _read_parquet, ""),
    }


def _read_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _read_gzip(path: Path) -> int:
    with gzip.open(path) as file:
        return sum(1 for _ in file)


def _read_zstd(path: Path) -> int:
    return zstandard.decompress(path.read_bytes()).count(b"\n")


def _read_json(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if json.loads(line))


def _read_csv(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _read_parquet(path: Path) -> int:
    return len(pq.read_table(path).to_pylist())


def _cpu_s(call: Callable[[], object]) -> float:
    began_s = time.process_time()
    call()
    return time.process_time() - began_s
