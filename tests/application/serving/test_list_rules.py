"""The rules of a request or of the settings, in lists of real histories."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import ListRules, Pipeline, Settings
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from tests.support.histories import HOUR_MS, event, visits


def test_a_list_keeps_to_the_rules_of_its_request(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")])
        pipeline.publish([event("bad", "review", user="bob", at_ms=HOUR_MS, product="pan", rating=1)])
        pipeline.process()

        def listed(**rules: Any) -> list[str]:
            return [entry.product.product_id for entry in pipeline.recommend("bob", rules=ListRules(**rules))]

        assert listed() == ["jug", "tent"]  # bob does not like the pan
        assert listed(exclude=frozenset(("jug",))) == ["tent"]
        assert listed(only_categories=frozenset(("outdoor",))) == ["tent"]
        assert listed(category_weights={"outdoor": 20.0}) == ["tent", "jug"]
        assert listed(pinned={"oven": 1}) == ["oven", "jug", "tent"]
        pinned = pipeline.recommend("bob", rules=ListRules(pinned={ProductId("oven"): 1}))
        assert pinned[0].explanation == "chosen by the shop"
        nothing = pipeline.recommend("bob", rules=ListRules(price_min=1e9))
        assert (len(nothing), nothing.notes) == (
            0,
            (
                "price_min left nothing: it refused 2 of 4 products",
                "1 of 4 products was left out: seen in this visit",
                "1 of 4 products was left out: rated 2 stars or less",
            ),
        )


def test_the_rules_of_the_settings_hold_for_requests_without_any(tmp_path: Path) -> None:
    rules = attrs.evolve(Settings().recommendations, rules=ListRules(exclude=frozenset((ProductId("jug"),))))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=rules)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert list(pipeline.recommend("bob")) == []
        assert [entry.product.product_id for entry in pipeline.recommend("bob", rules=ListRules())] == ["jug"]


def test_what_the_settings_refuse_is_in_no_list(tmp_path: Path) -> None:
    rules = ListRules(exclude=frozenset((ProductId("jug"),)), exclude_categories=frozenset(("outdoor",)))
    recommendations = attrs.evolve(Settings().recommendations, rules=attrs.evolve(rules, per_category=1))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=recommendations)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug", "pan"), *visits("bob", "jug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")])
        for product in ("mug", "jug", "tent"):
            pipeline.publish([event(f"r-{product}", "review", user="dan", at_ms=HOUR_MS, product=product, rating=5)])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.trending()] == ["mug", "pan"]  # by all that is refused
        assert [entry.product.product_id for entry in pipeline.trending(limit=1)] == ["mug"]
        assert [entry.product.product_id for entry in pipeline.top_rated()] == ["mug"]


def test_what_was_bought_is_not_shown_again_where_the_rules_say_so(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("ada", "pan")])
        pipeline.publish([event("order", "purchase", user="bob", at_ms=1, product="jug", session="earlier")])
        pipeline.publish([event("look", user="bob", at_ms=HOUR_MS, product="mug", session="now")])
        pipeline.process()
        assert "jug" in [entry.product.product_id for entry in pipeline.recommend("bob")]
        found = pipeline.recommend("bob", rules=ListRules(hide_bought=True))
        assert "jug" not in [entry.product.product_id for entry in found]
        shown = pipeline.recommend("bob", rules=ListRules(shown_max=2), shown={"jug": 2})
        assert "jug" not in [entry.product.product_id for entry in shown]


def test_what_is_new_gets_some_of_the_places(tmp_path: Path) -> None:
    new = [Product(ProductId(f"new-{number}"), category="kitchen") for number in range(9)]
    sold_out = Product(ProductId("gone"), category="kitchen", in_stock=False)
    elsewhere = Product(ProductId("tent"), category="outdoor")
    rules = ListRules(exploration_share=0.5, exploration_below=2, in_stock=True)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        known = {entry.product_id: entry for entry in (*new, sold_out, elsewhere)}
        pipeline.container.products.override(providers.Object(known))
        for who in ("ada", "cyd", "eve"):
            pipeline.publish(visits(who, "mug", "jug", "pan"))
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()
        drawn = set()
        for _ in range(60):
            found = pipeline.recommend("bob", 4, rules=rules)
            assert [entry.product.product_id for entry in found][:2] == ["jug", "pan"]
            assert {entry.reason.kind for entry in found[2:]} == {ReasonKind.NEW}
            assert found[2].explanation == "new in kitchen: few have seen it yet"
            drawn |= {entry.product.product_id for entry in found[2:]}
        assert drawn == {entry.product_id for entry in new}
        for who in ("ada", "cyd"):
            pipeline.publish(visits(who, "new-0", at_ms=2 * HOUR_MS))
        pipeline.process()
        later = [entry.product.product_id for _ in range(60) for entry in pipeline.recommend("bob", 4, rules=rules)[2:]]
        assert "new-0" not in later  # it is new no more


def test_what_was_shown_often_enough_gives_way(tmp_path: Path) -> None:
    often, twice = ListRules(), ListRules(shown_max=2)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        seen = {"ada": ("mug", "jug", "pan"), "cyd": ("mug", "jug"), "bob": ("mug",)}
        now_ms = pipeline.container.clock().now_ms() - HOUR_MS  # lists are shown now, and what was long ago expires
        pipeline.publish([entry for who, products in seen.items() for entry in visits(who, *products, at_ms=now_ms)])
        pipeline.process()
        for _ in range(2):
            found = pipeline.recommend("bob", 1, rules=twice)
            assert [entry.product.product_id for entry in found] == ["jug"]
            pipeline.record_exposure("bob", found)
            pipeline.process()
        assert [entry.product.product_id for entry in pipeline.recommend("bob", 1, rules=twice)] == ["pan"]
        assert [entry.product.product_id for entry in pipeline.recommend("bob", 1, rules=often)] == ["jug"]
        assert {id_: times for id_, (times, _) in pipeline.profile("bob").customer.exposures.shown.items()} == {
            "jug": 2
        }
        pipeline.record_exposure("bob", ["pan", "pan"])  # a list has a product once
        before = sum(pipeline.process().values())
        pipeline.record_exposure("bob", [])
        pipeline.record_exposure("eve", pipeline.recommend("eve", 1, rules=ListRules(price_max=0.0)))
        assert sum(pipeline.process().values()) == before
        with pytest.raises(TypeError, match="shown must be a list of recommendations or product ids"):
            pipeline.record_exposure("bob", "pan")


def test_what_was_seen_in_the_session_is_repeated_only_where_that_is_wanted(tmp_path: Path) -> None:
    for wanted in (False, True):
        rules = RecommendationSettings(repeat_seen=wanted)
        with Pipeline(Settings(database=str(tmp_path / f"{wanted}.db"), recommendations=rules)) as pipeline:
            pipeline.publish([*visits("ada", "mug", "jug", "pan"), *visits("bob", "mug", "jug")])
            pipeline.process()
            recommended = [entry.product.product_id for entry in pipeline.recommend("bob")]
            assert ("mug" in recommended) is wanted
            assert "pan" in recommended


def test_a_part_of_a_list_was_shown_as_the_whole_would_be() -> None:
    rules = ListRules(shown_max=1)
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([event(f"{n}", user=f"u{n}", at_ms=n, product=f"p{n}") for n in range(6)])
        pipeline.process()
        found = pipeline.recommend("ada", rules=rules)
        first = [entry.product.product_id for entry in found]
        pipeline.record_exposure("ada", found[:2])
        pipeline.record_exposure("ada", list(found)[2:3])
        pipeline.record_exposure("ada", [first[3]])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.recommend("ada", rules=rules)] == first[4:]
        with pytest.raises(TypeError, match="not of dict"):
            pipeline.record_exposure("ada", [{"product_id": "mug"}])  # type: ignore[list-item]
