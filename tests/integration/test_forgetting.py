"""A customer who is forgotten, on a real broker and a real Redis."""

import time

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.maintenance.follow_forgetting import Progress
from realtime_pipeline.infrastructure.redis.client import RedisClient
from tests.integration.kafka_and_redis import on_kafka
from tests.support.histories import append, differences, event

pytestmark = pytest.mark.xdist_group("kafka")


def content(client: RedisClient, key: str) -> object:
    """Read the value of a key as text; `DUMP` would compress it."""
    reading = {
        b"string": ("GET", key),
        b"hash": ("HGETALL", key),
        b"zset": ("ZRANGE", key, 0, -1),
    }
    (kind,) = client.execute([(key, ("TYPE", key))])
    return client.execute([(key, reading[kind])])[0]


def test_a_forgotten_customer_is_in_no_key_of_redis() -> None:
    with Pipeline(on_kafka()) as pipeline:
        append(pipeline, [event("1", user="ada-lovelace", product="mug"), event("2", user="bob", product="mug")])
        append(pipeline, [event("3", "review", user="ada-lovelace", product="mug", rating=5, text="by ada-lovelace")])
        pipeline.process()
        pipeline.forget("ada-lovelace")
        pipeline.process()
        assert pipeline.container.customer_queries().read_customer("ada-lovelace") is None  # type: ignore[arg-type]
        nodes = pipeline.container.redis_client()
        namespace = pipeline.container.settings().redis.namespace
        for names in nodes.scan(f"{namespace}:*", 1_000):
            for name in names:
                assert b"ada-lovelace" not in name
                if not name.endswith(b":outbox"):  # outbox entries expire by age
                    assert b"ada-lovelace" not in repr(content(nodes, name.decode())).encode()


def test_a_forgetting_is_not_done_before_the_events_before_it() -> None:
    """Also those of a visitor whose sign-in is not processed yet. Transaction markers are no records to wait for."""
    with Pipeline(on_kafka()) as pipeline:
        looks = [event(f"v{number}", user=None, session="s1", product=f"p{number}") for number in range(5)]
        pipeline.publish(
            [*looks, event("in", "login", user="ada", session="s1"), event("a", user="ada", product="mug")]
        )
        forgetting = pipeline.forget("ada")
        waiting = pipeline.receipt(forgetting)
        assert (waiting.progress, waiting.records_before) == (Progress.QUEUED, forgetting.position)
        assert forgetting.position >= 1
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert list(pipeline.container.customer_queries().scan()) == []
        again = pipeline.forget("ada")
        assert not pipeline.receipt(again).is_done
        with pipeline.processing():
            deadline_s = time.monotonic() + 30
            while not pipeline.receipt(again).is_done:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)


def test_dead_letters_in_kafka_outlive_their_customer() -> None:
    with Pipeline(on_kafka()) as pipeline:
        append(pipeline, [event("1", user="ada", product="mug"), event("2", "review", user="ada", product="mug")])
        pipeline.process()
        pipeline.forget("ada")
        pipeline.process()
        assert [letter.customer_id for letter in pipeline.dead_letters()] == ["ada"]
        assert differences(pipeline) == []
