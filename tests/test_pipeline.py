"""The pipeline as a program that imports it knows it."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from dependency_injector import providers

from realtime_pipeline import Container, Pipeline, PipelineError, Settings
from realtime_pipeline.application.errors import InvalidEvents, InvalidSettings, Unavailable
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.memory.customer_queries import MemoryCustomerQueries
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.product_queries import MemoryProductQueries
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from realtime_pipeline.infrastructure.memory.window_queries import MemoryWindowQueries
from tests.support.histories import HOUR_MS, KINDS, Kind, append, embedded, event, opened, visits


def test_everything_in_memory() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        assert pipeline.publish(visits("ada", "mug", "jug")) == 2
        assert pipeline.process() == {RecordClass.APPLIED: 2}
        assert pipeline.profile("ada").customer.visits.sessions_begun == 1


def test_decimals_are_published_as_they_are() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        priced = event("1", "purchase", product="mug", price=Decimal("19.99"), quantity=Decimal(3))
        assert pipeline.publish([priced]) == 1
        assert pipeline.process() == {RecordClass.APPLIED: 1}
        assert pipeline.profile("ada").customer.purchases.spend == 599_700
        with pytest.raises(InvalidEvents, match=r"event 1 cannot be written as JSON: properties\.price is NaN"):
            pipeline.publish([event("2", "purchase", product="mug", price=Decimal("NaN"))])


def test_a_store_swapped_for_another_by_the_container(tmp_path: Path) -> None:
    """The log in SQLite, all stores in memory: nothing else changes."""
    container = Container()
    cells, views = MemoryCellStore(), MemoryViews(2, listed_sessions_max=10, activity_retention_hours=100)
    customers = MemoryCustomerQueries(cells, session_retention_ms=10**9)
    container.cells.override(providers.Object(cells))
    container.customer_queries.override(providers.Object(customers))
    container.window_queries.override(providers.Object(MemoryWindowQueries(cells)))
    container.views.override(providers.Object(views))
    container.product_queries.override(providers.Object(MemoryProductQueries(views)))
    with Pipeline(Settings(database=str(tmp_path / "shop.db")), container) as pipeline:
        container.outputs.override(providers.Object(MemoryOutputs(container.publisher())))
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [entry.product.product_id for entry in pipeline.recommend("bob")] == ["jug"]
        assert customers.read_customer(CustomerId("ada")) is not None
        assert container.database().rows("SELECT count(*) FROM customers") == [(0,)]


@KINDS
def test_a_record_too_large_to_fold_is_forgotten_with_its_customer(kind: Kind, tmp_path: Path) -> None:
    with Pipeline(embedded(kind, tmp_path)) as pipeline:
        large = event("1", user="ada", product="mug", text="x" * 70_000)
        append(pipeline, [large, event("2", user="bob", product="mug")])
        pipeline.process()
        assert [(entry.reason.partition(":")[0], entry.customer_id) for entry in pipeline.dead_letters()] == [
            ("too_large", "ada")
        ]
        pipeline.forget("ada")
        pipeline.process()
        assert pipeline.dead_letters() == []


def test_how_deep_an_event_may_be_does_not_depend_on_who_asks(tmp_path: Path) -> None:
    def nested(depth: int) -> bytes:
        head = b'{"event_type": "view", "user_id": "ada", "timestamp": 1, "event_id": "%d", "more": ' % depth
        return head + b"[" * depth + b'"[\\"["' + b"]" * depth + b"}"

    def deeper(frames: int, call: Callable[[], object]) -> object:
        return deeper(frames - 1, call) if frames else call()

    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        append(pipeline, [nested(60), nested(70), nested(970), nested(30_000)])
        first = deeper(200, pipeline.process)
        assert [entry.reason for entry in pipeline.dead_letters()] == ["nested: deeper than 64 levels"] * 3
        pipeline.rebuild()
        assert pipeline.process() == first


def test_publishing_is_all_or_none_however_much_it_is(tmp_path: Path) -> None:
    many = [event(f"e{number}", user=f"u{number}", at_ms=HOUR_MS) for number in range(5_000)]
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match="event 5001 of 5001"):
            pipeline.publish([*many, {"event_type": "view"}])
        assert pipeline.process() == {}
        pipeline.publish(many)
        assert pipeline.process() == {RecordClass.APPLIED: 5_000}


def test_a_container_is_one_pipelines(tmp_path: Path) -> None:
    container = Container()
    with Pipeline(Settings(database=str(tmp_path / "one.db")), container) as pipeline:
        pipeline.process()
        with pytest.raises(PipelineError, match="this container has settings of another pipeline"):
            Pipeline(Settings(database=str(tmp_path / "two.db")), container)


@pytest.mark.parametrize("name", ["cells", "views", "outputs"])
def test_part_of_a_store_in_sqlite_cannot_be_swapped(name: str, tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline, opened(embedded("memory", tmp_path)) as other:
        getattr(pipeline.container, name).override(providers.Object(getattr(other.container, name)()))
        pipeline.publish([event("e1", product="mug")])
        with pytest.raises(InvalidSettings, match=f"the container's {name} cannot be swapped alone"):
            pipeline.process()


def test_a_home_that_nobody_has_is_named() -> None:
    with (
        opened(Settings(database="~nobody-of-that-name/shop.db")) as pipeline,
        pytest.raises(Unavailable, match="this machine knows no such user"),
    ):
        pipeline.publish([event("e1")])
