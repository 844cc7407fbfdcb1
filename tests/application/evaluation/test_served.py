"""What an evaluation measures is what the pipeline serves."""

from collections.abc import Iterator, Sequence

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.protocols import prequential, session_rec
from realtime_pipeline.application.evaluation.served import ServedModel
from realtime_pipeline.application.evaluation.visits import Touch, Visit
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.shop.events import EventKind, ProductId
from tests.support.evaluation_visits import LENGTH, ids, some_visits, touch, trained, visit


def served_model() -> ServedModel:
    return ServedModel(Settings().recommendations.neighbours)


class WholePipeline(Model):
    """Asks the whole pipeline: log, worker, store, use case."""

    def __init__(self, pipeline: Pipeline, *, by_events: bool) -> None:
        self._pipeline = pipeline
        self._by_events = by_events
        self._published: list[dict[str, object]] = []

    def learn(self, touch: Touch) -> None:
        self._published.append(
            {
                "event_type": "view",
                "timestamp": touch.at_ms,
                "session_id": touch.visit,
                "properties": {"product_id": touch.product_id},
            }
        )

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> dict[ProductId, float]:
        if self._published:
            self._pipeline.publish(self._published)
            self._pipeline.process()
            self._published.clear()
        customer, looking_at = (f"anonymous:{visit}", ()) if self._by_events else ("somebody else", products)
        recommendations = self._pipeline.recommend(customer, LENGTH, looking_at)
        return {
            recommendation.product.product_id: recommendation.score
            for recommendation in recommendations
            if recommendation.reason.kind is ReasonKind.NEIGHBOURS
        }


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    recommendations = attrs.evolve(Settings().recommendations, repeat_seen=True)
    no_cache = CacheSettings(trending_ms=0, products_ms=0, lists_ms=0)
    settings = Settings(log="memory", store="memory", partitions=1, recommendations=recommendations, cache=no_cache)
    with Pipeline(settings) as made:
        yield made


def test_what_is_served_after_training_is_what_session_rec_measures(pipeline: Pipeline) -> None:
    visits = some_visits(1, 150)
    training, test = visits[:120], visits[120:]
    live = session_rec(WholePipeline(pipeline, by_events=False), training, test, LENGTH, lambda: None)
    assert live == session_rec(served_model(), training, test, LENGTH, lambda: None)
    assert live.predictions > 50
    assert 0.3 < live.means()["HR"] < 1


def test_what_is_served_while_learning_is_what_prequential_measures(pipeline: Pipeline) -> None:
    visits = some_visits(2, 100)
    training, test = visits[:80], visits[80:]
    live = prequential(WholePipeline(pipeline, by_events=True), training, test, LENGTH, lambda: None)
    assert live == prequential(served_model(), training, test, LENGTH, lambda: None)
    assert live.predictions > 50


def test_a_visit_is_not_its_own_neighbour() -> None:
    model = trained(served_model(), visit("1", "abc"), visit("2", "ade", 100))
    assert model.scores("1", ids("a"), 200).keys() == {"a", "d", "e"}
    assert model.scores("3", ids("a"), 200).keys() == {"a", "b", "c", "d", "e"}


def test_bought_products_count_more_than_viewed_products() -> None:
    model = served_model()
    for key, kind in (("1", EventKind.PRODUCT_VIEWED), ("2", EventKind.PRODUCT_PURCHASED)):
        trained(model, Visit(key, (touch(key, "a", 0), touch(key, f"after {key}", 1, kind))))
    scores = model.scores("", ids("a"), 9)
    assert scores[ProductId("after 2")] > scores[ProductId("after 1")] > 0
