"""The order in which models learn and are asked."""

from collections import Counter
from collections.abc import Sequence

from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.protocols import prequential, serenade, session_rec
from realtime_pipeline.application.evaluation.visits import Touch
from realtime_pipeline.domain.shop.events import ProductId
from tests.support.evaluation_visits import visit


class MostTouched(Model):
    """Recommends what was touched most."""

    def __init__(self) -> None:
        self.counts: Counter[ProductId] = Counter()

    def learn(self, touch: Touch) -> None:
        self.counts[touch.product_id] += 1

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Counter[ProductId]:
        return self.counts


def test_unknown_products_are_left_out_but_not_when_touches_are_learnt_in_order_of_time() -> None:
    training, test = [visit("1", "ab"), visit("2", "ab", 10)], [visit("3", "azbb", 20)]
    assert session_rec(MostTouched(), training, test, 5, lambda: None).predictions == 2  # a → b, b → b
    assert serenade(MostTouched(), training, test, 5, lambda: None).predictions == 1  # a → b
    assert prequential(MostTouched(), training, test, 5, lambda: None).predictions == 3


def test_only_serenade_does_not_recommend_the_product_touched_last() -> None:
    training, test = [visit("1", "aab")], [visit("2", "ab", 10)]
    assert session_rec(MostTouched(), training, test, 1, lambda: None).means()["HR"] == 0
    assert serenade(MostTouched(), training, test, 1, lambda: None).means()["HR"] == 1


def test_prequential_asks_before_it_learns() -> None:
    asked: list[int] = []

    class Recording(MostTouched):
        def recommend(self, visit: str, products: Sequence[ProductId], at_ms: int, limit: int) -> list[ProductId]:
            asked.append(self.counts.total())
            return super().recommend(visit, products, at_ms, limit)

    prequential(Recording(), [visit("1", "ab")], [visit("2", "abc", 10)], 5, lambda: None)
    assert asked == [3, 4]  # both touches of the training visit, and those of the test visit before the one asked for
