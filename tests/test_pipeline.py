"""The pipeline as a program that imports it knows it."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from realtime_pipeline import Container, Pipeline, PipelineError, Request, Settings
from realtime_pipeline.application.errors import InvalidEvents, InvalidSettings, Unavailable, UnknownCustomer
from realtime_pipeline.application.maintenance.forget_customer import Forgetting
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.memory.customer_queries import MemoryCustomerQueries
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.product_queries import MemoryProductQueries
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from realtime_pipeline.infrastructure.sqlite import database
from realtime_pipeline.interfaces.text import profile_in_words
from tests.support.histories import HOUR_MS, KINDS, Kind, append, embedded, event, opened, visits


def test_everything_in_memory() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        assert pipeline.publish(visits("ada", "mug", "jug")) == 2
        assert pipeline.process() == {RecordClass.APPLIED: 2}
        assert pipeline.profile("ada").customer.visits.sessions_begun == 1


def test_what_is_wrong_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match=r"event 2 of 2: invalid_timestamp"):
            pipeline.publish([*visits("ada", "mug"), {"event_type": "view", "user_id": "ada", "timestamp": "now"}])
        assert pipeline.process() == {}


def test_decimals_are_published_as_they_are() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        priced = event("1", "purchase", product="mug", price=Decimal("19.99"), quantity=Decimal(3))
        assert pipeline.publish([priced]) == 1
        assert pipeline.process() == {RecordClass.APPLIED: 1}
        assert pipeline.profile("ada").customer.purchases.spend == 599_700
        with pytest.raises(InvalidEvents, match=r"event 1 cannot be written as JSON: properties\.price is NaN"):
            pipeline.publish([event("2", "purchase", product="mug", price=Decimal("NaN"))])


@pytest.mark.parametrize("more", [{"forwarded": [0, 1]}, {"event_type": "history_merged"}, {"event_type": "song_play"}])
def test_copies_are_for_workers_to_make(more: dict[str, object]) -> None:
    copy = event("1", product="mug") | {"forwarded": [0, 1]} | more
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        with pytest.raises(InvalidEvents, match=r"event 2 of 2: copies .* are for workers to make"):
            pipeline.publish([event("0", product="mug"), copy])
        assert pipeline.process() == {}


def test_ids_may_be_emoji() -> None:
    astronaut = "\U0001f469\U0001f3fd\u200d\U0001f680"
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        pipeline.publish([event("1", user=astronaut, product=astronaut, name=astronaut)])
        pipeline.process()
        profile = pipeline.profile(astronaut)
        assert list(profile.customer.interests.recent) == [astronaut]
        assert f"  lately     {astronaut}" in profile_in_words(profile)
        pipeline.forget(astronaut)
        pipeline.process()
        with pytest.raises(UnknownCustomer):
            pipeline.profile(astronaut)


def test_a_store_swapped_for_another_by_the_container(tmp_path: Path) -> None:
    """The log in SQLite, all stores in memory: nothing else changes."""
    container = Container()
    cells, views = MemoryCellStore(), MemoryViews(2, listed_sessions_max=10, activity_retention_hours=100)
    customers = MemoryCustomerQueries(cells, session_retention_ms=10**9)
    container.cells.override(providers.Object(cells))
    container.customer_queries.override(providers.Object(customers))
    container.views.override(providers.Object(views))
    container.product_queries.override(providers.Object(MemoryProductQueries(views)))
    with Pipeline(Settings(database=str(tmp_path / "shop.db")), container) as pipeline:
        container.outputs.override(providers.Object(MemoryOutputs(container.publisher())))
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("bob")] == ["jug"]
        assert customers.read_customer(CustomerId("ada")) is not None
        assert container.database().rows("SELECT count(*) FROM customers") == [(0,)]


@pytest.mark.parametrize("ask", ["recommend", "similar", "trending", "top_rated", "dead_letters"])
def test_a_list_of_none_is_refused(ask: str) -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        method = getattr(pipeline, ask)
        with pytest.raises(ValueError, match="limit must be at least 1, not -1"):
            method("ada", limit=-1) if ask in {"recommend", "similar"} else method(limit=-1)


@KINDS
def test_a_record_too_large_to_fold_is_forgotten_with_its_customer(kind: Kind, tmp_path: Path) -> None:
    with Pipeline(embedded(kind, tmp_path)) as pipeline:
        large = event("1", user="ada", product="mug", text="x" * 70_000)
        append(pipeline, [large, event("2", user="bob", product="mug")])
        pipeline.process()
        assert [(one.reason.partition(":")[0], one.customer_id) for one in pipeline.dead_letters()] == [
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
        assert [one.reason for one in pipeline.dead_letters()] == ["nested: deeper than 64 levels"] * 3
        pipeline.rebuild()
        assert pipeline.process() == first


@KINDS
def test_processing_in_the_background_while_others_publish_and_read(kind: Kind, tmp_path: Path) -> None:
    with Pipeline(embedded(kind, tmp_path, Settings())) as pipeline:

        def publish(user: str) -> None:
            for number in range(20):
                pipeline.publish(visits(user, "mug", "jug", at_ms=(number + 1) * HOUR_MS))

        with pipeline.processing():
            publishers = [threading.Thread(target=publish, args=(f"user-{number}",)) for number in range(3)]
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join()
            deadline = time.monotonic() + 20
            while sum(pipeline.container.customer_queries().counts().values()) < 120 and time.monotonic() < deadline:
                pipeline.recommend("user-0")
                time.sleep(0.01)
        assert pipeline.container.customer_queries().counts() == {RecordClass.APPLIED: 120}
        assert [pipeline.profile(f"user-{number}").customer.visits.sessions_begun for number in range(3)] == [
            20,
            20,
            20,
        ]


def test_an_error_in_the_background_reaches_who_started_it(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as other:

            def take_over() -> None:
                with pipeline.processing():
                    other.process()
                    time.sleep(0.2)

            with pytest.raises(PipelineError, match="another worker has taken over"):
                take_over()


CALLS: dict[str, Callable[[Pipeline], object]] = {
    "publish": lambda pipeline: pipeline.publish([event()]),
    "explain_empty": lambda pipeline: pipeline.explain_empty("ada"),
    "process": lambda pipeline: pipeline.process(),
    "rebuild": lambda pipeline: pipeline.rebuild(),
    "recommend": lambda pipeline: pipeline.recommend("ada"),
    "recommend_all": lambda pipeline: pipeline.recommend_all([Request("ada")]),
    "similar": lambda pipeline: pipeline.similar("mug"),
    "trending": lambda pipeline: pipeline.trending(),
    "top_rated": lambda pipeline: pipeline.top_rated(),
    "profile": lambda pipeline: pipeline.profile("ada"),
    "record_exposure": lambda pipeline: pipeline.record_exposure("ada", ["mug"]),
    "dead_letters": lambda pipeline: pipeline.dead_letters(),
    "dead_letter": lambda pipeline: pipeline.dead_letter("0-0"),
    "export_dead_letters": lambda pipeline: pipeline.export_dead_letters(),
    "replay_dead_letters": lambda pipeline: pipeline.replay_dead_letters(),
    "resolve_dead_letters": lambda pipeline: pipeline.resolve_dead_letters(reason="not_json"),
    "trace": lambda pipeline: pipeline.trace("1"),
    "forget": lambda pipeline: pipeline.forget("ada"),
    "receipt": lambda pipeline: pipeline.receipt(Forgetting(CustomerId("ada"), 0, 0, 0)),
}


def _fail(settings: Settings, failed: threading.Event) -> None:
    """Make a pipeline on the file stop: another one takes its partitions over."""
    with Pipeline(settings) as other:
        other.process()
    assert failed.wait(30)


def test_a_thread_that_fails_is_noticed_by_every_call_that_follows(tmp_path: Path) -> None:
    settings = Settings(database=str(tmp_path / "shop.db"))
    failed, heard = threading.Event(), list[BaseException]()

    def on_failure(error: BaseException) -> None:
        heard.append(error)
        failed.set()

    with Pipeline(settings) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        assert not pipeline.is_processing

        def work() -> None:
            with pipeline.processing(on_failure):
                was_processing = pipeline.is_processing
                _fail(settings, failed)
                assert (was_processing, pipeline.is_processing) == (True, False)
                for name, call in CALLS.items():
                    with pytest.raises(PipelineError, match=r"processing has stopped, .*taken over.*; see") as raised:
                        call(pipeline)
                    assert raised.value.__cause__ is heard[0], name

        with pytest.raises(PipelineError, match=r"^another worker has taken over") as ended:
            work()
        assert heard == [ended.value]
        assert [one.product.product_id for one in pipeline.trending()] == ["mug"]  # outside of the block
    with Pipeline(settings) as pipeline, pipeline.processing():
        assert pipeline.is_processing


def test_what_is_raised_in_the_block_says_what_the_thread_failed_with(tmp_path: Path) -> None:
    settings, failed = Settings(database=str(tmp_path / "shop.db")), threading.Event()
    with Pipeline(settings) as pipeline:
        pipeline.process()

        def on_failure(error: BaseException) -> None:
            failed.set()
            raise RuntimeError("the pager is broken")

        def work() -> None:
            with pipeline.processing(on_failure):
                _fail(settings, failed)
                pipeline.trending()

        with pytest.raises(PipelineError, match="processing has stopped") as raised:
            work()
        assert raised.value.__cause__ is not None
        assert "the pager is broken" in raised.value.__cause__.__notes__[0]


def test_one_pipeline_processes_once_at_a_time(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pipeline.processing(), pytest.raises(PipelineError, match="processing already"):
            pipeline.process()
        pipeline.publish(visits("ada", "mug"))
        processed: list[object] = []
        other = threading.Thread(target=lambda: processed.append(pipeline.process()))  # another connection
        other.start()
        other.join(10)
        assert processed == [{RecordClass.APPLIED: 1}]


def test_publishing_is_all_or_none_however_much_it_is(tmp_path: Path) -> None:
    many = [event(f"e{number}", user=f"u{number}", at_ms=HOUR_MS) for number in range(5_000)]
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match="event 5001 of 5001"):
            pipeline.publish([*many, {"event_type": "view"}])
        assert pipeline.process() == {}
        pipeline.publish(many)
        assert pipeline.process() == {RecordClass.APPLIED: 5_000}


@pytest.mark.parametrize("name", ["", "\udcff", "a\nb", "x" * 200, b"ada", None, True])
def test_what_can_be_nobodys_id_is_refused(name: Any, tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for ask in (pipeline.recommend, pipeline.profile, pipeline.forget):
            with pytest.raises(PipelineError, match="is no customer's id"):
                ask(name)
        with pytest.raises(PipelineError, match="is no product's id"):
            pipeline.similar(name)


@pytest.mark.parametrize("name", ["user_id", "price", "properties"])
@pytest.mark.parametrize("value", [b"ada", float("nan"), {"price": float("inf")}])
def test_what_json_has_no_words_for_is_refused(name: str, value: object, tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(
            PipelineError, match=rf"event 1 cannot be written as JSON: {name}[.a-z]* is (bytes|nan|inf)"
        ):
            pipeline.publish([event("e1", at_ms=HOUR_MS, product="mug") | {name: value}])
        assert pipeline.process() == {}


@pytest.mark.parametrize("value", ["\udcff", object(), float("nan"), [[[[[[1]]]]]]])
def test_what_makes_no_event_is_refused(value: object, tmp_path: Path) -> None:
    broken = event("e1", at_ms=HOUR_MS, product="mug") | {"timestamp": value}
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(PipelineError, match="event 1"),
    ):
        pipeline.publish([broken])


def test_a_limit_may_be_more_than_there_could_ever_be(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        assert len(pipeline.trending(10**19)) == len(pipeline.recommend("bob", 10**19)) == 1
        assert (pipeline.top_rated(10**19), pipeline.dead_letters(10**19)) == ((), [])


def test_a_limit_must_be_one_or_more(tmp_path: Path) -> None:
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(ValueError, match="at least 1"),
    ):
        pipeline.recommend("ada", limit=0)


def test_a_worker_waits_for_a_file_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    file = tmp_path / "shop.db"
    with Pipeline(Settings(database=str(file))) as pipeline, closing(sqlite3.connect(file)) as other:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        worker = pipeline.container.process_events()
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert "another program has held it" in worker(0).problem
        other.execute("ROLLBACK")
        assert pipeline.process() == {RecordClass.APPLIED: 2}


def test_a_container_is_one_pipelines(tmp_path: Path) -> None:
    container = Container()
    with Pipeline(Settings(database=str(tmp_path / "one.db")), container) as pipeline:
        pipeline.process()
        with pytest.raises(PipelineError, match="this container has settings of another pipeline"):
            Pipeline(Settings(database=str(tmp_path / "two.db")), container)


def test_one_thread_after_the_other_may_process(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:

        def work(number: int) -> None:
            pipeline.publish([event(f"e{number}", product="mug")])
            pipeline.process()

        for number in range(6):  # the system gives the next one the number of the one before
            thread = threading.Thread(target=work, args=(number,), daemon=True)
            thread.start()
            thread.join(30)
            assert not thread.is_alive()
        assert pipeline.process() == {RecordClass.APPLIED: 6}


CLOSED_WHILE_READ = """
import sys, threading, time
from realtime_pipeline import Pipeline, PipelineError, Settings
pipeline = Pipeline(Settings(database=sys.argv[1]))
look = {"event_type": "view", "user_id": "ada", "timestamp": 1_000, "properties": {"product_id": "mug"}}
pipeline.publish([look] * 500)
pipeline.process()
ended = []
def go_on(use):
    try:
        while True:
            use()
    except PipelineError as error:
        ended.append(str(error))
uses = [lambda: pipeline.profile("ada"), lambda: pipeline.trending(), lambda: pipeline.publish([look])] * 2
threads = [threading.Thread(target=go_on, args=(use,)) for use in uses]
for thread in threads:
    thread.start()
time.sleep(0.3)
pipeline.close()
for thread in threads:
    thread.join()
print(len(ended), all("was closed" in line for line in ended))
"""


def test_who_reads_while_it_is_closed_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLOSED_WHILE_READ, str(tmp_path / "shop.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "6 True\n"), ended.stderr


@pytest.mark.parametrize("name", ["cells", "views", "outputs"])
def test_part_of_a_store_in_sqlite_cannot_be_swapped(name: str, tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline, opened(embedded("memory", tmp_path)) as other:
        getattr(pipeline.container, name).override(providers.Object(getattr(other.container, name)()))
        pipeline.publish([event("e1", product="mug")])
        with pytest.raises(InvalidSettings, match=f"the container's {name} cannot be swapped alone"):
            pipeline.process()


@pytest.mark.parametrize("rules", [{"exclude": ["mug"]}, "mug", 5])
def test_rules_that_are_no_rules_are_refused_in_a_line(rules: Any, tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        with pytest.raises(TypeError, match=r"rules must be ListRules\(…\), not a (dict|str|int)"):
            pipeline.recommend("ada", rules=rules)
        with pytest.raises(TypeError, match=r"rules must be ListRules\(…\), not a (dict|str|int)"):
            pipeline.similar("mug", rules=rules)


@pytest.mark.parametrize("limit", ["5", 2.5, None, True])
def test_a_limit_that_is_no_number_is_refused_in_a_line(limit: Any, tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        with pytest.raises(TypeError, match="limit must be a whole number, not"):
            pipeline.recommend("ada", limit)
        with pytest.raises(TypeError, match="limit must be a whole number, not"):
            pipeline.trending(limit)


def test_a_home_that_nobody_has_is_named() -> None:
    with (
        opened(Settings(database="~nobody-of-that-name/shop.db")) as pipeline,
        pytest.raises(Unavailable, match="this machine knows no such user"),
    ):
        pipeline.publish([event("e1")])
