"""A process forks after it made a pipeline, as a server does that preloads the program before it forks its workers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.serving.request import Request
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.integration.kafka_and_redis import on_kafka, written
from tests.support.forks import in_a_child
from tests.support.histories import event

KINDS = pytest.mark.parametrize("kind", ["sqlite", pytest.param("kafka", marks=pytest.mark.xdist_group("kafka"))])
FORKED = "Unavailable: this pipeline was opened before the process was forked"
LOOKS = [event(f"{user}-{name}", user=user, product=name) for user in "ab" for name in ("mug", "jug")]

CALLS: dict[str, Callable[[Pipeline], object]] = {
    "publish": lambda shop: shop.publish([event("x", user="x", product="mug")]),
    "process": lambda shop: shop.process(),
    "processing": lambda shop: shop.processing().__enter__(),
    "recommend": lambda shop: shop.recommend("a"),
    "recommend_all": lambda shop: shop.recommend_all([Request("a")]),
    "similar": lambda shop: shop.similar("mug"),
    "trending": lambda shop: shop.trending(),
    "top_rated": lambda shop: shop.top_rated(),
    "profile": lambda shop: shop.profile("a"),
    "dead_letters": lambda shop: shop.dead_letters(),
    "record_exposure": lambda shop: shop.record_exposure("a", ["mug"]),
    "forget": lambda shop: shop.forget("a"),
    "rebuild": lambda shop: shop.rebuild(),
    "restore_outputs": lambda shop: shop.restore_outputs("again"),
}


def settings_of(kind: str, folder: Path) -> Settings:
    return on_kafka(partitions=1) if kind == "kafka" else Settings(database=str(folder / "shop.db"))


@KINDS
def test_in_a_child_every_call_of_a_pipeline_used_before_the_fork_fails_at_once(kind: str, tmp_path: Path) -> None:
    with Pipeline(settings_of(kind, tmp_path)) as shop:
        shop.publish(LOOKS)
        shop.process()
        shop.recommend("a")
        with shop.processing():  # the child has no such thread, and locks that it held stay locked
            results = {name: in_a_child(lambda call=call: call(shop)) for name, call in CALLS.items()}  # type: ignore[misc]
            assert {name: text[: len(FORKED)] for name, text in results.items()} == dict.fromkeys(CALLS, FORKED)
            assert in_a_child(shop.close) == "None"
        shop.publish([event("c", user="c", product="mug")])
        assert shop.process() == {RecordClass.APPLIED: 5}
        assert [item.product.product_id for item in shop.recommend("c")] == ["jug"]


@KINDS
def test_in_a_child_a_pipeline_not_used_before_the_fork_opens_its_own_connections(kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, tmp_path)
    unused = Pipeline(settings)
    with Pipeline(settings) as shop:
        shop.publish(LOOKS)
        assert in_a_child(lambda: unused.publish([event("c", user="c", product="mug")])) == "1"
        assert shop.process() == {RecordClass.APPLIED: 5}
        assert in_a_child(lambda: [item.product.product_id for item in unused.recommend("c")]) == "['jug']"


@KINDS
def test_children_work_with_pipelines_of_their_own(kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, tmp_path)

    def serve() -> object:
        with Pipeline(settings) as mine:
            mine.publish([event("c", user="c", product="mug")])
            return dict(mine.process())

    with Pipeline(settings) as shop:
        shop.publish(LOOKS)
        assert in_a_child(serve) == "{<RecordClass.APPLIED: 'applied'>: 5}"
        assert [item.product.product_id for item in shop.recommend("c")] == ["jug"]


SERVER = """
import os, sys
from pathlib import Path
from realtime_pipeline import Pipeline, load_settings

def look(user):
    return {"event_type": "view", "user_id": user, "timestamp": 1_000, "properties": {"product_id": "mug"}}

with Pipeline(load_settings(Path(sys.argv[1]))) as shop:
    shop.publish([look("ada")])
    shop.process()
    child = os.fork()
    if child:
        assert (ended := os.waitpid(child, 0)[1]) == 0, ended
        shop.publish([look("bob")])
        print(sum(shop.process().values()))
"""


@KINDS
def test_a_child_that_exits_leaves_the_parents_connections_open(kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, tmp_path)
    file = tmp_path / "settings.toml"
    if kind == "kafka":
        file = written(tmp_path, settings)
    else:
        file.write_text(f'database = "{settings.database}"\n')
    command = [sys.executable, "-c", SERVER, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
    with Pipeline(settings) as shop:
        assert sum(shop.process().values()) == 2


@pytest.mark.xdist_group("kafka")
def test_no_client_of_kafka_is_used_in_a_child() -> None:
    """Neither by a caller who uses the parts of the pipeline directly."""
    settings = on_kafka(partitions=1)
    with Pipeline(settings) as shop:
        shop.publish(LOOKS)
        shop.process()
        container = shop.container
        calls: dict[str, Callable[[], object]] = {
            "the worker": lambda: container.process_events()(0),
            "the log": lambda: container.log().bounds([0]),
            "the group's offsets": lambda: container.outputs().positions([0]),
            "outputs": lambda: container.outputs().emit([]),
            "topics": lambda: container.topics().list(),
        }
        container.topics().list()
        results = {name: in_a_child(call)[: len(FORKED)] for name, call in calls.items()}
        assert results == dict.fromkeys(calls, FORKED)
