"""Worker: when it has caught up or ends, everything that can be merged and emitted is."""

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.application.processing import backoff
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from tests.support.histories import append, differences, event
from tests.support.workers import LingeringViews


def unreachable_once(monkeypatch: pytest.MonkeyPatch, port: object, name: str) -> list[object]:
    """Have the first call of a port's method raise `Unreachable`; return the list of its calls."""
    calls: list[object] = []
    method = getattr(port, name)

    def call(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise Unreachable("no answer")
        return method(*arguments)

    monkeypatch.setattr(port, name, call)
    return calls


@pytest.mark.usefixtures("lingering_outputs")
@pytest.mark.parametrize(("port", "name"), [("views", "merge"), ("outputs", "emit"), ("log", "verify_identity")])
def test_catch_up_merges_and_emits_everything(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, port: str, name: str
) -> None:
    """Also where a store is unreachable at the end, and where an emission appends further records to the log."""
    monkeypatch.setattr(backoff, "RETRY_WAIT_S", 0.0)
    append(pipeline, [event("1", user=None, session="s1", product="mug")])
    pipeline.process()
    append(pipeline, [event("2", "login", user="ada", session="s1"), event("3", product="mug")])
    calls = unreachable_once(monkeypatch, getattr(pipeline.container, port)(), name)
    pipeline.process()
    assert len(calls) > 1
    assert differences(pipeline) == []


@pytest.mark.usefixtures("lingering_outputs")
def test_catch_up_emits_what_was_pending_before_the_call(pipeline: Pipeline) -> None:
    worker = pipeline.container.process_events()
    worker(0)
    append(pipeline, [event("1", user=None, session="s1", product="mug"), event("2", "login", session="s1")])
    worker(0)
    pipeline.process()
    assert pipeline.container.customer_queries().counts() == {RecordClass.APPLIED: 3}
    assert differences(pipeline) == []


def test_drain_emits_although_the_views_are_unreachable(
    pipeline: Pipeline, lingering_outputs: MemoryOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = LingeringViews(3, listed_sessions_max=3, activity_retention_hours=9)
    pipeline.container.views.override(providers.Object(views))
    worker = pipeline.container.process_events()
    for number in range(2):
        append(pipeline, [event(f"{number}", product="mug"), b"garbage"])
        worker(0)
    unreachable_once(monkeypatch, views, "merge")
    worker.drain()
    assert lingering_outputs.positions([0, 1]) == pipeline.container.cells().positions([0, 1])
