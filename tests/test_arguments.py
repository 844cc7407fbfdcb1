"""Arguments of the library: what its methods refuse, in one line."""

from pathlib import Path
from typing import Any

import pytest

from realtime_pipeline import Pipeline, PipelineError, Settings
from realtime_pipeline.application.errors import InvalidEvents, UnknownCustomer
from realtime_pipeline.interfaces.text import profile_in_words
from tests.support.histories import HOUR_MS, embedded, event, opened, visits


def test_what_is_wrong_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match=r"event 2 of 2: invalid_timestamp"):
            pipeline.publish([*visits("ada", "mug"), {"event_type": "view", "user_id": "ada", "timestamp": "now"}])
        assert pipeline.process() == {}


@pytest.mark.parametrize("more", [{"forwarded": [0, 1]}, {"event_type": "history_merged"}, {"event_type": "song_play"}])
def test_copies_are_for_workers_to_make(more: dict[str, object]) -> None:
    copy = event("1", product="mug") | {"forwarded": [0, 1]} | more
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        with pytest.raises(InvalidEvents, match=r"event 2 of 2: copies .* are for workers to make"):
            pipeline.publish([event("0", product="mug"), copy])
        assert pipeline.process() == {}


def test_ids_may_be_emoji() -> None:
    astronaut = "\U0001f469\U0001f3fd\u200d\U0001f680"
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([event("1", user=astronaut, product=astronaut, name=astronaut)])
        pipeline.process()
        profile = pipeline.profile(astronaut)
        assert list(profile.customer.interests.recent) == [astronaut]
        assert f"  lately     {astronaut}" in profile_in_words(profile)
        pipeline.forget(astronaut)
        pipeline.process()
        with pytest.raises(UnknownCustomer):
            pipeline.profile(astronaut)


@pytest.mark.parametrize("ask", ["recommend", "similar", "trending", "top_rated", "dead_letters"])
def test_a_list_of_none_is_refused(ask: str) -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        method = getattr(pipeline, ask)
        with pytest.raises(ValueError, match="limit must be at least 1, not -1"):
            method("ada", limit=-1) if ask in {"recommend", "similar"} else method(limit=-1)


@pytest.mark.parametrize("name", ["", "\udcff", "a\nb", "x" * 200, b"ada", None, True])
def test_what_can_be_nobodys_id_is_refused(name: Any, tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for ask in (pipeline.recommend, pipeline.profile, pipeline.forget):
            with pytest.raises(PipelineError, match="is no customer's id"):
                ask(name)
        with pytest.raises(PipelineError, match="is no product's id"):
            pipeline.similar(name)


@pytest.mark.parametrize("name", ["user_id", "price", "properties"])
@pytest.mark.parametrize("value", [b"ada", float("nan"), {"price": float("inf")}])
def test_what_json_has_no_words_for_is_refused(name: str, value: object, tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(
            PipelineError, match=rf"event 1 cannot be written as JSON: {name}[.a-z]* is (bytes|nan|inf)"
        ):
            pipeline.publish([event("e1", at_ms=HOUR_MS, product="mug") | {name: value}])
        assert pipeline.process() == {}


@pytest.mark.parametrize("value", ["\udcff", object(), float("nan"), [[[[[[1]]]]]]])
def test_what_makes_no_event_is_refused(value: object, tmp_path: Path) -> None:
    broken = event("e1", at_ms=HOUR_MS, product="mug") | {"timestamp": value}
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(PipelineError, match="event 1"),
    ):
        pipeline.publish([broken])


def test_a_limit_may_be_more_than_there_could_ever_be(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        assert len(pipeline.trending(10**19)) == len(pipeline.recommend("bob", 10**19)) == 1
        assert (pipeline.top_rated(10**19), pipeline.dead_letters(10**19)) == ((), [])


def test_a_limit_must_be_one_or_more(tmp_path: Path) -> None:
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(ValueError, match="at least 1"),
    ):
        pipeline.recommend("ada", limit=0)


@pytest.mark.parametrize("rules", [{"exclude": ["mug"]}, "mug", 5])
def test_rules_that_are_no_rules_are_refused_in_a_line(rules: Any, tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        with pytest.raises(TypeError, match=r"rules must be ListRules\(…\), not a (dict|str|int)"):
            pipeline.recommend("ada", rules=rules)
        with pytest.raises(TypeError, match=r"rules must be ListRules\(…\), not a (dict|str|int)"):
            pipeline.similar("mug", rules=rules)


@pytest.mark.parametrize("limit", ["5", 2.5, None, True])
def test_a_limit_that_is_no_number_is_refused_in_a_line(limit: Any, tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        with pytest.raises(TypeError, match="limit must be a whole number, not"):
            pipeline.recommend("ada", limit)
        with pytest.raises(TypeError, match="limit must be a whole number, not"):
            pipeline.trending(limit)
