"""How far event time has come, by records of a log; worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms

RULES = FoldSettings(max_out_of_orderness_ms=5, max_future_skew_ms=10)


def after(*times: tuple[int, int], mark: Watermark | None = None) -> Watermark:
    """The watermark after events, given as (time, when it was appended)."""
    records = [
        (
            Record(0, position, None, b"", appended_ms),
            Event(str(position), EventKind.PRODUCT_VIEWED, None, at_ms, product_id=ProductId("mug")),
        )
        for position, (at_ms, appended_ms) in enumerate(times)
    ]
    return fold(records, {}, mark or Watermark(), RULES)[1]


@pytest.mark.parametrize(
    ("times", "mark"),
    [
        ([], Watermark()),
        ([(100, 200)], Watermark(95, -1, 200, 100)),
        ([(100, 200), (90, 201)], Watermark(95, 90, 201, 100)),
        ([(100, 200), (100, 201)], Watermark(95, 100, 201, 100)),
        ([(100, 200), (110, 201), (105, 202)], Watermark(105, 105, 202, 110)),
        ([(205, 200)], Watermark(195, -1, 200, 200)),  # it is said to happen after it was appended
        ([(100, 200), (9_000, 9_000), (130, 230)], Watermark(8_995, 130, 9_000, 9_000)),  # a clock was ahead
        ([(100, 200), (9_000, 230), (130, 231)], Watermark(125, 100, 231, 130)),  # a dead letter
    ],
)
def test_the_second_largest_time_is_how_far_a_partition_has_come(times: list[tuple[int, int]], mark: Watermark) -> None:
    assert after(*times) == mark


times = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12)


@given(times, st.integers(0, 12))
def test_the_watermark_does_not_depend_on_how_records_are_cut(times: list[tuple[int, int]], cut: int) -> None:
    assert after(*times[cut:], mark=after(*times[:cut])) == after(*times)


@given(times, st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)))
def test_one_event_moves_a_partition_no_further_than_another_event_has_been(
    times: list[tuple[int, int]], largest: tuple[int, int]
) -> None:
    before, then = after(*times), after(*times, largest)
    assert before.newest_ms <= then.newest_ms <= max(before.largest_ms, before.newest_ms)


def test_the_shops_time_is_the_second_largest_of_all() -> None:
    marks = [Watermark(newest_ms=100, largest_ms=900), Watermark(newest_ms=120, largest_ms=130), Watermark()]
    assert shop_time_ms(marks, 10**12) == 130
    assert shop_time_ms([*marks, Watermark(largest_ms=500)], 10**12) == 500
    assert shop_time_ms(marks, 110) == 110
    assert shop_time_ms([Watermark(largest_ms=500)], 10**12) == 500
    assert shop_time_ms([Watermark(largest_ms=500), Watermark(largest_ms=70)], 10**12) == 70
    assert shop_time_ms([Watermark(largest_ms=largest) for largest in (500, 70, 80)], 10**12) == 80
    assert shop_time_ms([Watermark(), Watermark()], 10**12) == -1
