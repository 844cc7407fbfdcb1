"""The comparison finds every planted difference of late events; the oracle says which there are, by hand."""

from collections.abc import Callable, Iterator

import attrs
import pytest

from harness.checking.compare import compare
from harness.checking.late_events import compare_late_events
from harness.oracle.expected import Expected
from realtime_pipeline import Pipeline
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.records import Record
from tests.support.histories import opened
from tests.support.windows import COUNT, MINUTE, run, settings_for, view

SLIDING = WindowedAggregate("sliding", Window(60_000, 20_000), COUNT, bound_ms=0, lateness_ms=0)
MINUTES = WindowedAggregate("minutes", MINUTE, COUNT, bound_ms=0, lateness_ms=0)
Late = list[LateEvent]


@pytest.fixture
def compared() -> Iterator[tuple[Pipeline, Expected]]:
    with opened(settings_for(SLIDING, MINUTES)) as pipeline:
        run(pipeline, view("1", 79, user="bob"), view("2", 35), view("3", 1, user="bob"), view("4", 2))
        yield pipeline, compare(pipeline)[0]


def test_the_oracle_lists_late_events_by_where_they_lie(compared: tuple[Pipeline, Expected]) -> None:
    _, expected = compared
    both = {"minutes": 1, "sliding": 3}
    assert expected.late_events == {(0, 1): {"minutes": 1}, (0, 2): both, (0, 3): both}
    assert expected.late_events_erased == {}


def test_the_oracle_erases_late_events_with_their_customers(compared: tuple[Pipeline, Expected]) -> None:
    pipeline, _ = compared
    pipeline.forget("bob")
    pipeline.process()
    expected, found = compare(pipeline)
    assert found == []
    assert (sorted(expected.late_events), list(expected.late_events_erased)) == ([(0, 1), (0, 3)], [(0, 2)])


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (lambda late: late[1:], "late event of (0, 1) is missing, should be {'minutes': 1}"),
        (
            lambda late: [attrs.evolve(late[0], missed=(MissedWindows("minutes", 2),)), *late[1:]],
            "late event of (0, 1) of minutes is 2, should be 1",
        ),
        (
            lambda late: [attrs.evolve(late[0], record=Record(0, 0, None, b"", 0)), *late],
            "late event of (0, 0) is {'minutes': 1}, should not be there",
        ),
        (
            lambda late: [attrs.evolve(late[0], record=late[0].record._replace(value=b"")), *late[1:]],
            "late event (0, 1): its record is not equal to the one in the log",
        ),
        (lambda late: [late[0], *late], "late events are not each there once, by partition and position"),
    ],
)
def test_a_planted_difference_is_found(
    plant: Callable[[Late], Late], line: str, compared: tuple[Pipeline, Expected]
) -> None:
    pipeline, expected = compared
    outputs = pipeline.container.outputs()
    assert list(compare_late_events(expected, outputs)) == []
    planted = plant(list(outputs.late_events(10)))
    vars(outputs)["late_events"] = lambda limit: planted[:limit]
    assert list(compare_late_events(expected, outputs)) == [line]
