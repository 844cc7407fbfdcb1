"""A clock that is far ahead for a while: events that it stamped must not change what is shown of everything else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.neighbours import NeighbourSettings, nearest_sessions
from realtime_pipeline.domain.shop.events import ProductId
from tests.support.histories import HOUR_MS, KINDS, NOW_MS, Kind, SetClock, append, embedded, event, opened

DAY_MS = 24 * HOUR_MS
EIGHT_YEARS_MS = 8 * 365 * DAY_MS
NO_CACHE = CacheSettings(trending_ms=0, products_ms=0, lists_ms=0)


def views(product: str, count: int, at_ms: int, user: str = "u") -> list[dict[str, Any]]:
    return [
        event(f"{product}-{at_ms}-{number}", user=f"{user}{number}", at_ms=at_ms - number, product=product)
        for number in range(count)
    ]


def trending(pipeline: Pipeline) -> list[tuple[str, int]]:
    return [(trend.product.product_id, trend.reason.count) for trend in pipeline.trending()]


@KINDS
@pytest.mark.parametrize("partitions", [1, 4])
def test_viewed_products_trend_again_once_the_clock_is_corrected(kind: Kind, partitions: int, tmp_path: Path) -> None:
    clock = SetClock()
    shop = embedded(kind, tmp_path, Settings(partitions=partitions, cache=NO_CACHE))
    with opened(shop, clock) as pipeline:
        append(pipeline, views("kettle", 50, NOW_MS))
        pipeline.process()
        clock.at_ms = NOW_MS + EIGHT_YEARS_MS
        append(pipeline, views("teapot", 1, clock.at_ms, "u"))
        pipeline.process()
        clock.at_ms = NOW_MS + DAY_MS
        append(pipeline, views("kettle", 500, clock.at_ms))
        pipeline.process()
        assert trending(pipeline) == [("kettle", 550)]
        clock.at_ms = NOW_MS + 10 * DAY_MS
        append(pipeline, views("kettle", 400, clock.at_ms))
        pipeline.process()
        assert trending(pipeline) == [("kettle", 400)]
        pipeline.rebuild()
        pipeline.process()
        assert trending(pipeline) == [("kettle", 400)]
        clock.at_ms = NOW_MS + 365 * DAY_MS  # the list is requested a year later
        assert trending(pipeline) == [("kettle", 400)]


@KINDS
def test_product_facts_change_again_once_the_clock_is_corrected(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()

    def view(number: int, name: str, price: float) -> dict[str, Any]:
        return event(f"{number}", at_ms=clock.at_ms, product="kettle", name=name, category=name, price=price)

    def facts(pipeline: Pipeline) -> tuple[str | None, str | None, int | None]:
        product = pipeline.trending()[0].product
        return product.name, product.category, product.price

    with opened(embedded(kind, tmp_path, Settings(partitions=1, cache=NO_CACHE)), clock) as pipeline:
        append(pipeline, [view(1, "Kettle", 10.0)])
        pipeline.process()
        clock.at_ms = NOW_MS + EIGHT_YEARS_MS
        append(pipeline, [view(2, "Wrong", 99.0)])
        clock.at_ms = NOW_MS + HOUR_MS
        pipeline.process()  # by a worker whose clock is right
        assert facts(pipeline) == ("Kettle", "Kettle", 100_000)
        clock.at_ms = NOW_MS + EIGHT_YEARS_MS
        append(pipeline, [view(3, "Wrong", 99.0)])
        pipeline.process()  # by a worker whose clock is as wrong
        clock.at_ms = NOW_MS + DAY_MS
        append(pipeline, [view(4, "Kettle XL", 12.0)])
        pipeline.process()
        assert facts(pipeline) == ("Kettle XL", "Kettle XL", 120_000)


@KINDS
def test_sessions_are_neighbours_again_once_the_clock_is_corrected(kind: Kind, tmp_path: Path) -> None:
    """Five events from a clock that is ahead advance the watermark of their partition; no current session expires."""
    clock = SetClock()
    shop = embedded(kind, tmp_path, Settings(partitions=1, cache=NO_CACHE))
    with opened(shop, clock) as pipeline:
        append(pipeline, [event("a1", user="ada", at_ms=NOW_MS, product="mug")])
        append(pipeline, [event("a2", user="ada", at_ms=NOW_MS + 1, product="jug")])
        pipeline.process()
        clock.at_ms = NOW_MS + EIGHT_YEARS_MS
        append(pipeline, views("mug", 5, clock.at_ms, "ahead"))
        clock.at_ms = NOW_MS + HOUR_MS
        append(pipeline, [event("b1", user="bob", at_ms=clock.at_ms, product="mug")])
        pipeline.process()  # by a worker whose clock is right
        assert "jug" in [item.product.product_id for item in pipeline.recommend("bob") if item.reason.because_of]


def test_a_session_from_a_clock_ahead_does_not_age_the_others() -> None:
    mug = ProductId("mug")
    listed = {SessionKey(1): NOW_MS + EIGHT_YEARS_MS, SessionKey(2): NOW_MS, SessionKey(3): NOW_MS - 2 * DAY_MS}
    rules = NeighbourSettings(recency_days=2.0)
    found = nearest_sessions({mug: 1}, {mug: listed}, rules, (), NOW_MS)
    assert {key: round(worth, 4) for key, worth in found.items()} == {1: 1.0, 2: 1.0, 3: 0.3679}
    current = {key: at_ms for key, at_ms in listed.items() if key != 1}
    assert nearest_sessions({mug: 1}, {mug: current}, rules, (), NOW_MS) == {key: found[key] for key in current}


PRODUCTS = ("mug", "jug", "pan")
histories = st.lists(
    st.tuples(st.sampled_from(PRODUCTS), st.integers(0, 100), st.integers(1, 5)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(histories, st.integers(-3_000, 100_000), st.integers(-100_000, 100_000), st.integers(0, 3), st.booleans())
def test_an_event_from_any_clock_does_not_change_what_else_is_trending(
    history: Sequence[tuple[str, int, int]], clock_ahead_h: int, event_ahead_h: int, visitor: int, comes_last: bool
) -> None:
    """Events come in pairs, so that the second-newest event of each hour is as new as the newest."""
    odd = event("odd", user=f"u{visitor}", at_ms=max(0, NOW_MS + event_ahead_h * HOUR_MS), product="odd")
    usual = [
        event(f"{number}-{count}-{twin}", user=f"u{count}", at_ms=NOW_MS - ago_h * HOUR_MS, product=product)
        for number, (product, ago_h, times) in enumerate(history)
        for count in range(times)
        for twin in range(2)
    ]

    def trending_list(with_odd: bool) -> list[tuple[str, float, int]]:
        clock = SetClock()
        shop = Settings(log="memory", store="memory", partitions=2, cache=NO_CACHE)
        with opened(shop, clock) as pipeline:
            for is_odd in (not comes_last, comes_last):
                clock.at_ms = NOW_MS
                if is_odd and with_odd:
                    clock.at_ms = max(0, NOW_MS + clock_ahead_h * HOUR_MS)
                    append(pipeline, [odd])
                elif not is_odd:
                    append(pipeline, usual)
                pipeline.process()
            clock.at_ms = NOW_MS
            return [
                (trend.product.product_id, trend.score, trend.reason.count)
                for trend in pipeline.container.recommend_products().trending(10)
                if trend.product.product_id != "odd"
            ]

    assert trending_list(True) == trending_list(False)
