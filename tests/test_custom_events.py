"""Custom events: applied under their own name, with or without customer and product, and merged at a sign-in."""

import pytest

from harness.checking.compare import compare
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.support.histories import NOW_MS, event, opened

SETTINGS = Settings(log="memory", store="memory", events=EventLimits(custom=("sensor_reading", "video_play")))


def processed(*documents: dict[str, object]) -> tuple[Pipeline, dict[str, int]]:
    pipeline = opened(SETTINGS)
    pipeline.publish(documents)
    counts = pipeline.process()
    assert compare(pipeline)[1] == []
    return pipeline, {name.value: count for name, count in counts.items() if count and name is not RecordClass.CONTROL}


def test_they_need_neither_customer_nor_product_and_keep_any_property() -> None:
    reading = {"event_type": "sensor_reading", "timestamp": NOW_MS - 1, "celsius": 21.5, "price": "none", "rating": 9}
    pipeline, counts = processed(reading, {**reading, "properties": {"quantity": [1, {"a": None}]}})
    assert counts == {"applied": 2}
    assert pipeline.trending().items == ()


def test_they_count_for_their_customer_and_say_nothing_of_interest() -> None:
    pipeline, counts = processed(
        event("1", "video_play", product="film", category="films"),
        event("2", product="film"),
        event("3", "video_play", product="film"),
        event("3", "video_play", product="film"),
    )
    assert counts == {"applied": 3, "duplicate": 1}
    profile = pipeline.profile("ada")
    assert profile.as_dict()["events"] == {"custom:video_play": 2, "product_viewed": 1}
    assert not profile.categories


@pytest.mark.parametrize("repeats", [1, 2])
def test_one_that_comes_again_after_the_sign_in_counts_once(repeats: int) -> None:
    history = [
        event("1", "sensor_reading", user=None, session="s1"),
        event("1", "sensor_reading", session=None),
        event("2", "login", session="s1"),
        event("3", "sensor_reading", user=None, session="s1"),
    ]
    pipeline, counts = processed(*(history * repeats))
    assert pipeline.profile("ada").as_dict()["events"] == {"custom:sensor_reading": 2, "customer_signed_in": 1}
    assert counts["applied"] >= 4


def test_a_content_id_is_a_product_and_a_click_a_view() -> None:
    pipeline, counts = processed(
        event("1", "click", content_id="film"),
        {"event_type": "view", "user_id": "bob", "timestamp": NOW_MS - 5, "content_id": "film"},
        event("2", product="mug", content_id="film"),
    )
    assert counts == {"applied": 3}
    assert {entry.product.product_id for entry in pipeline.trending()} == {"film", "mug"}


def test_types_of_other_kinds_cannot_be_custom() -> None:
    with pytest.raises(ValueError, match=r"events\.custom: view is a known event type"):
        Settings(events=EventLimits(custom=("view",)))
    with pytest.raises(ValueError, match="a type has 1 to 57 printable characters"):
        EventLimits(custom=("x" * 58,))
    with pytest.raises(ValueError, match="custom has 49 types, more than 48"):
        EventLimits(custom=tuple(map(str, range(49))))
