"""The positions of outputs are lost: a worker recovers them from the store and by search, or stops."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Fenced, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.ports.outputs import Emission, RecoverPosition, nothing_emitted
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from tests.support.histories import append, differences
from tests.support.workers import HISTORY, Crash, CrashAt, let_time_pass, new_worker


class GroupOffsetOutputs(MemoryOutputs):
    """Outputs whose positions are a group's offsets, which other tools may delete.

    `emitted_to` is what `search` finds: the end of each partition's last emission that had outputs; None where a search
    finds nothing out.
    """

    def __init__(self, publisher: EventPublisher) -> None:
        super().__init__(publisher)
        self._offsets: dict[int, int] = {}
        self.emitted_to: dict[int, int] | None = {}

    def lose_positions(self) -> None:
        self._offsets.clear()
        self._epochs.clear()

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        if epoch <= self._epochs.get(partition, 0):
            raise Fenced(f"partition {partition} has an epoch already")
        if partition not in self._offsets:
            self._offsets[partition] = recover(self.search)
        self._positions[partition] = self._offsets[partition]
        return super().claim(partition, epoch, recover)

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        return {partition: self._offsets.get(partition) for partition in partitions}

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        return {partition: self._offsets.get(partition, 0) for partition in partitions}

    def emit(self, emissions: Sequence[Emission]) -> None:
        super().emit(emissions)
        for emission in emissions:
            self._offsets[emission.partition] = emission.to_position
            if self.emitted_to is not None and (emission.dead_letters or emission.outgoing):
                self.emitted_to[emission.partition] = emission.to_position

    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        assert since_ms > 0
        if self.emitted_to is None:
            return None
        return max(wanted[0].from_position, self.emitted_to.get(wanted[0].partition, 0))


@pytest.fixture
def outputs(pipeline: Pipeline) -> GroupOffsetOutputs:
    outputs = GroupOffsetOutputs(pipeline.container.publisher())
    pipeline.container.outputs.override(providers.Object(outputs))
    return outputs


def crash_at(pipeline: Pipeline, stage: Stage, times: int) -> None:
    new_worker(pipeline, CrashAt(stage, times))
    with pytest.raises(Crash):
        pipeline.process()
    new_worker(pipeline)


def test_positions_are_recovered_from_the_store_where_nothing_is_in_doubt(
    pipeline: Pipeline, outputs: GroupOffsetOutputs
) -> None:
    append(pipeline, HISTORY[:100])
    pipeline.process()
    outputs.lose_positions()
    outputs.emitted_to = None
    append(pipeline, HISTORY[100:])
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


@pytest.mark.parametrize("stage", [Stage.COMMITTED, Stage.MERGED, Stage.EMITTED])
@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_outputs_in_doubt_are_searched_for(
    pipeline: Pipeline, outputs: GroupOffsetOutputs, stage: Stage, times: int
) -> None:
    append(pipeline, HISTORY)
    crash_at(pipeline, stage, times)
    outputs.lose_positions()
    pipeline.process()
    assert differences(pipeline) == []


def test_outputs_in_doubt_that_cannot_be_found_stop_the_worker(pipeline: Pipeline, outputs: GroupOffsetOutputs) -> None:
    append(pipeline, HISTORY)
    crash_at(pipeline, Stage.EMITTED, 2)
    outputs.lose_positions()
    emitted_to, outputs.emitted_to = outputs.emitted_to, None
    for _ in range(2):
        with pytest.raises(
            UnrecoverableState, match=r"partition \d: the group's offsets are gone .*outputs restore --in-doubt again"
        ):
            pipeline.process()
        new_worker(pipeline)
    outputs.emitted_to = emitted_to
    pipeline.process()
    assert differences(pipeline) == []


def test_lost_positions_and_lost_commits_stop_the_worker(pipeline: Pipeline, outputs: GroupOffsetOutputs) -> None:
    """The views are ahead of the cells, so the outputs may be ahead too, and their records will be folded again."""
    cells = pipeline.container.cells()
    append(pipeline, HISTORY[:60])
    pipeline.process()
    replica = deepcopy(vars(cells))
    append(pipeline, HISTORY[60:])
    pipeline.process()
    vars(cells).update(replica)
    outputs.lose_positions()
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"outputs of records .* are in doubt"):
        pipeline.process()


def test_positions_lost_during_a_rebuild_are_recovered(pipeline: Pipeline, outputs: GroupOffsetOutputs) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    outputs.emitted_to = None
    new_worker(pipeline)
    pipeline.rebuild()
    outputs.lose_positions()
    crash_at(pipeline, Stage.COMMITTED, 1)
    outputs.lose_positions()
    pipeline.process()
    assert differences(pipeline) == []


def test_a_store_is_not_rebuilt_while_the_positions_are_lost(pipeline: Pipeline, outputs: GroupOffsetOutputs) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    new_worker(pipeline)
    outputs.lose_positions()
    with pytest.raises(UnrecoverableState, match=r"the group's offsets are gone, .*start a worker once"):
        pipeline.rebuild()
    pipeline.process()
    pipeline.rebuild()
    pipeline.process()
    assert differences(pipeline) == []


def test_positions_lost_under_a_running_worker_are_written_again(
    pipeline: Pipeline, outputs: GroupOffsetOutputs
) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    outputs.lose_positions()
    let_time_pass(pipeline, 1_000)
    append(pipeline, HISTORY[60:])
    pipeline.process()
    assert differences(pipeline) == []
