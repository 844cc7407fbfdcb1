"""`bench growth`: bytes of the SQLite file per event in the log, and per customer in the store and in a snapshot."""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from harness.benchmarks.windows import with_shipped
from harness.benchmarks.worker import WORKLOADS
from harness.support.console import console, heading
from harness.support.log_io import process_all, publish
from harness.support.source_record import SourceRecord
from realtime_pipeline import Pipeline, Settings, load_settings


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Publish, process, write a backup and remove the processed records; measure the file after each step."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(None, database=str(Path(folder) / "shop.db"), log="sqlite", store="sqlite")
        settings = with_shipped(settings)
        figures = _filled(settings, options)
        figures.update(_removed(settings))
    heading(f"One file, {options.workload}: {options.events:,} events of {figures['customers']:,} customers")
    for name, words in WORDS.items():
        console.print(f"  {figures[name]:>12,.1f} {words}")
    return {"workload": options.workload, **figures}


WORDS = {
    "event_bytes": "bytes an event, as published",
    "log_bytes_per_event": "bytes of the file an event, in the log",
    "store_bytes_per_customer": "bytes of the file a customer, in the store: profile, sessions, reviews, lists",
    "store_bytes_per_event": "bytes of the file an event, in the store",
    "snapshot_bytes_per_customer": "bytes a customer, in a snapshot",
    "removal_s": "s to take the snapshot and remove all records",
    "backup_s": "s to write the backup",
    "backup_mb": "MB of the backup",
}


def _filled(settings: Settings, options: argparse.Namespace) -> dict[str, float]:
    size = 0
    records = []
    for value in WORKLOADS[options.workload](options):
        size += len(value)
        records.append(SourceRecord(None, value, "bench"))
    with Pipeline(settings) as pipeline:
        empty = _used(pipeline)
        publish(pipeline, records, options.events)
        published = _used(pipeline)
        process_all(pipeline, options.events)
        processed = _used(pipeline)
        customers: int = pipeline.container.database().rows("SELECT count(*) FROM customers")[0][0]
        began_s = time.perf_counter()
        backup = pipeline.backup(f"{settings.database}.copy")
        backup_s = time.perf_counter() - began_s
    return {
        "customers": customers,
        "event_bytes": size / options.events,
        "log_bytes_per_event": (published - empty) / options.events,
        "store_bytes_per_customer": (processed - published) / customers,
        "store_bytes_per_event": (processed - published) / options.events,
        "backup_s": backup_s,
        "backup_mb": backup.size / 1e6,
    }


def _removed(settings: Settings) -> dict[str, float]:
    with Pipeline(attrs.evolve(settings, log_retention=attrs.evolve(settings.log_retention, bytes_max=1))) as pipeline:
        began_s = time.perf_counter()
        pipeline.process()
        removal_s = time.perf_counter() - began_s
        database = pipeline.container.database()
        packed = database.rows("SELECT sum(length(rows)) FROM snapshot_chunks")[0][0]
        customers = database.rows("SELECT count(*) FROM customers")[0][0]
    return {"removal_s": removal_s, "snapshot_bytes_per_customer": packed / customers}


def _used(pipeline: Pipeline) -> int:
    """The bytes of the file that are in use."""
    database = pipeline.container.database()
    pages, free, size = (
        database.rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * size
    return used
