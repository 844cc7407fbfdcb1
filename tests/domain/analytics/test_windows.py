"""How event time is cut: every time is in one pane, and windows are made of whole panes."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.windows import CalendarUnit, Window

HOUR_MS = 3_600_000
YEAR_2100_MS = 4_102_444_800_000
TIMES = st.integers(0, YEAR_2100_MS)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Beirut",
)
SLIDING = st.integers(1, 60).flatmap(
    lambda panes: st.integers(1_000, 90_000_000).map(lambda slide_ms: Window(panes * slide_ms, slide_ms))
)
TUMBLING = st.integers(1_000, 366 * 86_400_000).map(Window)
CALENDAR = st.builds(
    Window,
    calendar=st.sampled_from(["day", "week", "month"]),
    timezone=st.sampled_from(ZONES),
)
WINDOWS = st.one_of(TUMBLING, SLIDING, CALENDAR)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


def test_tumbling_windows_begin_at_multiples_of_their_size() -> None:
    cut = Window(60_000).cut()
    assert [cut.pane_of(at_ms) for at_ms in (0, 59_999, 60_000, 119_999, 120_000)] == [0, 0, 60_000, 60_000, 120_000]
    assert list(cut.windows_of(60_000)) == [60_000]
    assert list(cut.panes_of(60_000)) == [60_000]
    assert cut.end_of(60_000) == 120_000
    assert cut.granule_ms() == 60_000


def test_sizes_that_divide_no_day_are_counted_from_1970() -> None:
    assert Window(7_000).cut().pane_of(20_999) == 14_000
    assert Window(7_000).cut().pane_of(21_000) == 21_000


def test_sliding_windows_overlap() -> None:
    cut = Window(10_000, 2_500).cut()
    assert cut.pane_of(23_456) == 22_500
    assert list(cut.windows_of(22_500)) == [15_000, 17_500, 20_000, 22_500]
    assert list(cut.panes_of(15_000)) == [15_000, 17_500, 20_000, 22_500]
    assert [cut.end_of(start_ms) for start_ms in cut.windows_of(22_500)] == [25_000, 27_500, 30_000, 32_500]
    assert cut.granule_ms() == 2_500


def test_a_slide_as_long_as_the_size_tumbles() -> None:
    assert Window(5_000, 5_000).cut() == Window(5_000).cut()


@pytest.mark.parametrize(
    ("unit", "zone", "at", "start", "end", "hours"),
    [
        ("day", "UTC", "2026-03-01T23:59:59", "2026-03-01T00:00", "2026-03-02T00:00", 24),
        ("day", "Europe/Berlin", "2026-03-01T23:30", "2026-03-01T23:00", "2026-03-02T23:00", 24),
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00", 23),
        ("day", "Europe/Berlin", "2026-10-25T00:30", "2026-10-24T22:00", "2026-10-25T23:00", 25),
        ("day", "Europe/Berlin", "2026-10-25T22:59:59", "2026-10-24T22:00", "2026-10-25T23:00", 25),
        ("day", "Asia/Kathmandu", "2026-01-01T18:15", "2026-01-01T18:15", "2026-01-02T18:15", 24),
        # 0:00 does not exist: clocks go from 23:59:59 of the day before to 1:00
        ("day", "America/Sao_Paulo", "2018-11-04T03:00", "2018-11-04T03:00", "2018-11-05T02:00", 23),
        ("day", "America/Sao_Paulo", "2018-11-04T02:59:59", "2018-11-03T03:00", "2018-11-04T03:00", 24),
        ("day", "Africa/Cairo", "2023-04-27T22:00", "2023-04-27T22:00", "2023-04-28T21:00", 23),
        ("day", "Africa/Cairo", "2023-04-27T21:59:59", "2023-04-26T22:00", "2023-04-27T22:00", 24),
        # the last hour of the day comes twice
        ("day", "America/Sao_Paulo", "2018-02-18T02:30", "2018-02-17T02:00", "2018-02-18T03:00", 25),
        ("day", "Africa/Cairo", "2023-10-26T21:30", "2023-10-25T21:00", "2023-10-26T22:00", 25),
        # the first hour of the day comes twice, and 0:00 with it
        ("day", "America/Havana", "2018-11-04T04:00", "2018-11-04T04:00", "2018-11-05T05:00", 25),
        ("day", "America/Havana", "2018-11-04T05:30", "2018-11-04T04:00", "2018-11-05T05:00", 25),
        # there was no 30 December 2011
        ("day", "Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00", 24),
        ("day", "Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00", 24),
        ("week", "UTC", "2026-03-01T12:00", "2026-02-23T00:00", "2026-03-02T00:00", 7 * 24),  # a Sunday
        ("week", "UTC", "2026-03-02T00:00", "2026-03-02T00:00", "2026-03-09T00:00", 7 * 24),  # a Monday
        ("week", "UTC", "2027-01-01T00:00", "2026-12-28T00:00", "2027-01-04T00:00", 7 * 24),
        ("week", "Europe/Berlin", "2026-03-25T12:00", "2026-03-22T23:00", "2026-03-29T22:00", 7 * 24 - 1),
        ("week", "Europe/Berlin", "2026-10-25T22:30", "2026-10-18T22:00", "2026-10-25T23:00", 7 * 24 + 1),
        ("month", "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00", 29 * 24),
        ("month", "UTC", "2026-02-28T23:59:59", "2026-02-01T00:00", "2026-03-01T00:00", 28 * 24),
        ("month", "UTC", "2026-12-31T12:00", "2026-12-01T00:00", "2027-01-01T00:00", 31 * 24),
        ("month", "UTC", "2026-01-31T12:00", "2026-01-01T00:00", "2026-02-01T00:00", 31 * 24),
        ("month", "Europe/Berlin", "2026-03-31T21:59", "2026-02-28T23:00", "2026-03-31T22:00", 31 * 24 - 1),
        ("month", "Europe/Berlin", "2026-10-01T12:00", "2026-09-30T22:00", "2026-10-31T23:00", 31 * 24 + 1),
        ("month", "Europe/Berlin", "2026-04-30T22:00", "2026-04-30T22:00", "2026-05-31T22:00", 31 * 24),
    ],
)
def test_calendar_windows_follow_the_clocks_of_their_zone(
    unit: CalendarUnit, zone: str, at: str, start: str, end: str, hours: int
) -> None:
    cut = Window(calendar=unit, timezone=zone).cut()
    found = cut.pane_of(ms(at))
    assert (found, cut.end_of(found)) == (ms(start), ms(end))
    assert cut.end_of(found) - found == hours * HOUR_MS
    assert list(cut.windows_of(found)) == list(cut.panes_of(found)) == [found]


def test_a_calendar_window_has_its_start_and_not_its_end() -> None:
    cut = Window(calendar="day", timezone="Europe/Berlin").cut()
    start, end = ms("2026-03-28T23:00"), ms("2026-03-29T22:00")
    assert [cut.pane_of(at_ms) for at_ms in (start - 1, start, end - 1, end)] == [
        ms("2026-03-27T23:00"),
        start,
        start,
        end,
    ]


@pytest.mark.parametrize("zone", ["America/St_Johns", "America/Goose_Bay"])
def test_clocks_that_go_back_over_midnight_leave_each_time_in_one_window(zone: str) -> None:
    """Until 2011, clocks went from 0:01 back to 23:01 there: for an hour, it was the day before again."""

    # window found last is asked first, the answer depends on which time was asked before.
    change_ms = ms("2006-10-29T02:31" if zone == "America/St_Johns" else "2006-10-29T03:01")
    for at_ms in range(change_ms - 120_000, change_ms + HOUR_MS + 120_000, 60_000):
        fresh = Window(calendar="day", timezone=zone).cut()
        start_ms = fresh.pane_of(at_ms)
        assert start_ms <= at_ms < fresh.end_of(start_ms)


def test_a_window_does_not_depend_on_the_time_asked_before() -> None:

    at_ms = ms("2006-10-29T03:00")
    fresh, used = (Window(calendar="day", timezone="America/St_Johns").cut() for _ in range(2))
    used.pane_of(ms("2006-10-29T12:00"))
    assert used.pane_of(at_ms) == fresh.pane_of(at_ms)


def test_the_last_time_that_events_can_have_is_in_a_window() -> None:

    for zone in ("UTC", "America/Havana", "Europe/Berlin"):
        Window(calendar="day", timezone=zone).cut().pane_of(253_402_300_799_000)


@given(window=WINDOWS, at_ms=TIMES)
def test_every_time_is_in_the_pane_found_for_it(window: Window, at_ms: int) -> None:
    cut = window.cut()
    pane_ms = cut.pane_of(at_ms)
    assert pane_ms <= at_ms
    assert cut.pane_of(pane_ms) == pane_ms
    last_ms = min(cut.end_of(start) for start in cut.windows_of(pane_ms)) - 1
    assert at_ms <= last_ms
    assert cut.pane_of(last_ms) == pane_ms
    assert cut.pane_of(last_ms + 1) == last_ms + 1
    assert last_ms + 1 - pane_ms >= cut.granule_ms()


@given(window=WINDOWS, at_ms=TIMES)
def test_a_window_has_the_panes_that_are_in_it(window: Window, at_ms: int) -> None:
    cut = window.cut()
    pane_ms = cut.pane_of(at_ms)
    starts = list(cut.windows_of(pane_ms))
    assert starts == sorted(set(starts))
    assert starts[-1] == pane_ms
    for start_ms in starts:
        panes = list(cut.panes_of(start_ms))
        assert pane_ms in panes
        assert panes[0] == start_ms <= at_ms < cut.end_of(start_ms)
        assert all(start_ms in cut.windows_of(pane) for pane in panes)
        assert all(cut.pane_of(pane) == pane for pane in panes)
        for pane, following in pairwise([*panes, cut.end_of(start_ms)]):
            assert cut.pane_of(following - 1) == pane


@given(window=SLIDING, at_ms=TIMES)
def test_a_time_is_in_size_divided_by_slide_windows(window: Window, at_ms: int) -> None:
    cut = window.cut()
    slide_ms = window.slide_ms
    around = range(at_ms // slide_ms * slide_ms - window.size_ms - slide_ms, at_ms + 2 * slide_ms, slide_ms)
    containing = [start for start in around if start <= at_ms < start + window.size_ms]
    assert list(cut.windows_of(cut.pane_of(at_ms))) == containing
    assert len(containing) == window.size_ms // slide_ms


@given(unit=st.sampled_from(["day", "week", "month"]), zone=st.sampled_from(ZONES), times=st.lists(TIMES, max_size=8))
def test_a_calendar_answers_the_same_whatever_it_was_asked_before(
    unit: CalendarUnit, zone: str, times: list[int]
) -> None:
    window = Window(calendar=unit, timezone=zone)
    cut = window.cut()
    assert [cut.pane_of(at_ms) for at_ms in times] == [window.cut().pane_of(at_ms) for at_ms in times]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ValueError, "window needs either size_ms or calendar"),
        ({"size_ms": 1_000, "calendar": "day"}, ValueError, "window needs either size_ms or calendar"),
        ({"slide_ms": 1_000}, ValueError, "window needs either size_ms or calendar"),
        ({"calendar": "day", "slide_ms": 1_000}, ValueError, "slide_ms is for windows of size_ms, not of calendar"),
        ({"calendar": "year"}, ValueError, "calendar is one of day, week, month, not year"),
        ({"size_ms": 1.5}, TypeError, "size_ms must be a whole number, not 1.5"),
        ({"size_ms": "60000"}, TypeError, "size_ms must be a whole number, not '60000'"),
        ({"size_ms": True}, TypeError, "size_ms must be a whole number, not True"),
        ({"size_ms": 5_000, "slide_ms": None}, TypeError, "slide_ms must be a whole number, not None"),
        ({"size_ms": 999}, ValueError, "size_ms must be at least 1000, not 999"),
        ({"size_ms": -1_000}, ValueError, "size_ms must be at least 1000, not -1000"),
        ({"size_ms": 366 * 86_400_000 + 1}, ValueError, "size_ms must be at most 31622400000, not 31622400001"),
        ({"size_ms": 5_000, "slide_ms": 999}, ValueError, "slide_ms must be at least 1000, not 999"),
        ({"size_ms": 5_000, "slide_ms": 10_000}, ValueError, "slide_ms must be at most 5000, not 10000"),
        ({"size_ms": 5_000, "slide_ms": 2_000}, ValueError, "size_ms must be 1 to 60 times slide_ms"),
        ({"size_ms": 61_000, "slide_ms": 1_000}, ValueError, "size_ms must be 1 to 60 times slide_ms"),
        ({"calendar": "day", "timezone": "Berlin"}, ValueError, '"Berlin" is no time zone'),
        ({"size_ms": 1_000, "timezone": ""}, ValueError, '"" is no time zone'),
        ({"calendar": "day", "timezone": "../etc/passwd"}, ValueError, "is no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_the_name_of_the_setting(
    settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        Window(**settings)  # type: ignore[arg-type]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "window", [Window(1_000), Window(60_000, 1_000), Window(366 * 86_400_000), Window(calendar="month")]
)
def test_the_bounds_themselves_are_windows(window: Window) -> None:
    assert window.cut().pane_of(0) == 0
