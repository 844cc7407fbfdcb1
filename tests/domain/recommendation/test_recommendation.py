"""Neighbours, scores, trending and words, worked out by hand."""

import math

import attrs
import pytest

from realtime_pipeline.domain.profile.session import Session, SessionKey, SessionSummary
from realtime_pipeline.domain.recommendation.neighbours import (
    DAY_MS,
    NeighbourSettings,
    ScoredProduct,
    inverse_document_frequency,
    nearest_sessions,
    score_products,
)
from realtime_pipeline.domain.recommendation.reasons import (
    Reason,
    ReasonKind,
    SeedAction,
    reason_in_words,
    seed_actions_in_words,
)
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import decimals_of, in_units
from realtime_pipeline.domain.shop.product import Product

FAR = 1e12
A, B, C, D = (ProductId(name) for name in "abcd")


def listed(*entries: tuple[int, int]) -> dict[SessionKey, int]:
    return {SessionKey(key): at_ms for at_ms, key in entries}


def trail(*products: ProductId, weight: int = 1) -> SessionSummary:
    return SessionSummary(0, dict.fromkeys(products, weight))


def looks(*products: ProductId) -> dict[ProductId, int]:
    return dict.fromkeys(products, 1)


PLAIN = NeighbourSettings(
    position_reach=FAR,
    recency_days=FAR,
    shared_reach=FAR,
    order_reach=FAR,
    before=1.0,
    idf_weight=0.0,
    action_power=0.0,
)
"""Everything counts the same."""


def test_later_products_weigh_more() -> None:
    lists = {A: listed((9, 1), (8, 2)), B: listed((9, 1), (7, 3))}
    found = nearest_sessions(looks(A, B), lists, attrs.evolve(PLAIN, position_reach=2.0), own_sessions=())
    assert list(found) == [1, 3, 2]
    earlier = math.exp(-1 / 2)
    assert list(found.values()) == pytest.approx([1 + earlier, 1, earlier])


def test_what_was_bought_weighs_more_than_what_was_looked_at() -> None:
    lists = {A: listed((9, 1)), B: listed((9, 2))}
    found = nearest_sessions({A: 5, B: 1}, lists, attrs.evolve(PLAIN, action_power=0.5), own_sessions=())
    assert list(found) == [1, 2]
    assert list(found.values()) == pytest.approx([math.sqrt(5), 1])


def test_older_sessions_count_less() -> None:
    lists = {A: listed((3 * DAY_MS, 1), (DAY_MS, 2))}
    found = nearest_sessions(looks(A), lists, attrs.evolve(PLAIN, recency_days=4.0), own_sessions=())
    assert list(found.values()) == pytest.approx([1, math.exp(-2 / 4)])


def test_equally_near_sessions_go_by_age() -> None:
    found = nearest_sessions(looks(A), {A: listed((9, 1), (8, 2), (7, 3))}, attrs.evolve(PLAIN, k=2), own_sessions=())
    assert list(found) == [1, 2]


def test_only_the_newest_are_candidates() -> None:
    lists = {A: listed((5, 1), (4, 2)), B: listed((9, 3), (3, 4))}
    found = nearest_sessions(looks(A, B), lists, attrs.evolve(PLAIN, m=2), own_sessions=())
    assert found.keys() == {3, 1}


def test_ones_own_session_is_no_neighbour() -> None:
    found = nearest_sessions(looks(A), {A: listed((9, 1), (8, 2))}, PLAIN, own_sessions={SessionKey(1)})
    assert list(found) == [2]


def test_only_the_last_products_count() -> None:
    found = nearest_sessions(
        looks(A, B), {A: listed((9, 1)), B: listed((8, 2))}, attrs.evolve(PLAIN, last=1), own_sessions=()
    )
    assert list(found) == [2]


def scored(settings: NeighbourSettings, limit: int = 10) -> dict[ProductId, ScoredProduct]:
    """What two neighbours of a visitor lead to, who looked at A, then B."""
    found = score_products(
        looks(A, B),
        {SessionKey(1): 1.5, SessionKey(2): 0.5, SessionKey(3): 9.0},
        {SessionKey(1): trail(A, B, C), SessionKey(2): trail(D, A, C, weight=5)},  # the third is gone
        settings,
    ).weighted_by_idf(
        {product_id: inverse_document_frequency(known, 8) for product_id, known in {A: 2, B: 1, C: 2, D: 1}.items()},
        settings.idf_weight,
    )
    return {entry.product_id: entry for entry in found.best(limit)}


def test_neighbours_lead_to_what_they_saw() -> None:
    found = scored(PLAIN)
    assert {product_id: entry.score for product_id, entry in found.items()} == pytest.approx(
        {A: 2, B: 1.5, C: 2, D: 0.5}
    )
    assert list(found) == [A, C, B, D]
    assert (found[C].sessions, found[C].via) == (2, (B, A))
    assert (found[D].sessions, found[D].via) == (1, (A,))
    assert (found[A].sessions, found[A].via) == (1, (B,))  # what it leads to itself by says nothing
    assert (found[B].sessions, found[B].via) == (1, (B,))  # unless nothing else does
    assert list(scored(PLAIN, limit=2)) == [A, C]


def test_what_lies_further_from_the_shared_product_counts_less() -> None:
    found = scored(attrs.evolve(PLAIN, order_reach=2.0, before=0.25))
    one_step = math.exp(-1 / 2)
    assert found[C].score == pytest.approx((1.5 + 0.5) * one_step)
    assert found[D].score == pytest.approx(0.5 * one_step * 0.25)
    assert found[A].score == pytest.approx(1.5 * one_step * 0.25 + 0.5)


def test_neighbours_by_an_earlier_product_count_less() -> None:
    assert scored(attrs.evolve(PLAIN, shared_reach=2.0))[C].score == pytest.approx(1.5 + 0.5 * math.exp(-1 / 2))


def test_long_sessions_count_less() -> None:
    assert scored(attrs.evolve(PLAIN, length_damping=0.5))[C].score == pytest.approx(2 / math.sqrt(3))


def test_rare_products_count_more() -> None:
    found = scored(attrs.evolve(PLAIN, idf_weight=3.0))
    assert found[C].score == pytest.approx(2 * (1 + 3 * math.log(8 / 2)))
    assert found[D].score == pytest.approx(0.5 * (1 + 3 * math.log(8 / 1)))


def test_what_neighbours_bought_counts_more() -> None:
    found = scored(attrs.evolve(PLAIN, action_power=0.5))
    assert found[C].score == pytest.approx(1.5 + 0.5 * math.sqrt(5))


def test_what_was_taken_out_of_the_cart_leads_nowhere() -> None:
    lists = {A: listed((9, 1)), B: listed((9, 2))}
    assert list(nearest_sessions({A: 0, B: 1}, lists, PLAIN, own_sessions=())) == [2]
    other = Session(SessionKey(1), None, 0, 0, 3, {A: (0, 1), B: (1, 1), C: (2, 1)})
    other.retract(B)
    found = score_products({A: 1, B: 0}, {SessionKey(1): 1.0}, {SessionKey(1): other.summary()}, PLAIN)
    assert [(entry.product_id, entry.via) for entry in found.best(9)] == [(A, (A,)), (C, (A,))]


def test_products_of_one_instant_are_in_the_order_of_the_log() -> None:
    made = Session(SessionKey(1), None, 0, 0)
    for product_id, at_ms in ((A, 1), (B, 5), (A, 5), (C, 5), (D, 3)):
        made.touch(at_ms)
        made.add(product_id, at_ms, 1, 9)
    assert list(made.products) == [D, B, A, C]


def test_reaches_must_be_sensible() -> None:
    with pytest.raises(ValueError, match="order_reach"):
        NeighbourSettings(order_reach=0.0)
    with pytest.raises(ValueError, match="action_power must be at most"):
        NeighbourSettings(action_power=1_000.0)


def test_hour_weights_halve() -> None:
    weights = TrendingSettings(window_hours=25, half_life_hours=12.0).hour_weights()
    assert (weights[0], weights[12], weights[24]) == (1 << 20, 1 << 19, 1 << 18)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            Reason(ReasonKind.NEIGHBOURS, 1, (A,)),
            "you looked at A mug: in 1 visit with the same interest this was chosen too",
        ),
        (
            Reason(ReasonKind.NEIGHBOURS, 1_200, (A, B, C)),
            "you looked at A mug and b: in 1,200 visits with the same interest this was chosen too",
        ),
        (
            Reason(ReasonKind.NEIGHBOURS, 2, (C, A)),
            "you bought c and looked at A mug: in 2 visits with the same interest this was chosen too",
        ),
        (
            Reason(ReasonKind.NEIGHBOURS, 2, (D, ProductId("e"))),
            "you put d into the cart and were interested in e: in 2 visits with the same interest this was chosen too",
        ),
        (
            Reason(ReasonKind.TRENDING_IN_CATEGORY, 3, (), "kitchen"),
            "popular in kitchen, which you like: looked at or bought 3 times lately",
        ),
        (Reason(ReasonKind.NEW, 1), "new in the shop: few have seen it yet"),
        (Reason(ReasonKind.TRENDING, 1), "popular in the whole shop: looked at or bought once lately"),
    ],
)
def test_reasons_in_words(reason: Reason, words: str) -> None:
    touched = {A: SeedAction.VIEWED, B: SeedAction.VIEWED, C: SeedAction.BOUGHT, D: SeedAction.CARTED}
    assert (
        reason_in_words(reason, seed_actions_in_words(reason.because_of[:2], {A: Product(A, "A mug")}, touched))
        == words
    )


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (0, "", "0.00"),
        (125_000, "", "12.50"),
        (-125_000, "EUR", "-12.50"),
        (12_345_678_900, "USD", "1,234,567.89"),
        (1, "", "0.00"),
        (-1, "", "0.00"),
        (50, "", "0.00"),
        (150, "", "0.02"),
        (151, "", "0.02"),
        (250, "", "0.02"),
        (-251, "", "-0.03"),
        (99_999, "", "10.00"),
        (12_345_000, "JPY", "1,234"),
        (12_355_000, "JPY", "1,236"),
        (12_345_678, "KWD", "1,234.568"),
        (12_345_678, "CLF", "1,234.5678"),
    ],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(amount: int, currency: str, words: str) -> None:
    assert in_units(amount, decimals_of(currency)) == words
