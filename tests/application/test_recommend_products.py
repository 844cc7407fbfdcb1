"""Reading what is the same for everybody, while many ask."""

from collections.abc import Sequence
from threading import Event, Thread

from dependency_injector import providers

from realtime_pipeline import Container, Pipeline, Settings
from realtime_pipeline.domain.recommendation.trending import Popular, TrendingRules
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.histories import NOW_MS, SetClock, append, event


class SlowViews(MemoryViews):
    """Views that are read as slowly as a test wants."""

    def __init__(self) -> None:
        super().__init__(1, listed_sessions_max=10)
        self.asked, self.may_answer = Event(), Event()
        self.may_answer.set()

    def trending(self, rules: TrendingRules, category: str | None, limit: int) -> Sequence[Popular]:
        """Answer when told to."""
        self.asked.set()
        assert self.may_answer.wait(30)
        return super().trending(rules, category, limit)


def shown(pipeline: Pipeline) -> list[str]:
    return [one.product.product_id for one in pipeline.trending()]


def test_while_one_request_reads_what_is_trending_the_others_get_what_was_read_before() -> None:
    container, views, clock = Container(), SlowViews(), SetClock()
    container.views.override(providers.Object(views))
    container.clock.override(providers.Object(clock))
    with Pipeline(Settings(log="memory", store="memory"), container) as pipeline:
        append(pipeline, [event("e1", product="mug", at_ms=NOW_MS)])
        pipeline.process()
        assert shown(pipeline) == ["mug"]
        append(pipeline, [event(f"f{number}", product="jug", at_ms=NOW_MS) for number in range(2)])
        pipeline.process()
        assert shown(pipeline) == ["mug"]  # it was read just now
        clock.at_ms += 2_000
        views.asked.clear()
        views.may_answer.clear()
        found: list[list[str]] = []
        reader = Thread(target=lambda: found.append(shown(pipeline)))
        reader.start()
        assert views.asked.wait(30)
        assert shown(pipeline) == ["mug"]
        views.may_answer.set()
        reader.join(30)
        assert found == [["jug", "mug"]]
        assert shown(pipeline) == ["jug", "mug"]
