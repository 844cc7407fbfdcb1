"""Filters of lists: a source goes on until the list is full, or nothing more is there."""

from pathlib import Path
from typing import Any

import attrs
from dependency_injector import providers

from realtime_pipeline import Container, ListRules, Pipeline, Settings
from realtime_pipeline.application.serving.candidate_sources import CONSIDERED_MAX
from realtime_pipeline.application.serving.recommend_products import NOT_ALL_CONSIDERED
from realtime_pipeline.application.serving.top_rated import TopRatedProducts
from realtime_pipeline.domain.recommendation.recommendations import Recommendations
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue
from tests.support.histories import KINDS, NOW_MS, Kind, SetClock, append, embedded, event

ONLY_BOOKS = ListRules(only_categories=frozenset(("books",)))


def opened(
    kind: Kind, folder: Path, rules: ListRules | None = None, catalogue: dict[ProductId, Product] | None = None
) -> Pipeline:
    container = Container()
    container.clock.override(providers.Object(SetClock()))
    container.catalogue.override(providers.Object(MemoryCatalogue(catalogue or {})))
    recommendations = RecommendationSettings(rules=rules or ListRules())
    settings = attrs.evolve(Settings(partitions=2), recommendations=recommendations)
    return Pipeline(embedded(kind, folder, settings), container)


def looks(pipeline: Pipeline, name: str, products: int, times: int, **text: Any) -> None:
    """Have nobody known look so many times at each of some products."""
    append(
        pipeline,
        (
            event(f"{name}-{number}-{time}", user=None, at_ms=NOW_MS, product=f"{name}-{number:04}", **text)
            for number in range(products)
            for time in range(times)
        ),
    )


def rate(pipeline: Pipeline, name: str, products: int, rating: int) -> None:
    append(
        pipeline,
        (
            event(f"{name}-{number}", "review", f"user-{number}", NOW_MS, product=f"{name}-{number:04}", rating=rating)
            for number in range(products)
        ),
    )


def ids(products: Recommendations | TopRatedProducts) -> list[str]:
    return [entry.product.product_id for entry in products]


@KINDS
def test_filters_do_not_starve_the_fallback(kind: Kind, tmp_path: Path) -> None:
    """250 toys trend before the five books, of which the catalogue alone knows that two are any."""
    plain = {id_: Product(id_, category="books") for id_ in map(ProductId, ("plain-0000", "plain-0001"))}
    with opened(kind, tmp_path, ONLY_BOOKS, plain) as pipeline:
        looks(pipeline, "toys", 250, 3, category="toys", price=5.0)
        looks(pipeline, "books", 3, 2, category="books", price=30.0)
        looks(pipeline, "plain", 2, 1)
        rate(pipeline, "toys", 250, 5)
        rate(pipeline, "books", 2, 4)
        pipeline.process()
        books = ["books-0000", "books-0001", "books-0002"]
        for products in (pipeline.recommend("somebody new"), pipeline.trending()):
            assert ids(products) == [*books, "plain-0000", "plain-0001"]
            assert products.notes == ()
        assert ids(pipeline.recommend("somebody new", limit=2)) == books[:2]
        assert ids(pipeline.top_rated()) == books[:2]
        assert pipeline.top_rated().notes == ()
        expensive = ListRules(price_min=20.0)
        assert ids(pipeline.recommend("somebody new", rules=expensive)) == books
        weighed = attrs.evolve(expensive, category_weights={"toys": 2.0})  # all sources go on together
        assert ids(pipeline.recommend("somebody new", rules=weighed)) == books
        excluded = ListRules(exclude=frozenset(ProductId(f"toys-{number:04}") for number in range(250)))
        assert ids(pipeline.recommend("somebody new", rules=excluded)) == [*books, "plain-0000", "plain-0001"]


def test_neighbours_go_on_as_well(tmp_path: Path) -> None:
    """What the visitor's one neighbour touched beside a book is 240 toys, and a book touched long before them."""
    profile = attrs.evolve(Settings().fold.profile, session_products_max=300)
    settings = Settings(log="memory", store="memory", fold=attrs.evolve(Settings().fold, profile=profile))
    with Pipeline(settings) as pipeline:
        names = ["old", *(f"toy-{number:03}" for number in range(240)), "new"]
        pipeline.publish(
            [
                event(name, at_ms=at_ms, product=name, category="toys" if name.startswith("toy") else "books")
                for at_ms, name in enumerate(names, 1)
            ]
        )
        pipeline.publish([event("look", user="bob", at_ms=1_000, product="new", category="books")])
        pipeline.process()
        found = pipeline.recommend("bob", rules=ONLY_BOOKS)
        assert [(entry.product.product_id, entry.reason.because_of) for entry in found] == [("old", ("new",))]


def test_a_list_says_when_not_all_was_tried(tmp_path: Path) -> None:
    with opened("memory", tmp_path, ListRules(price_min=20.0)) as pipeline:
        looks(pipeline, "toys", CONSIDERED_MAX, 2, category="toys", price=5.0)
        looks(pipeline, "books", 1, 1, category="books", price=30.0)
        rate(pipeline, "toys", CONSIDERED_MAX, 5)
        pipeline.process()
        for products in (pipeline.recommend("somebody new"), pipeline.trending(), pipeline.top_rated()):
            assert list(products) == []
            assert products.notes[-1] == NOT_ALL_CONSIDERED
        assert ids(pipeline.recommend("somebody new", rules=ONLY_BOOKS)) == ["books-0000"]


def test_long_lists_are_filled(tmp_path: Path) -> None:
    with opened("memory", tmp_path) as pipeline:
        looks(pipeline, "toys", 600, 1, category="toys")
        pipeline.process()
        assert len(pipeline.recommend("somebody new", limit=500)) == 500
        assert len(pipeline.trending(limit=500)) == 500
