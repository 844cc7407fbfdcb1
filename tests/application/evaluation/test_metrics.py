"""Metrics worked out by hand."""

from random import Random

import pytest

from realtime_pipeline.application.evaluation.metrics import Scorecard, metrics_of
from realtime_pipeline.domain.shop.events import ProductId
from tests.support.evaluation_visits import ids


def test_metrics_by_hand() -> None:
    # Of the four products that follow, b twice, two are in the list of five: at ranks 2 and 4; the next one at 4.
    hr, mrr, precision, recall, average = metrics_of(ids("xcyb"), ids("bcbd"), 5)
    assert (hr, mrr) == (1, 1 / 4)
    assert (precision, recall) == (2 / 5, 2 / 4)
    assert average == pytest.approx((1 / 2 + 2 / 4) / 5)
    assert metrics_of(ids("x"), ids("b"), 5) == (0, 0, 0, 0, 0)


def test_means_are_over_lists_and_intervals_over_visits() -> None:
    card = Scorecard(2)
    for number in range(20):
        for _ in range(3 if number < 10 else 1):
            card.add(str(number), ids("ab"), ids("a") if number < 10 else ids("z"))
    assert card.means()["HR"] == pytest.approx(30 / 40)
    low, high = card.intervals(Random(1))["HR"]  # noqa: S311
    assert 0.4 < low < 0.75 < high < 0.95
    assert card.coverage(4) == 0.5
    assert card.popularity({ProductId("a"): 4, ProductId("b"): 1}) == pytest.approx((4 + 1) / 4 / 2)
