"""From candidates to a list: what each rule does to it."""

from typing import Any

import attrs
import pytest

from realtime_pipeline.domain.recommendation.blending import Blend, Candidate, blended
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.ranking import (
    Ranking,
    Visitor,
    disliked,
    inject_cold_start_products,
    ranked,
    weighted_by_rating,
)
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats

A, B, C, D = (ProductId(name) for name in "abcd")
PRODUCTS = {
    A: Product(A, category="cups", price=Amount(50_000), in_stock=True),
    B: Product(B, category="cups", price=Amount(200_000), in_stock=False),
    C: Product(C, category="pans", price=Amount(100_000)),
    D: Product(D),
}


def candidates(*product_ids: ProductId, kind: ReasonKind = ReasonKind.NEIGHBOURS) -> list[Candidate]:
    """The first has the highest score."""
    count = len(product_ids)
    return [Candidate(entry, float(count - place), Reason(kind, 1)) for place, entry in enumerate(product_ids)]


def listed(rules: ListRules, visitor: Visitor | None = None, limit: int = 4) -> list[str]:
    return [entry.product_id for entry in ranking(rules, visitor, limit).chosen]


def ranking(rules: ListRules, visitor: Visitor | None = None, limit: int = 4) -> Ranking:
    return ranked(candidates(A, B, C, D), visitor or Visitor(), rules, PRODUCTS, limit)


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (ListRules(), "abcd"),
        (ListRules(exclude=frozenset((A, D))), "bc"),
        (ListRules(exclude_categories=frozenset(("cups",))), "cd"),
        (ListRules(only_categories=frozenset(("cups",))), "ab"),
        (ListRules(in_stock=True), "acd"),
        (ListRules(price_min=10), "bc"),  # what has no known price does not pass
        (ListRules(price_max=10), "ac"),
        (ListRules(hide_bought=True), "bcd"),
        (ListRules(shown_max=3), "abd"),
        (ListRules(weights={D: 10.0}), "dabc"),
        (ListRules(weights={A: 0.1}), "bcda"),
        (ListRules(category_weights={"pans": 3.0}), "cabd"),
        (ListRules(per_category=1), "acd"),
        (ListRules(diversity=0.5), "acdb"),  # the second cup comes when all else is there
        (ListRules(pinned={ProductId("z"): 2, C: 1}), "czab"),
    ],
)
def test_each_rule_does_what_it_says(rules: ListRules, left: str) -> None:
    assert "".join(listed(rules, Visitor(bought={A}, shown={C: 3, D: 2}))) == left


@pytest.mark.parametrize("price", [299, 1_649, 1_999, 9_999])
def test_a_price_is_within_its_own_bounds(price: int) -> None:
    rules = ListRules(price_min=price / 100, price_max=price / 100)
    assert rules.failed_filter(Product(A, price=Amount(price * 100))) is None
    assert rules.failed_filter(Product(A, price=Amount(price * 100 - 1))) == "price_min"
    assert rules.failed_filter(Product(A, price=Amount(price * 100 + 1))) == "price_max"


def test_what_was_seen_or_disliked_is_not_shown() -> None:
    assert disliked({A: (2, 0), B: (3, 0)}) == {A}
    assert listed(ListRules(), Visitor(seen={C}, disliked={A})) == ["b", "d"]


@pytest.mark.parametrize(
    ("rules", "limit", "left"),
    [
        (ListRules(), 4, "abyz"),
        (ListRules(), 5, "abcyz"),
        (ListRules(), 7, "abcdyz"),
        (ListRules(), 1, "y"),
        (ListRules(pinned={D: 4}), 4, "ayzd"),
        (ListRules(pinned={D: 1, A: 2}), 2, "da"),
        (ListRules(pinned={ProductId("x"): 5}, exclude=frozenset((B, C, D))), 6, "ayzx"),
        (ListRules(pinned={ProductId("x"): 3}, exclude=frozenset((B, C, D))), 6, "ayxz"),
    ],
)
def test_new_products_get_the_last_places(rules: ListRules, limit: int, left: str) -> None:
    new = candidates(ProductId("y"), ProductId("z"), kind=ReasonKind.NEW)
    found = inject_cold_start_products(ranking(rules, limit=limit), new, 2, rules, {}, limit)
    assert "".join(entry.product_id for entry in found.chosen) == left


def test_new_products_count_among_those_of_their_category() -> None:
    rules = ListRules(per_category=1)
    described = {**PRODUCTS, **{ProductId(name): Product(ProductId(name), category="cups") for name in "xyz"}}
    new = candidates(*map(ProductId, "xyz"), kind=ReasonKind.NEW)
    before = ranked(candidates(A, C, D), Visitor(), rules, described, 3)
    assert [entry.product_id for entry in before.chosen] == ["a", "c", "d"]
    assert [entry.product_id for entry in inject_cold_start_products(before, new, 2, rules, described, 3).chosen] == [
        "a",
        "c",
        "d",
    ]
    assert [entry.product_id for entry in inject_cold_start_products(before, new, 2, rules, described, 4).chosen] == [
        "a",
        "c",
        "d",
    ]
    alone = ranked(candidates(A), Visitor(), rules, described, 1)
    assert [entry.product_id for entry in inject_cold_start_products(alone, new, 1, rules, described, 1).chosen] == [
        "x"
    ]


def test_rules_may_name_products_by_number_where_their_ids_are() -> None:
    rules: dict[str, Any] = {"exclude": {17}, "weights": {18: 2.0}, "pinned": {19: 1}}
    found = ListRules(**rules)
    assert (found.exclude, found.weights, found.pinned) == (frozenset(("17",)), {"18": 2.0}, {"19": 1})
    with pytest.raises(ValueError, match="exclude must be a set"):
        ListRules(exclude="17")  # type: ignore[arg-type]


def test_the_list_says_which_rule_moved_what() -> None:
    boosted = ranking(ListRules(weights={D: 10.0, A: 0.5}))
    assert [(entry.product_id, entry.adjustments) for entry in boosted.chosen] == [
        ("d", ("boosted to 10 times its score",)),
        ("b", ()),
        ("a", ("buried to 0.5 times its score",)),
        ("c", ()),
    ]
    mixed = ranking(ListRules(diversity=0.5), limit=2)
    assert [entry.adjustments for entry in mixed.chosen] == [(), ("moved up for diversity",)]
    pinned = ranking(ListRules(pinned={D: 1}), limit=1).chosen[0]
    assert (pinned.reason.kind, pinned.adjustments) == (ReasonKind.PINNED, ("pinned to slot 1",))


def test_pinned_products_lose_no_place_to_their_pin() -> None:
    assert listed(ListRules(pinned={A: 9}), limit=3) == ["a", "b", "c"]  # the place is not in this list
    short = ranking(ListRules(pinned={D: 4}, exclude=frozenset((B, C))))
    assert [(entry.product_id, entry.adjustments) for entry in short.chosen] == [
        ("a", ()),
        ("d", ("pinned to slot 2",)),
    ]
    two = listed(ListRules(pinned={C: 4, D: 6}), limit=9)
    assert two == ["a", "b", "d", "c"]  # there is a place 4
    many = ranking(ListRules(pinned={D: 2}), limit=10**9)
    assert [entry.product_id for entry in many.chosen] == ["a", "d", "b", "c"]
    of_categories = ListRules(pinned={A: 1}, per_category=1)
    assert listed(of_categories) == ["a", "c", "d"]  # the pin is of cups, as b is
    assert listed(attrs.evolve(of_categories, per_category=2)) == ["a", "b", "c", "d"]
    assert listed(ListRules(pinned={A: 1}, diversity=0.5)) == ["a", "c", "d", "b"]
    nothing_else = ranking(ListRules(pinned={D: 1}, price_max=0.01))
    assert [entry.product_id for entry in nothing_else.chosen] == ["d"]
    assert nothing_else.notes == ("price_max left nothing: it refused 3 of 4 products",)


def test_a_filter_that_leaves_nothing_is_named() -> None:
    empty = ranking(ListRules(price_max=0.01, exclude=frozenset((D,))))
    assert empty.chosen == ()
    assert empty.notes == (
        "price_max left nothing: it refused 3 of 4 products",
        "exclude left nothing: it refused 1 of 4 products",
    )


def test_who_has_bought_everything_is_offered_nothing_and_the_list_says_why() -> None:
    nothing = ranking(ListRules(hide_bought=True), Visitor(bought={A, B, C, D}))
    assert nothing.chosen == ()
    assert nothing.notes == ("hide_bought left nothing: it refused 4 of 4 products",)


def test_who_was_shown_everything_is_shown_it_again_and_the_list_says_so() -> None:
    again = ranking(ListRules(shown_max=2), Visitor(shown={A: 2, B: 3, C: 2, D: 2}))
    assert [entry.product_id for entry in again.chosen] == ["a", "b", "c", "d"]
    assert again.notes == ("shown_max set aside, which had left nothing of 4 products",)
    first_few = ranked(candidates(A), Visitor(shown={A: 2}), ListRules(shown_max=2), {}, 4, exhausted=False)
    assert first_few == Ranking(())  # there may be others yet


def test_sources_come_one_after_the_other_unless_they_are_worth_the_same() -> None:
    sources = [candidates(A, B), candidates(C, A, kind=ReasonKind.TRENDING)]
    found = blended(sources, Blend())
    assert [(entry.product_id, entry.score, entry.reason.kind.value) for entry in found] == [
        ("a", 4.0, "neighbours"),
        ("b", 3.0, "neighbours"),
        ("c", 0.5, "trending"),
    ]
    assert [entry.product_id for entry in blended(sources, Blend(2.0, 2.0, 2.0, 2.0))] == ["a", "c", "b"]
    assert Blend().keeps_source_order
    assert not Blend(2.0, 2.0, 2.0, 2.0).keeps_source_order
    assert not Blend(8.0, 4.0, 1.0, 2.0).keeps_source_order
    assert Blend(4.0, 0.0, 0.0, 2.0).keeps_source_order


def test_well_rated_products_count_more_and_badly_rated_ones_less() -> None:
    tallies = {A: ProductStats(1, 20, 20), B: ProductStats(1, 20, 100)}
    found = weighted_by_rating(candidates(A, B, C), tallies, ListRules(rating=1.0), 5.0)
    average = (5 * 3.5 + 100) / 25 / 3.5
    assert [entry.product_id for entry in found] == ["b", "a", "c"]
    assert found[0].score == pytest.approx(2 * average)
    assert found[0].adjustments == ("rated 4.7",)
    assert weighted_by_rating(candidates(A, B), tallies, ListRules(rating=0.0), 5.0) == candidates(A, B)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"weights": {A: -1.0}}, "weights: a must be at least 0"),
        ({"category_weights": {"cups": float("nan")}}, "category_weights: cups"),
        ({"price_min": -1.0}, "price_min must be at least 0"),
        ({"price_max": float("nan")}, "price_max must be at least 0"),
        ({"diversity": 1.5}, "diversity must be at most 1"),
        ({"per_category": -1}, "per_category must be at least 0"),
        ({"pinned": {A: 0}}, "pinned: slots"),
        ({"pinned": {A: 1, B: 1}}, "pinned: slots"),
        ({"pinned": {A: 1.5}}, "pinned: slots"),
        ({"only_categories": "cups"}, "only_categories must be a set"),
        ({"rating": 3_000.0}, "rating must be at most 10"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        attrs.evolve(ListRules(), **wrong)
