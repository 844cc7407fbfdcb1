"""Neighbours, scores, trending and words, worked out by hand."""

import math

import pytest

from realtime_pipeline.domain.recommendation.neighbours import Neighbour, NeighbourRules, nearest, score
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind, in_words
from realtime_pipeline.domain.recommendation.trending import TrendingRules
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import in_units
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.session import Session, SessionKey

A, B, C, D = (ProductId(name) for name in "abcd")


def listed(*entries: tuple[int, int]) -> list[tuple[int, SessionKey]]:
    return [(at_ms, SessionKey(key)) for at_ms, key in entries]


def session(key: int, *products: ProductId) -> Session:
    return Session(SessionKey(key), None, 0, 0, len(products), dict.fromkeys(products, (0, 1)))


def test_later_products_weigh_more() -> None:
    lists = {A: listed((9, 1), (8, 2)), B: listed((9, 1), (7, 3))}
    found = nearest([A, B], lists, NeighbourRules(), own=())
    assert found == [Neighbour(SessionKey(1), 1.5), Neighbour(SessionKey(3), 1.0), Neighbour(SessionKey(2), 0.5)]


def test_equally_near_sessions_go_by_age() -> None:
    found = nearest([A], {A: listed((9, 1), (8, 2), (7, 3))}, NeighbourRules(k=2), own=())
    assert [one.key for one in found] == [1, 2]


def test_only_the_newest_are_candidates() -> None:
    lists = {A: listed((5, 1), (4, 2)), B: listed((9, 3), (3, 4))}
    found = nearest([A, B], lists, NeighbourRules(m=2), own=())
    assert {one.key for one in found} == {3, 1}


def test_ones_own_session_is_no_neighbour() -> None:
    found = nearest([A], {A: listed((9, 1), (8, 2))}, NeighbourRules(), own={SessionKey(1)})
    assert [one.key for one in found] == [2]


def test_only_the_last_products_count() -> None:
    found = nearest([A, B], {A: listed((9, 1)), B: listed((8, 2))}, NeighbourRules(last=1), own=())
    assert found == [Neighbour(SessionKey(2), 1.0)]


def test_scores_by_hand() -> None:
    neighbours = [Neighbour(SessionKey(1), 1.5), Neighbour(SessionKey(2), 0.5)]
    sessions = {SessionKey(1): session(1, A, B, C), SessionKey(2): session(2, A, C, D)}
    scored = score(
        [A, B],
        neighbours,
        sessions,
        interactions={A: 2, B: 1, C: 2, D: 1},
        interactions_total=8,
        rules=NeighbourRules(),
    )
    by_product = {one.product_id: one for one in scored}
    assert by_product[C].score == pytest.approx((1.5 * 0.9 + 0.5 * 0.8) * math.log(8 / 2))
    assert by_product[D].score == pytest.approx(0.5 * 0.8 * math.log(8 / 1))
    assert by_product[A].score == pytest.approx((1.5 * 0.9 + 0.5 * 0.8) * math.log(8 / 2))
    assert B not in by_product  # the product looked at last
    assert (by_product[C].sessions, by_product[C].through) == (2, (B, A))


def test_what_everybody_has_is_no_candidate_and_what_is_gone_is_skipped() -> None:
    neighbours = [Neighbour(SessionKey(1), 1.0), Neighbour(SessionKey(2), 1.0)]
    scored = score(
        [A],
        neighbours,
        {SessionKey(1): session(1, A, B, C)},
        interactions={B: 5},
        interactions_total=5,
        rules=NeighbourRules(),
    )
    assert [one.product_id for one in scored] == [C]
    assert scored[0].score == pytest.approx(0.9)


def test_hour_weights_halve() -> None:
    weights = TrendingRules(window_hours=25, half_life_hours=12.0).hour_weights()
    assert (weights[0], weights[12], weights[24]) == (1 << 20, 1 << 19, 1 << 18)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            Reason(ReasonKind.NEIGHBOURS, 1, (A,)),
            "you looked at A mug: 1 visitor with the same interest chose this too",
        ),
        (
            Reason(ReasonKind.NEIGHBOURS, 1_200, (A, B, C)),
            "you looked at A mug and b: 1,200 visitors with the same interest chose this too",
        ),
        (
            Reason(ReasonKind.TRENDING_IN_CATEGORY, 3, (), "kitchen"),
            "popular in kitchen, which you like: looked at or bought 3 times lately",
        ),
        (Reason(ReasonKind.TRENDING, 1), "popular in the whole shop: looked at or bought once lately"),
    ],
)
def test_reasons_in_words(reason: Reason, words: str) -> None:
    assert in_words(reason, {A: Product(A, "A mug")}) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0.00"), (125_000, "12.50"), (-125_000, "-12.50"), (12_345_678_900, "1,234,567.89"), (1, "0.0001")],
)
def test_amounts_in_units(amount: int, words: str) -> None:
    assert in_units(amount) == words
