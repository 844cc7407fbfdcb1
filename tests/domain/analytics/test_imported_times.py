"""The time of imported events: the second-newest of the last hundred."""

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.imported_times import ImportedTimes


def test_a_single_wrong_date_moves_time_no_further_than_another_event() -> None:
    times = ImportedTimes()
    assert [times.add(at_ms) for at_ms in (1_000, 2_000, 9_999_000, 3_000, 2_500)] == [None, 1_000, 2_000, 3_000, 3_000]


def test_two_wrong_dates_far_apart_do_not_add_up() -> None:
    times = ImportedTimes()
    times.add(9_999_000)
    for at_ms in range(1, 100):
        assert times.add(at_ms) == (at_ms if at_ms > 0 else None)
    assert times.add(9_998_000) == 99
    assert times.add(100) == 100


@given(st.lists(st.integers(-5, 5), max_size=250), st.integers(0, 249))
def test_it_is_what_sorting_the_last_hundred_gives(history: list[int], cut: int) -> None:
    times = ImportedTimes()
    for number, at_ms in enumerate(history):
        if number == cut:
            times = ImportedTimes(times.chunk())
        last = history[max(number - 99, 0) : number + 1]
        assert times.add(at_ms) == (sorted(last)[-2] if len(last) > 1 else None)


def test_of_events_in_order_little_is_kept() -> None:
    times = ImportedTimes()
    for at_ms in range(1_000):
        times.add(1_760_000_000_000 + at_ms)
    assert len(times.chunk()) <= 64
