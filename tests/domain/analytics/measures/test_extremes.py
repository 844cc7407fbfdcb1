"""The smallest and the largest number, the earliest and the latest value."""

import pytest

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator
from realtime_pipeline.domain.analytics.measures.extremes import First, Last, Max, Min
from realtime_pipeline.domain.analytics.measures.measure import Measure

MEASURE = Measure("", field="amount")


def of(kind: type[Accumulator], *events: tuple[str, int, str]) -> Accumulator:
    accumulator = kind(MEASURE)
    for event in events:
        accumulator.add(*event)
    return accumulator


def test_the_smallest_and_the_largest_number() -> None:
    smallest, largest = Min(MEASURE), Max(MEASURE)
    for number in (3, -7, 0, 12):
        smallest.add(number, 0, "e")
        largest.add(number, 0, "e")
    assert (smallest.result(), largest.result()) == (-7, 12)
    assert (smallest.changes(), largest.changes()) == ({"number": -7}, {"number": 12})
    assert (Min.dimension, Max.dimension) == (1, 1)


def test_a_number_that_changes_nothing_is_not_stored_again() -> None:
    for kind, beyond in ((Max, -1), (Min, 1)):
        extreme = kind(MEASURE)
        extreme.add(0, 0, "e")  # 0 is a number like any other
        assert extreme.changes() == {"number": 0}
        for number in (0, beyond):
            extreme.add(number, 0, "e")
        assert extreme.changes() == {}
        assert extreme.result() == 0


@pytest.mark.parametrize("kind", [Min, Max, First, Last])
def test_without_events(kind: type[Accumulator]) -> None:
    accumulator = kind(MEASURE)
    accumulator.merge(kind(MEASURE))
    assert accumulator.result() is None
    assert accumulator.changes() == {}


def test_the_earliest_and_the_latest_value() -> None:
    # times 2 < 5 < 9, whatever the order of arrival and the order of the texts
    events = (("noon", 5, "b"), ("evening", 9, "c"), ("morning", 2, "a"))
    assert (of(First, *events).result(), of(Last, *events).result()) == ("morning", "evening")


def test_of_the_same_time_the_event_id_decides() -> None:
    # ids are compared as text: "e10" < "e2"
    events = (("x", 5, "e2"), ("y", 5, "e10"))
    assert (of(First, *events).result(), of(Last, *events).result()) == ("y", "x")


def test_of_the_same_event_the_larger_value_decides() -> None:
    events = (("b", 5, "e"), ("c", 5, "e"), ("a", 5, "e"))
    assert (of(First, *events).result(), of(Last, *events).result()) == ("c", "c")


def test_the_chunk() -> None:
    # the time, the 6 characters of the id, then the id and the value as they are
    assert of(Last, ("blue", 1_760_000_000_000, "ev-777")).changes() == {"event": b"1760000000000 6 ev-777blue"}


@pytest.mark.parametrize(
    ("text", "at_ms", "event_id"),
    [
        ("", 0, ""),
        (" 1 2 ", -5, " 3 "),
        ("12", 1, "12"),
        ("größer €", 1, "ñ €"),
        ("a\0b\n", 1, "\0"),
        ("\ud800", 1, ""),
    ],
)
def test_any_text_is_stored(text: str, at_ms: int, event_id: str) -> None:
    changes = of(First, (text, at_ms, event_id)).changes()
    loaded = First(MEASURE)
    loaded.load({name: chunk for name, chunk in changes.items() if chunk is not None})
    assert (loaded.text, loaded.at_ms, loaded.event_id) == (text, at_ms, event_id)


def test_an_event_that_changes_nothing_is_not_stored_again() -> None:
    first = of(First, ("a", 5, "e"))
    first.changes()
    first.add("a", 5, "e")
    first.add("z", 6, "d")
    assert first.changes() == {}
