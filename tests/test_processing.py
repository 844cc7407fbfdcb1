"""Processing: in the caller's thread, in a thread of its own, and what its failure does."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, PipelineError, Request, Settings
from realtime_pipeline.application.maintenance.forget_customer import Forgetting
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite import database
from tests.support.histories import HOUR_MS, KINDS, Kind, embedded, event, visits


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
        for number in range(3):
            assert pipeline.profile(f"user-{number}").customer.visits.sessions_begun == 20


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
        assert [entry.product.product_id for entry in pipeline.trending()] == ["mug"]  # outside of the block
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


def test_a_worker_waits_for_a_file_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
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
