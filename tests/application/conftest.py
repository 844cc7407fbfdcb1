"""Pipelines in memory, where commits, merges and emissions are separate steps, so that a test can fail any of them."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import SMALL, embedded, opened
from tests.support.workers import LingeringViews


@pytest.fixture(
    params=[(MemoryViews, 1), (MemoryViews, 3), (LingeringViews, 3)],
    ids=["one view cell", "three view cells", "buffered"],
)
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """In memory: with one view cell, with three, and with three whose merges are buffered over some rounds."""
    views, view_cells = request.param
    settings = attrs.evolve(SMALL, worker=WorkerSettings(round_records_max=20, cached_customers_max=4))
    with opened(embedded("memory", tmp_path, settings)) as made:
        made.container.views.override(
            providers.Object(views(view_cells, listed_sessions_max=3, activity_retention_hours=100))
        )
        yield made
