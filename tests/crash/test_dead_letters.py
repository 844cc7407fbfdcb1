"""kill -9 while dead letters are replayed: after another replay each counts once, also events without a customer."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.maintenance.handle_dead_letters import Replay
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.support.histories import NOW_MS, append, event

LETTERS = 600
"""More than one batch."""

KILLED = """
import sys
from pathlib import Path
from signal import SIGKILL
from dependency_injector import providers
from harness.commands.fault import SignalAt
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.observer import Stage

with Pipeline(load_settings(database=sys.argv[1], events={"quantity_max": 9})) as pipeline:
    fault = SignalAt(Stage.APPENDED, int(sys.argv[2]), SIGKILL, None)
    pipeline.container.observer.override(providers.Object(fault))
    pipeline.replay_dead_letters()
"""


@pytest.mark.parametrize(("batch", "done"), [(1, 0), (2, 500)])
def test_a_killed_replay_is_run_again(tmp_path: Path, batch: int, done: int) -> None:
    """Purchases without a customer, so that no customer's seen ids find duplicates."""
    database = str(tmp_path / "shop.db")
    strict = Settings(database=database, partitions=1, events=EventLimits(quantity_max=8))
    bought = [
        event(None, "purchase", user=None, at_ms=NOW_MS - number, product="mug", price=1, quantity=9)
        for number in range(LETTERS)
    ]
    with Pipeline(strict) as pipeline:
        append(pipeline, bought)
        assert pipeline.process()[RecordClass.DEAD_LETTER] == LETTERS
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, database, str(batch)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with Pipeline(Settings(database=database, events=EventLimits(quantity_max=9))) as pipeline:
        assert len(pipeline.dead_letters(1_000)) == LETTERS - done
        assert pipeline.replay_dead_letters() == Replay(published=LETTERS - done)
        assert pipeline.replay_dead_letters() == Replay()
        counts = pipeline.process()
        assert (counts[RecordClass.APPLIED], counts[RecordClass.DEAD_LETTER]) == (LETTERS, LETTERS)
        mug = ProductId("mug")
        assert pipeline.container.product_queries().interactions_of([mug]) == {mug: LETTERS}
