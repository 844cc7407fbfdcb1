"""The pipeline on a real broker and a real Redis, as a shop runs it."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import attrs
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs import messages
from realtime_pipeline.infrastructure.codecs.formats import Format
from tests.integration.kafka_and_redis import HISTORY, START_MS, on_kafka, written
from tests.support import servers
from tests.support.histories import append, differences, event, state

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.mark.parametrize(
    ("kind", "partitioner"), [("single", "consistent"), ("single", "murmur2"), ("cluster", "consistent")]
)
def test_the_store_equals_the_oracles_result_of_the_topic(
    kind: str, partitioner: Literal["consistent", "murmur2"]
) -> None:
    with Pipeline(on_kafka(kind, partitioner=partitioner)) as pipeline:
        append(pipeline, HISTORY[:400])
        pipeline.process()
        append(pipeline, HISTORY[400:])
        counts = pipeline.process()
        assert sum(counts.values()) == len(HISTORY)
        assert counts[RecordClass.DEAD_LETTER] > 0
        assert differences(pipeline) == []


def test_memory_and_redis_hold_the_same_state_after_the_same_topic() -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        pipeline.process()
        in_redis = state(pipeline)
    kafka = attrs.evolve(settings.kafka, group=servers.unique("group"))
    letters = in_redis.pop("dead_letters")
    with Pipeline(attrs.evolve(settings, store="memory", kafka=kafka)) as pipeline:
        pipeline.process()
        in_memory = state(pipeline)
        assert len(in_memory.pop("dead_letters")) == 2 * len(letters)  # each group emits its own into the topic
        assert in_memory == in_redis


def test_two_workers_share_the_partitions_and_a_third_takes_over() -> None:
    settings = on_kafka(partitions=6)
    with Pipeline(settings) as publisher, Pipeline(settings) as first, Pipeline(settings) as second:
        with first.processing(), second.processing():
            for begin in range(0, len(HISTORY), 100):
                append(publisher, HISTORY[begin : begin + 100])
                time.sleep(0.05)
            deadline_s = time.monotonic() + 60
            while sum(publisher.container.customer_queries().counts().values()) < len(HISTORY):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        first.close()
        second.close()
        append(publisher, HISTORY)
        assert sum(publisher.process().values()) == 2 * len(HISTORY)
        assert differences(publisher) == []


def test_a_recommendation_follows_an_event_at_once() -> None:
    with Pipeline(on_kafka()) as pipeline, pipeline.processing():
        looks = [event(f"{user}-{name}", user=user, product=name) for user in "abc" for name in ("mug", "jug")]
        pipeline.publish([*looks, event("d-mug", user="d", product="mug")])
        deadline_s = time.monotonic() + 30
        while "jug" not in [item.product.product_id for item in pipeline.recommend("d")]:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def test_a_visitor_signs_in_while_a_worker_runs() -> None:
    settings = on_kafka()
    with Pipeline(settings) as other, Pipeline(settings) as worker, worker.processing():
        looks = [event(f"v{number}", user=None, session="s1", product=f"p{number}") for number in range(5)]
        other.publish([*looks, event("l", "login", user="ada", session="s1")])
        deadline_s = time.monotonic() + 30
        while (
            not (ada := other.container.customer_queries().read_customer(CustomerId("ada")))
            or len(ada.interests.recent) < 5
        ):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        other.publish([event("v5", user=None, session="s1", product="p5")])
        while len((other.container.customer_queries().read_customer(CustomerId("ada")) or ada).interests.recent) < 6:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    with Pipeline(settings) as pipeline:
        assert pipeline.process()[RecordClass.FORWARDED] == 1
        assert differences(pipeline) == []


def test_a_record_as_large_as_the_log_takes_becomes_a_dead_letter() -> None:
    with Pipeline(on_kafka()) as pipeline:
        append(pipeline, [b"x" * 999_000, *HISTORY[:20]])
        pipeline.process()
        assert max(len(letter.record.value) for letter in pipeline.dead_letters(10)) == 999_000
        assert differences(pipeline) == []


def test_a_worker_that_is_terminated_leaves_nothing_pending(tmp_path: Path) -> None:
    settings = on_kafka()
    file = written(tmp_path, settings)
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "worker", "--settings", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            stopper = threading.Timer(60, worker.kill)
            stopper.start()
            try:
                while sum(pipeline.container.customer_queries().counts().values()) < len(HISTORY):
                    assert worker.poll() is None
                    time.sleep(0.05)
                worker.terminate()
                printed, _ = worker.communicate()
            finally:
                stopper.cancel()
                worker.kill()
        assert worker.returncode == 0
        assert f"has now\n{len(HISTORY)} records: " in printed
        ends = {number: end for number, (_, end) in pipeline.container.log().bounds(range(4)).items()}
        assert pipeline.container.outputs().positions(range(4)) == ends
        assert differences(pipeline) == []


def test_a_message_of_a_newer_release_waits_in_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stops; neither its store nor the group's offset passes the message, and it is no dead letter."""
    settings = on_kafka(partitions=1)
    split = {"event_type": "profile_split", "event_id": "m", "user_id": "ada", "message_format": [2, 2]}
    append_to = [event("a", product="mug", at_ms=START_MS), split, event("b", product="mug", at_ms=START_MS)]
    with Pipeline(settings) as pipeline:
        append(pipeline, append_to[:1])
        pipeline.process()
        append(pipeline, append_to[1:])
        with pytest.raises(NewerRelease, match=r"partition 0, position 1: .*upgrade this program"):
            pipeline.process()
        assert pipeline.container.cells().positions([0]) == {0: 1}
        assert pipeline.dead_letters(state=None) == []
    monkeypatch.setattr(messages, "MESSAGE", Format("a message between customers", 2, 2))
    with Pipeline(settings) as upgraded:  # its release gives the type no meaning in this test
        assert upgraded.process() == {RecordClass.APPLIED: 2, RecordClass.IGNORED: 1}
