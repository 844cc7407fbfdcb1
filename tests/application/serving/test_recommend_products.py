"""Lists of recommendations, as a program that imports the pipeline gets them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Container, ListRules, Pipeline, PipelineError, Request, Settings
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.experiments import Experiment, Variant
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue
from tests.support.histories import HOUR_MS, event, visits


def test_neighbours_come_first_then_the_category_then_the_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")] * 1)
        pipeline.process()
        recommended = pipeline.recommend("bob")
        assert [(entry.product.product_id, entry.reason.kind) for entry in recommended] == [
            ("jug", ReasonKind.NEIGHBOURS),
            ("pan", ReasonKind.TRENDING_IN_CATEGORY),
            ("tent", ReasonKind.TRENDING),
        ]
        assert recommended[0].explanation == "you looked at mug: in 1 visit with the same interest this was chosen too"
        assert recommended[1].explanation == "popular in kitchen, which you like: looked at or bought once lately"
        assert recommended[2].explanation == "popular in the whole shop: looked at or bought once lately"
        assert len(pipeline.recommend("bob", limit=1)) == 1


def test_reasons_count_visits_and_say_what_was_done(tmp_path: Path) -> None:
    def looks(user: str, *sessions: str) -> list[dict[str, object]]:
        return [
            event(f"{user}{session}{product}", user=user, at_ms=at_ms, product=product, session=session)
            for session in sessions
            for at_ms, product in enumerate(("mug", "jug"), 1)
        ]

    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(looks("ada", "ada-1", "ada-2", "ada-3"))  # one visitor, three visits
        for user, kind in (("bob", "purchase"), ("cyd", "cart"), ("dan", "view")):
            pipeline.publish([event(user, kind, user=user, at_ms=HOUR_MS, product="mug", session=user)])
        pipeline.publish([event("e", "purchase", user="eve", at_ms=1, product="mug", session="eve-1")])
        pipeline.publish([event("f", "cart", user="fay", at_ms=1, product="mug", session="fay-1")])
        for user in ("eve", "fay"):
            pipeline.publish([event(f"{user}2", user=user, at_ms=HOUR_MS, product="new", session=f"{user}-2")])
        pipeline.process()

        def because(user: str, **request: Any) -> str:
            (jug,) = (entry for entry in pipeline.recommend(user, **request) if entry.product.product_id == "jug")
            return jug.explanation

        chosen = "in 3 visits with the same interest this was chosen too"
        assert because("bob") == f"you bought mug: {chosen}"
        assert because("cyd") == f"you put mug into the cart: {chosen}"
        assert because("dan") == f"you looked at mug: {chosen}"
        assert because("eve") == f"you bought mug: {chosen}"  # in an earlier visit
        assert because("fay") == f"you were interested in mug: {chosen}"  # of earlier visits no more is known
        assert because("somebody new", looking_at=["mug"]) == f"you looked at mug: {chosen}"


def test_what_was_done_is_not_guessed_where_actions_weigh_the_same(tmp_path: Path) -> None:
    fold = attrs.evolve(Settings().fold, profile=ProfileSettings(cart_weight=5, purchase_weight=5))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), fold=fold)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), event("c", "cart", user="cyd", at_ms=HOUR_MS, product="mug")])
        pipeline.process()
        assert pipeline.recommend("cyd")[0].explanation.startswith("you were interested in mug: ")


def test_who_is_new_is_served_by_what_they_look_at(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        recommended = pipeline.recommend("somebody new", looking_at=["pan"])
        assert (recommended[0].product.product_id, recommended[0].reason.because_of) == ("lid", ("pan",))
        assert "pan" not in [entry.product.product_id for entry in recommended]


def test_similar_products_are_those_of_sessions_with_the_product(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        similar = pipeline.similar("mug")
        assert (similar[0].product.product_id, similar[0].reason.because_of) == ("jug", ("mug",))
        assert "mug" not in [entry.product.product_id for entry in similar]
        assert [entry.product.product_id for entry in pipeline.similar("mug", limit=1)] == ["jug"]


def test_sources_that_are_worth_the_same_are_mixed(tmp_path: Path) -> None:
    mixed = attrs.evolve(Settings().recommendations, blend=Blend(1.0, 1.0, 1.0, 1.0))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=mixed)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug", "lid"), *visits("bob", "mug")])
        pipeline.publish([*visits("cyd", "tent"), *visits("dan", "tent"), *visits("eve", "tent")])
        pipeline.process()
        # What leads the trending list comes beside what leads the neighbours', and before their second.
        assert "tent" in [entry.product.product_id for entry in pipeline.recommend("bob", limit=2)]


@pytest.mark.parametrize("price", [19.99, Decimal("19.99"), "19.99"])
def test_prices_of_a_catalogue_are_whole(price: Any, tmp_path: Path) -> None:
    container = Container()
    mispriced = Product(ProductId("mug"), price=price)
    container.catalogue.override(providers.Object(MemoryCatalogue({mispriced.product_id: mispriced})))
    with Pipeline(Settings(database=str(tmp_path / "shop.db")), container) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        with pytest.raises(TypeError, match=r"the price of mug is .*19\.99.*: 19\.99 is written Amount\(199_900\)"):
            pipeline.trending()


def test_a_source_that_is_worth_nothing_is_left_out(tmp_path: Path) -> None:
    trending_only = attrs.evolve(Settings().recommendations, blend=Blend(neighbours=0.0, trending_in_category=0.0))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=trending_only)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert {entry.reason.kind for entry in pipeline.recommend("bob")} == {ReasonKind.TRENDING}


def test_what_a_list_starts_from_is_no_reason_for_itself(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(
            [*visits("ada", "mug", "jug"), *visits("bob", "mug"), *visits("bob", "pan", at_ms=9 * HOUR_MS)]
        )
        pipeline.process()
        found = pipeline.recommend("bob")  # who looked at mug in an earlier session
        assert found[0].product.product_id == "jug"
        assert all(entry.product.product_id not in entry.reason.because_of for entry in found)
        assert "mug" not in [entry.product.product_id for entry in found if entry.reason.kind is ReasonKind.NEIGHBOURS]


def test_a_session_of_ones_own_is_no_neighbour(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.publish(visits("ada", "mug", at_ms=9 * HOUR_MS))
        pipeline.process()
        assert pipeline.profile("ada").customer.visits.sessions_begun == 2
        assert {entry.reason.kind for entry in pipeline.recommend("ada")} == {ReasonKind.TRENDING_IN_CATEGORY}


def test_who_is_forgotten_leads_nobody_anywhere(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert pipeline.recommend("bob")[0].reason.kind is ReasonKind.NEIGHBOURS
        pipeline.forget("ada")
        pipeline.process()
        assert {entry.reason.kind for entry in pipeline.recommend("bob")} == {ReasonKind.TRENDING_IN_CATEGORY}
        with pytest.raises(PipelineError, match="nothing is known of customer ada"):
            pipeline.profile("ada")


def test_who_asks_with_others_gets_the_list_they_would_get_alone() -> None:
    fine = RecommendationSettings(rules=ListRules(rating=1.0, hide_bought=True))
    experiment = Experiment("mixing", {"plain": Variant(1), "fine": Variant(1, fine)})
    with Pipeline(Settings(log="memory", store="memory", experiment=experiment)) as pipeline:
        for user in range(20):
            seen = [f"p{(user * step) % 13}" for step in (1, 2, 5)]
            pipeline.publish(visits(f"u{user}", *seen))
            pipeline.publish([event(f"r{user}", "review", user=f"u{user}", at_ms=HOUR_MS, product=seen[0], rating=5)])
            pipeline.publish([event(f"v{user}", user=None, session=f"s{user}", product="p1", at_ms=user)])
        pipeline.publish([event(f"l{n}", "login", user=f"u{n}", session=f"s{n}", at_ms=HOUR_MS) for n in range(5)])
        pipeline.process()
        names = [*(f"u{n}" for n in range(20)), *(f"anonymous:s{n}" for n in range(20)), "new", "u1"]
        ways: list[dict[str, Any]] = [
            {},
            {"limit": 3, "looking_at": ["p7"], "country": "de"},
            {"rules": ListRules(per_category=1, pinned={ProductId("p3"): 2})},
            {"rules": ListRules(weights={ProductId("p4"): 9.0}), "shown": {"p2": 1}},
        ]
        wanted = [(name, ways[number % len(ways)]) for number, name in enumerate(names * 2)]
        together = pipeline.recommend_all([Request(name, **way) for name, way in wanted])
        assert together == [pipeline.recommend(name, **way) for name, way in wanted]
        assert {entry.variant for entry in together} == {"plain", "fine"}
        assert pipeline.recommend_all([]) == []


def test_who_cannot_be_answered_is_named_by_their_number() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        with pytest.raises(PipelineError, match="request 2: '' is no customer's id"):
            pipeline.recommend_all([Request("ada"), Request("")])
        for wrong in (Request("ada"), ["ada"]):
            with pytest.raises(TypeError, match=r"requests must be a list of Request"):
                pipeline.recommend_all(wrong)  # type: ignore[arg-type]


def test_a_longer_list_has_no_fewer_neighbours() -> None:
    rules = RecommendationSettings(blend=Blend(trending=0, trending_in_category=0, trending_in_country=0))
    with Pipeline(Settings(log="memory", store="memory", recommendations=rules)) as pipeline:
        for user in range(8):
            pipeline.publish(visits(f"u{user}", "mug", *(f"p{user}-{number}" for number in range(30))))
        pipeline.process()
        assert [len(pipeline.similar("mug", limit)) for limit in (10, 240, 241, 1_000)] == [10, 240, 240, 240]


def test_a_price_that_was_paid_back_is_not_the_price() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        bought = event("b", "purchase", at_ms=0, product="mug", price=10, order_id="o")
        looked = [event(f"v{n}", user=f"u{n}", at_ms=1_000, product="mug", price=12) for n in range(3)]
        back = event("c", "cancellation", at_ms=2_000, product="mug", price=10, order_id="o")
        pipeline.publish([bought, *looked, back])
        pipeline.process()
        assert pipeline.trending()[0].product.price == 120_000
