"""Lists of recommendations, as a program that imports the pipeline gets them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Container, ListRules, Pipeline, PipelineError, Request, Settings
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.experiments import Experiment, Variant
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue
from realtime_pipeline.interfaces.text import profile_in_words
from tests.support.histories import HOUR_MS, event, visits


def test_neighbours_come_first_then_the_category_then_the_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")] * 1)
        pipeline.process()
        recommended = pipeline.recommend("bob")
        assert [(one.product.product_id, one.reason.kind) for one in recommended] == [
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
            (jug,) = (one for one in pipeline.recommend(user, **request) if one.product.product_id == "jug")
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


def test_a_list_keeps_to_the_rules_of_its_request(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")])
        pipeline.publish([event("bad", "review", user="bob", at_ms=HOUR_MS, product="pan", rating=1)])
        pipeline.process()

        def listed(**rules: Any) -> list[str]:
            return [one.product.product_id for one in pipeline.recommend("bob", rules=ListRules(**rules))]

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
        assert [one.product.product_id for one in pipeline.recommend("bob", rules=ListRules())] == ["jug"]


def test_what_the_settings_refuse_is_in_no_list(tmp_path: Path) -> None:
    rules = ListRules(exclude=frozenset((ProductId("jug"),)), exclude_categories=frozenset(("outdoor",)))
    recommendations = attrs.evolve(Settings().recommendations, rules=attrs.evolve(rules, per_category=1))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=recommendations)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug", "pan"), *visits("bob", "jug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")])
        for product in ("mug", "jug", "tent"):
            pipeline.publish([event(f"r-{product}", "review", user="dan", at_ms=HOUR_MS, product=product, rating=5)])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.trending()] == ["mug", "pan"]  # by all that is refused
        assert [one.product.product_id for one in pipeline.trending(limit=1)] == ["mug"]
        assert [one.product.product_id for one in pipeline.top_rated()] == ["mug"]


def test_who_is_new_is_served_by_what_they_look_at(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        recommended = pipeline.recommend("somebody new", looking_at=["pan"])
        assert (recommended[0].product.product_id, recommended[0].reason.because_of) == ("lid", ("pan",))
        assert "pan" not in [one.product.product_id for one in recommended]


def test_similar_products_are_those_of_sessions_with_the_product(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        similar = pipeline.similar("mug")
        assert (similar[0].product.product_id, similar[0].reason.because_of) == ("jug", ("mug",))
        assert "mug" not in [one.product.product_id for one in similar]
        assert [one.product.product_id for one in pipeline.similar("mug", limit=1)] == ["jug"]


def test_sources_that_are_worth_the_same_are_mixed(tmp_path: Path) -> None:
    mixed = attrs.evolve(Settings().recommendations, blend=Blend(1.0, 1.0, 1.0, 1.0))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=mixed)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug", "lid"), *visits("bob", "mug")])
        pipeline.publish([*visits("cyd", "tent"), *visits("dan", "tent"), *visits("eve", "tent")])
        pipeline.process()
        # What leads the trending list comes beside what leads the neighbours', and before their second.
        assert "tent" in [one.product.product_id for one in pipeline.recommend("bob", limit=2)]


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
        assert {one.reason.kind for one in pipeline.recommend("bob")} == {ReasonKind.TRENDING}


def test_what_a_list_starts_from_is_no_reason_for_itself(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(
            [*visits("ada", "mug", "jug"), *visits("bob", "mug"), *visits("bob", "pan", at_ms=9 * HOUR_MS)]
        )
        pipeline.process()
        found = pipeline.recommend("bob")  # who looked at mug in an earlier session
        assert found[0].product.product_id == "jug"
        assert all(one.product.product_id not in one.reason.because_of for one in found)
        assert "mug" not in [one.product.product_id for one in found if one.reason.kind is ReasonKind.NEIGHBOURS]


def test_what_was_bought_is_not_shown_again_where_the_rules_say_so(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("ada", "pan")])
        pipeline.publish([event("order", "purchase", user="bob", at_ms=1, product="jug", session="earlier")])
        pipeline.publish([event("look", user="bob", at_ms=HOUR_MS, product="mug", session="now")])
        pipeline.process()
        assert "jug" in [one.product.product_id for one in pipeline.recommend("bob")]
        found = pipeline.recommend("bob", rules=ListRules(hide_bought=True))
        assert "jug" not in [one.product.product_id for one in found]
        shown = pipeline.recommend("bob", rules=ListRules(shown_max=2), shown={"jug": 2})
        assert "jug" not in [one.product.product_id for one in shown]


def test_what_is_new_gets_some_of_the_places(tmp_path: Path) -> None:
    new = [Product(ProductId(f"new-{number}"), category="kitchen") for number in range(9)]
    sold_out = Product(ProductId("gone"), category="kitchen", in_stock=False)
    elsewhere = Product(ProductId("tent"), category="outdoor")
    rules = ListRules(exploration_share=0.5, exploration_below=2, in_stock=True)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        known = {one.product_id: one for one in (*new, sold_out, elsewhere)}
        pipeline.container.products.override(providers.Object(known))
        for who in ("ada", "cyd", "eve"):
            pipeline.publish(visits(who, "mug", "jug", "pan"))
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()
        drawn = set()
        for _ in range(60):
            found = pipeline.recommend("bob", 4, rules=rules)
            assert [one.product.product_id for one in found][:2] == ["jug", "pan"]
            assert {one.reason.kind for one in found[2:]} == {ReasonKind.NEW}
            assert found[2].explanation == "new in kitchen: few have seen it yet"
            drawn |= {one.product.product_id for one in found[2:]}
        assert drawn == {one.product_id for one in new}
        for who in ("ada", "cyd"):
            pipeline.publish(visits(who, "new-0", at_ms=2 * HOUR_MS))
        pipeline.process()
        later = [one.product.product_id for _ in range(60) for one in pipeline.recommend("bob", 4, rules=rules)[2:]]
        assert "new-0" not in later  # it is new no more


def test_what_was_shown_often_enough_gives_way(tmp_path: Path) -> None:
    often, twice = ListRules(), ListRules(shown_max=2)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        seen = {"ada": ("mug", "jug", "pan"), "cyd": ("mug", "jug"), "bob": ("mug",)}
        now_ms = pipeline.container.clock().now_ms() - HOUR_MS  # lists are shown now, and what was long ago expires
        pipeline.publish([one for who, products in seen.items() for one in visits(who, *products, at_ms=now_ms)])
        pipeline.process()
        for _ in range(2):
            found = pipeline.recommend("bob", 1, rules=twice)
            assert [one.product.product_id for one in found] == ["jug"]
            pipeline.record_exposure("bob", found)
            pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("bob", 1, rules=twice)] == ["pan"]
        assert [one.product.product_id for one in pipeline.recommend("bob", 1, rules=often)] == ["jug"]
        assert {id_: times for id_, (times, _) in pipeline.profile("bob").customer.shown.items()} == {"jug": 2}
        pipeline.record_exposure("bob", ["pan", "pan"])  # a list has a product once
        before = sum(pipeline.process().values())
        pipeline.record_exposure("bob", [])
        pipeline.record_exposure("eve", pipeline.recommend("eve", 1, rules=ListRules(price_max=0.0)))
        assert sum(pipeline.process().values()) == before
        with pytest.raises(TypeError, match="shown must be a list of recommendations or product ids"):
            pipeline.record_exposure("bob", "pan")


def test_somebody_new_gets_what_is_trending(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), cache=CacheSettings(trending_ms=0))) as pipeline:
        assert list(pipeline.recommend("zoe")) == []
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("zoe")] == ["mug", "jug"]
        assert pipeline.recommend("zoe") == pipeline.trending()


def test_what_is_trending_where_the_customer_is_comes_before_the_whole_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for number, (country, product) in enumerate([("FR", "mug")] * 3 + [("DE", "jug")] * 2 + [("nowhere", "pan")]):
            look = event(f"look-{number}", user=f"visitor-{number}", product=product)
            pipeline.publish([{**look, "context": {"country": country}}])
        pipeline.publish([{**event("there", user="bob", product="tent"), "context": {"country": "de"}}])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.trending()] == ["mug", "jug", "pan", "tent"]
        assert [one.product.product_id for one in pipeline.trending(country="de")] == ["jug", "tent"]
        assert [one.product.product_id for one in pipeline.trending(country="IT")] == []
        for found in (pipeline.recommend("bob"), pipeline.recommend("zoe", country="DE")):
            ids = [one.product.product_id for one in found]
            assert [product_id for product_id in ids if product_id != "tent"] == ["jug", "mug", "pan"]
            assert found[0].reason.kind is ReasonKind.TRENDING_IN_COUNTRY
            assert found[0].explanation == "popular in DE, where you are: looked at or bought 2 times lately"
        assert pipeline.recommend("bob", country="FR")[0].product.product_id == "mug"
        assert pipeline.recommend("zoe")[0].reason.kind is ReasonKind.TRENDING
        assert "  is in      DE" in profile_in_words(pipeline.profile("bob"))
        with pytest.raises(ValueError, match="a country is two letters, as DE, not Germany"):
            pipeline.recommend("zoe", country="Germany")


def test_a_session_of_ones_own_is_no_neighbour(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.publish(visits("ada", "mug", at_ms=9 * HOUR_MS))
        pipeline.process()
        assert pipeline.profile("ada").customer.sessions_begun == 2
        assert {one.reason.kind for one in pipeline.recommend("ada")} == {ReasonKind.TRENDING_IN_CATEGORY}


def test_who_is_forgotten_leads_nobody_anywhere(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert pipeline.recommend("bob")[0].reason.kind is ReasonKind.NEIGHBOURS
        pipeline.forget("ada")
        pipeline.process()
        assert {one.reason.kind for one in pipeline.recommend("bob")} == {ReasonKind.TRENDING_IN_CATEGORY}
        with pytest.raises(PipelineError, match="nothing is known of customer ada"):
            pipeline.profile("ada")


def test_what_was_seen_in_the_session_is_repeated_only_where_that_is_wanted(tmp_path: Path) -> None:
    for wanted in (False, True):
        rules = RecommendationSettings(repeat_seen=wanted)
        with Pipeline(Settings(database=str(tmp_path / f"{wanted}.db"), recommendations=rules)) as pipeline:
            pipeline.publish([*visits("ada", "mug", "jug", "pan"), *visits("bob", "mug", "jug")])
            pipeline.process()
            recommended = [one.product.product_id for one in pipeline.recommend("bob")]
            assert ("mug" in recommended) is wanted
            assert "pan" in recommended


def test_what_is_trending_does_not_depend_on_what_it_is_worth_in_lists() -> None:
    looks = [*(event(f"z{n}", user=f"u{n}", at_ms=n, product="z") for n in range(9)), event("a", at_ms=1, product="a")]
    for weight in (0.5, 0.0):
        rules = RecommendationSettings(blend=Blend(trending=weight, trending_in_country=weight))
        with Pipeline(Settings(log="memory", store="memory", recommendations=rules)) as pipeline:
            pipeline.publish(looks)
            pipeline.process()
            assert [(one.product.product_id, one.score > 0) for one in pipeline.trending()] == [
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
            assert [one.product.product_id for one in pipeline.recommend("me", limit)[:3]] == ["A01", "best", "A02"]


def test_what_trends_less_comes_up_where_what_trends_most_is_refused() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        looks = [(product, look) for product in range(80) for look in range(80 - product)]
        pipeline.publish(
            [event(f"{n}-{look}", user=f"u{n}-{look}", at_ms=5, product=f"p{n:02}") for n, look in looks]
            + [event("me", user="me", at_ms=6, product="p00")]
        )
        pipeline.process()
        best, others = [f"p{n:02}" for n in range(10)], [f"p{n:02}" for n in range(60, 80)]
        assert [one.product.product_id for one in pipeline.recommend("new")] == best
        refused = ListRules(exclude=frozenset(ProductId(f"p{n:02}") for n in range(60)))
        for customer in ("new", "me"):
            recommended = pipeline.recommend(customer, limit=30, rules=refused)
            assert [one.product.product_id for one in recommended] == others


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
        assert {one.variant for one in together} == {"plain", "fine"}
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


def test_a_part_of_a_list_was_shown_as_the_whole_would_be() -> None:
    rules = ListRules(shown_max=1)
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([event(f"{n}", user=f"u{n}", at_ms=n, product=f"p{n}") for n in range(6)])
        pipeline.process()
        found = pipeline.recommend("ada", rules=rules)
        first = [one.product.product_id for one in found]
        pipeline.record_exposure("ada", found[:2])
        pipeline.record_exposure("ada", list(found)[2:3])
        pipeline.record_exposure("ada", [first[3]])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("ada", rules=rules)] == first[4:]
        with pytest.raises(TypeError, match="not of dict"):
            pipeline.record_exposure("ada", [{"product_id": "mug"}])  # type: ignore[list-item]


def test_a_price_that_was_paid_back_is_not_the_price() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        bought = event("b", "purchase", at_ms=0, product="mug", price=10, order_id="o")
        looked = [event(f"v{n}", user=f"u{n}", at_ms=1_000, product="mug", price=12) for n in range(3)]
        back = event("c", "cancellation", at_ms=2_000, product="mug", price=10, order_id="o")
        pipeline.publish([bought, *looked, back])
        pipeline.process()
        assert pipeline.trending()[0].product.price == 120_000
