"""What is trending, as a list of its own and in lists for customers."""

from pathlib import Path
from typing import Any

import pytest

from realtime_pipeline import ListRules, Pipeline, Settings
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.interfaces.text import profile_in_words
from tests.support.histories import HOUR_MS, event, visits


def test_somebody_new_gets_what_is_trending(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), cache=CacheSettings(trending_ms=0))) as pipeline:
        assert list(pipeline.recommend("zoe")) == []
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.recommend("zoe")] == ["mug", "jug"]
        assert pipeline.recommend("zoe") == pipeline.trending()


def test_what_is_trending_where_the_customer_is_comes_before_the_whole_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for number, (country, product) in enumerate([("FR", "mug")] * 3 + [("DE", "jug")] * 2 + [("nowhere", "pan")]):
            look = event(f"look-{number}", user=f"visitor-{number}", product=product)
            pipeline.publish([{**look, "context": {"country": country}}])
        pipeline.publish([{**event("there", user="bob", product="tent"), "context": {"country": "de"}}])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.trending()] == ["mug", "jug", "pan", "tent"]
        assert [entry.product.product_id for entry in pipeline.trending(country="de")] == ["jug", "tent"]
        assert [entry.product.product_id for entry in pipeline.trending(country="IT")] == []
        for found in (pipeline.recommend("bob"), pipeline.recommend("zoe", country="DE")):
            ids = [entry.product.product_id for entry in found]
            assert [product_id for product_id in ids if product_id != "tent"] == ["jug", "mug", "pan"]
            assert found[0].reason.kind is ReasonKind.TRENDING_IN_COUNTRY
            assert found[0].explanation == "popular in DE, where you are: looked at or bought 2 times lately"
        assert pipeline.recommend("bob", country="FR")[0].product.product_id == "mug"
        assert pipeline.recommend("zoe")[0].reason.kind is ReasonKind.TRENDING
        assert "  is in      DE" in profile_in_words(pipeline.profile("bob"))
        with pytest.raises(ValueError, match="a country is two letters, as DE, not Germany"):
            pipeline.recommend("zoe", country="Germany")


def test_what_is_trending_does_not_depend_on_what_it_is_worth_in_lists() -> None:
    looks = [*(event(f"z{n}", user=f"u{n}", at_ms=n, product="z") for n in range(9)), event("a", at_ms=1, product="a")]
    for weight in (0.5, 0.0):
        rules = RecommendationSettings(blend=Blend(trending=weight, trending_in_country=weight))
        with Pipeline(Settings(log="memory", store="memory", recommendations=rules)) as pipeline:
            pipeline.publish(looks)
            pipeline.process()
            assert [(entry.product.product_id, entry.score > 0) for entry in pipeline.trending()] == [
                ("z", True),
                ("a", True),
            ]


def test_as_much_is_trending_as_was_asked_for() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([event(f"e{n}", user=f"u{n}", at_ms=n, product=f"p{n}") for n in range(300)])
        pipeline.process()
        assert [len(pipeline.trending(limit)) for limit in (10, 250, 1_000)] == [10, 250, 300]


def test_what_is_taken_back_is_not_said_to_be_looked_at_less_than_never() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        cancelled = [event(f"c{n}", "cancellation", user=f"u{n}", at_ms=0, product="mug") for n in range(5)]
        pipeline.publish(
            [*cancelled, *(event(f"v{n}", user=f"u{n}", at_ms=40 * HOUR_MS, product="mug") for n in range(3))]
        )
        pipeline.process()
        assert pipeline.trending()[0].explanation == "popular in the whole shop: looked at or bought lately"


def test_the_best_of_each_favourite_category_comes_up_however_long_the_list_is() -> None:
    def looked_at(category: str, product: str, times: int) -> list[dict[str, Any]]:
        return [
            event(f"{product}{n}", user=f"{product}-{n}", at_ms=5, product=product, category=category)
            for n in range(times)
        ]

    mine = [event(f"me{n}", user="me", at_ms=n, product=f"{c}0", category=c) for n, c in enumerate("AAB")]
    others = [look for n in range(1, 13) for look in looked_at("A", f"A{n:02}", 15 - n)] + looked_at("B", "best", 50)
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([*mine, *others])
        pipeline.process()
        for limit in (5, 12, 13):
            assert [entry.product.product_id for entry in pipeline.recommend("me", limit)[:3]] == ["A01", "best", "A02"]


def test_what_trends_less_comes_up_where_what_trends_most_is_refused() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        looks = [(product, look) for product in range(80) for look in range(80 - product)]
        pipeline.publish(
            [event(f"{n}-{look}", user=f"u{n}-{look}", at_ms=5, product=f"p{n:02}") for n, look in looks]
            + [event("me", user="me", at_ms=6, product="p00")]
        )
        pipeline.process()
        best, others = [f"p{n:02}" for n in range(10)], [f"p{n:02}" for n in range(60, 80)]
        assert [entry.product.product_id for entry in pipeline.recommend("new")] == best
        refused = ListRules(exclude=frozenset(ProductId(f"p{n:02}") for n in range(60)))
        for customer in ("new", "me"):
            recommended = pipeline.recommend(customer, limit=30, rules=refused)
            assert [entry.product.product_id for entry in recommended] == others
