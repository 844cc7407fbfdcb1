"""Training and test sets."""

import pytest

from realtime_pipeline.application.evaluation.visits import predictable, split
from realtime_pipeline.domain.shop.events import ProductId
from tests.support.evaluation_visits import visit


def test_the_visits_that_end_last_are_the_test_set() -> None:
    visits = [visit(str(number), "ab", number) for number in range(10)]
    training, test = split(visits, 0.2)
    assert ([kept.key for kept in training], [kept.key for kept in test]) == (list("01234567"), list("89"))


@pytest.mark.parametrize("test_share", [0.1, 0.9])
def test_neither_set_may_be_empty(test_share: float) -> None:
    with pytest.raises(ValueError, match="2 visits cannot be split"):
        split([visit("1", "ab"), visit("2", "ab", 1)], test_share)


def test_unknown_products_are_removed_and_then_visits_with_one_touch() -> None:
    known = {ProductId("a"): 1, ProductId("b"): 2}
    assert predictable([visit("1", "azb"), visit("2", "az"), visit("3", "aa")], known)[1:] == [visit("3", "aa")]
    (first, _) = predictable([visit("1", "azb"), visit("3", "aa")], known)
    assert first.products == ("a", "b")
