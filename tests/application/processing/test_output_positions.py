"""The positions of outputs are lost: what is told from the store, and what nobody can tell."""

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


class GroupsOutputs(MemoryOutputs):
    """Outputs whose positions lie where others may delete them; `seen` is what was put out, and can be looked for."""

    def __init__(self, publisher: EventPublisher) -> None:
        super().__init__(publisher)
        self._known: dict[int, int] = {}
        self.seen: dict[int, int] | None = {}

    def lose_positions(self) -> None:
        self._known.clear()
        self._epochs.clear()

    def claim(self, partition: int, epoch: int, recover: RecoverPosition = nothing_emitted) -> int:
        if epoch <= self._epochs.get(partition, 0):
            raise Fenced(f"partition {partition} has an epoch already")
        if partition not in self._known:
            self._known[partition] = recover(self.search)
        self._positions[partition] = self._known[partition]
        return super().claim(partition, epoch, recover)

    def committed_positions(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        return {partition: self._known.get(partition) for partition in partitions}

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        return {partition: self._known.get(partition, 0) for partition in partitions}

    def emit(self, emissions: Sequence[Emission]) -> None:
        super().emit(emissions)
        for one in emissions:
            self._known[one.partition] = one.to_position
            if self.seen is not None and (one.dead_letters or one.outgoing):
                self.seen[one.partition] = one.to_position

    def search(self, wanted: Sequence[Emission], since_ms: int) -> int | None:
        assert since_ms > 0
        return None if self.seen is None else max(wanted[0].from_position, self.seen.get(wanted[0].partition, 0))


@pytest.fixture
def outputs(pipeline: Pipeline) -> GroupsOutputs:
    outputs = GroupsOutputs(pipeline.container.publisher())
    pipeline.container.outputs.override(providers.Object(outputs))
    return outputs


def die_at(pipeline: Pipeline, stage: Stage, times: int) -> None:
    new_worker(pipeline, CrashAt(stage, times))
    with pytest.raises(Crash):
        pipeline.process()
    new_worker(pipeline)


def test_at_a_quiet_moment_the_store_says_how_far_outputs_were_and_nothing_is_looked_for(
    pipeline: Pipeline, outputs: GroupsOutputs
) -> None:
    append(pipeline, HISTORY[:100])
    pipeline.process()
    outputs.lose_positions()
    outputs.seen = None
    append(pipeline, HISTORY[100:])
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


@pytest.mark.parametrize("stage", [Stage.COMMITTED, Stage.MERGED, Stage.EMITTED])
@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_outputs_that_the_store_knows_nothing_of_are_looked_for(
    pipeline: Pipeline, outputs: GroupsOutputs, stage: Stage, times: int
) -> None:
    append(pipeline, HISTORY)
    die_at(pipeline, stage, times)
    outputs.lose_positions()
    pipeline.process()
    assert differences(pipeline) == []


def test_where_they_cannot_be_found_the_worker_stops_and_says_what_to_do(
    pipeline: Pipeline, outputs: GroupsOutputs
) -> None:
    append(pipeline, HISTORY)
    die_at(pipeline, Stage.EMITTED, 2)
    outputs.lose_positions()
    seen, outputs.seen = outputs.seen, None
    for _ in range(2):
        with pytest.raises(
            UnrecoverableState, match=r"partition \d: the group's offsets are gone .*outputs restore --in-doubt again"
        ):
            pipeline.process()
        new_worker(pipeline)
    outputs.seen = seen
    pipeline.process()
    assert differences(pipeline) == []


def test_a_store_that_has_also_lost_commits_does_not_guess(pipeline: Pipeline, outputs: GroupsOutputs) -> None:
    """The views stand ahead of the cells: so outputs may, and their records will be folded again."""
    cells = pipeline.container.cells()
    append(pipeline, HISTORY[:60])
    pipeline.process()
    lost = deepcopy(vars(cells))
    append(pipeline, HISTORY[60:])
    pipeline.process()
    vars(cells).update(lost)
    outputs.lose_positions()
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"outputs of records .* are in doubt"):
        pipeline.process()


def test_positions_that_are_lost_while_a_store_is_built_again_are_those_of_before(
    pipeline: Pipeline, outputs: GroupsOutputs
) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    outputs.seen = None
    new_worker(pipeline)
    pipeline.rebuild()
    outputs.lose_positions()
    die_at(pipeline, Stage.COMMITTED, 1)
    outputs.lose_positions()
    pipeline.process()
    assert differences(pipeline) == []


def test_a_store_is_not_emptied_that_alone_knows_how_far_outputs_were(
    pipeline: Pipeline, outputs: GroupsOutputs
) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    new_worker(pipeline)
    outputs.lose_positions()
    with pytest.raises(UnrecoverableState, match=r"the group's offsets are gone, .*let a worker start once"):
        pipeline.rebuild()
    pipeline.process()
    pipeline.rebuild()
    pipeline.process()
    assert differences(pipeline) == []


def test_positions_that_go_under_a_running_worker_are_written_again(pipeline: Pipeline, outputs: GroupsOutputs) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    outputs.lose_positions()
    let_time_pass(pipeline, 1_000)
    append(pipeline, HISTORY[60:])
    pipeline.process()
    assert differences(pipeline) == []
