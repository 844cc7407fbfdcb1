"""Publishing from sources: exactly once through every failure, no faster than the log, at a rate."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from harness.checking.compare import compare
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unreachable, UnrecoverableState
from realtime_pipeline.application.ingestion.pace import Pace
from realtime_pipeline.application.ingestion.run_source import RunSource, SourceProgress
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver, Stage, StageObserver
from realtime_pipeline.application.ports.source import Positions, SourceBatch, SourceRecord
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.memory.source import MemorySource
from realtime_pipeline.infrastructure.memory.source_publisher import MemorySourcePublisher
from tests.support.histories import SetClock, event
from tests.support.workers import Crash, CrashAt


def prepare(record: SourceRecord) -> Sequence[Outgoing]:
    assert isinstance(record.value, bytes)
    return [Outgoing(b"ada", record.value, record.origin)]


def values_of(count: int, begin: int = 0) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(begin, begin + count)]


class Case:
    """A source in memory, and a log in memory that is published to."""

    def __init__(self, **parts: list[bytes]) -> None:
        self.log = MemoryLog(1, SetClock())
        self.source = MemorySource("shop", parts)

    def run_source(self, observer: StageObserver | None = None, records_max: int = 2) -> RunSource:
        return RunSource(
            lambda name: MemorySourcePublisher(self.log, name), observer or NoObserver(), records_max, lambda _: None
        )

    def published(self) -> list[bytes]:
        return [record.value for record in self.log.records[0]]


@pytest.mark.parametrize("stage", [Stage.SOURCE_READ, Stage.SOURCE_PUBLISHED])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_call_that_died_is_repeated(stage: Stage, times: int) -> None:
    case = Case(first=values_of(5), second=values_of(2, 5))
    with pytest.raises(Crash):
        case.run_source(CrashAt(stage, times)).catch_up(case.source, prepare)
    case.run_source().catch_up(case.source, prepare)
    assert sorted(case.published()) == values_of(7)
    assert case.source.deleted == {"first": 5, "second": 2}


def test_what_was_published_before_a_crash_is_acknowledged_at_the_next_start() -> None:
    case = Case(first=values_of(2))
    with pytest.raises(Crash):
        case.run_source(CrashAt(Stage.SOURCE_PUBLISHED, 1)).catch_up(case.source, prepare)
    assert case.source.deleted == {"first": 0}
    done = case.run_source().catch_up(case.source, prepare)
    assert (case.source.deleted, done, case.published()) == ({"first": 2}, SourceProgress(), values_of(2))


class Flaky(MemorySource):
    """Does not answer every other time."""

    def __init__(self, parts: dict[str, list[bytes]]) -> None:
        super().__init__("shop", parts)
        self.calls = 0

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        self.calls += 1
        if self.calls % 2:
            raise Unreachable("the shop's database does not answer")
        return super().read(records_max, timeout_s)

    @property
    def is_ended(self) -> bool:
        return all(self.deleted[part] == len(values) for part, values in self.parts.items())


class Silent(SourcePublisher):
    """Stores what is published, and then does not answer, every other time."""

    calls = 0

    def __init__(self, log: MemoryLog, source: str) -> None:
        self._publisher = MemorySourcePublisher(log, source)

    def claim(self) -> Positions:
        return self._publisher.claim()

    def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
        self._publisher.publish(records, positions)
        Silent.calls += 1
        if Silent.calls % 2:
            raise Unreachable("the log does not answer")

    def close(self) -> None:
        self._publisher.close()


def test_a_source_and_a_log_that_do_not_answer_are_waited_for() -> None:
    case, problems, waits = Case(), list[str](), list[float]()
    source = Flaky({"first": values_of(5), "second": values_of(2, 5)})
    run_source = RunSource(lambda name: Silent(case.log, name), NoObserver(), 2, waits.append)
    run_source.run(source, prepare, lambda: False, lambda progress: problems.append(progress.problem))
    assert sorted(case.published()) == values_of(7)
    assert {"the shop's database does not answer", "the log does not answer"} <= set(problems)
    assert waits
    assert max(waits) <= 5


def test_of_two_that_read_a_source_the_later_goes_on() -> None:
    case = Case(first=values_of(6))
    second = case.run_source()

    class Interrupts(StageObserver):
        def reached(self, stage: Stage, records: int) -> None:
            if stage is Stage.SOURCE_READ and not case.published():
                second.catch_up(MemorySource("shop", case.source.parts), prepare)

    with pytest.raises(UnrecoverableState, match="another process reads shop now: let only one run"):
        case.run_source(Interrupts()).catch_up(case.source, prepare)
    assert case.published() == values_of(6)


def test_a_slow_log_slows_the_source() -> None:
    """Nothing is read while a batch is published, so that at most one batch is in memory."""
    case = Case(first=values_of(1_000))
    read = list[int]()

    class Slow(MemorySourcePublisher):
        def publish(self, records: Sequence[Outgoing], positions: Positions) -> None:
            read.append(case.source._positions["first"] - len(case.published()))
            super().publish(records, positions)

    run_source = RunSource(lambda name: Slow(case.log, name), NoObserver(), 10)
    run_source.catch_up(case.source, prepare)
    assert (max(read), len(case.published())) == (10, 1_000)


def test_a_rate_is_held_in_even_steps() -> None:
    now = [0.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(100, lambda: now[0], wait)
    assert pace.batch(2_000) == 20
    for _ in range(50):
        pace.after(20)
    assert now[0] == pytest.approx(10, abs=0.2)
    now[0] += 60  # a pause is not made up for
    pace.after(20)
    pace.after(20)
    assert now[0] == pytest.approx(70.2, abs=0.3)
    assert Pace(None).batch(2_000) == 2_000


@pytest.mark.parametrize("stage", [Stage.SOURCE_READ, Stage.SOURCE_PUBLISHED])
def test_stores_equal_the_oracle_whatever_dies(stage: Stage, tmp_path: Path) -> None:
    """Events without ids and without customers too, which nothing but the positions keeps from counting twice."""
    events = [event(str(number)) for number in range(9)]
    nameless = [{"event_type": "view", "timestamp": 1_000 + n, "properties": {"product_id": "mug"}} for n in range(9)]
    parts = {"first": [msgspec.json.encode(found) for found in (*events, *nameless)]}
    for times in (1, 2, 4):
        with Pipeline(Settings(database=str(tmp_path / f"{times}.db"))) as pipeline:
            source, prepared = MemorySource("shop", parts), pipeline.container.prepare_records("shop")
            publisher_of = pipeline.container.run_source()._publisher_of
            with pytest.raises(Crash):
                RunSource(publisher_of, CrashAt(stage, times), 4).catch_up(source, prepared)
            RunSource(publisher_of, NoObserver(), 4).catch_up(source, prepared)
            counts = pipeline.process()
            assert sum(counts.values()) == 18
            assert compare(pipeline)[1] == []
