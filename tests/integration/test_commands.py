"""The commands on a real broker and a real Redis, and on a broker that does not answer."""

import json
import time
from pathlib import Path

import attrs
import msgspec
import pytest

from harness.commands.main import main as harness
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.interfaces.cli.main import main
from tests.integration.kafka_and_redis import HISTORY, on_kafka, written
from tests.support.histories import append, event

pytestmark = pytest.mark.xdist_group("kafka")


def test_a_broker_that_does_not_answer_is_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('log = "kafka"\nstore = "redis"\n[kafka]\nbrokers = "127.0.0.1:1"\nrequest_timeout_ms = 300\n')
    assert main(["worker", "--settings", str(file)]) == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in capsys.readouterr().err


def test_publishing_to_a_broker_that_does_not_answer_ends_in_time() -> None:
    settings = on_kafka()
    gone = attrs.evolve(settings.kafka, delivery_timeout_ms=1_000)
    with Pipeline(attrs.evolve(settings, kafka=gone)) as pipeline:
        publisher = pipeline.container.publisher()
        pipeline.container.topics().delete([gone.topic])
        with pytest.raises(Unavailable, match="publish them again"):
            publish_for(pipeline, 60)
        assert publisher.partitions == 4


def publish_for(pipeline: Pipeline, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        append(pipeline, HISTORY[:10])
        time.sleep(0.1)


def test_the_commands_work_on_kafka_and_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = on_kafka()
    file = str(written(tmp_path, settings))
    events = tmp_path / "events.jsonl"
    looks = [event(f"{user}-{name}", user=user, product=name) for user in ("ada", "bob") for name in ("mug", "jug")]
    events.write_bytes(b"\n".join(map(msgspec.json.encode, [*looks, event("z", user="zoe", product="mug")])) + b"\nno")

    def ran(*arguments: str) -> str:
        assert main([*arguments, "--settings", file]) == 0
        return capsys.readouterr().out

    assert ran("recommend", "zoe").startswith("nothing to recommend yet: the log has no events")
    assert "6 events were published" in ran("publish", str(events))
    assert ran("recommend", "zoe").startswith("nothing to recommend yet: 6 records wait to be processed")
    assert "5 applied" in ran("worker", "--until-caught-up")
    assert "jug" in ran("recommend", "zoe")
    assert "1 view" in ran("profile", "zoe")
    assert "not_json" in ran("dead-letters", "list")
    assert json.loads(ran("dead-letters", "list", "--json"))["dead_letters"][0]["value"] == "no"
    assert json.loads(ran("trending", "--country", "FR", "--json"))["notes"] == [
        "nothing to recommend yet: nothing is trending in FR, but elsewhere; leave out the country"
    ]
    assert settings.kafka.topic in json.loads(ran("topics", "list", "--json"))["topics"]
    (described,) = json.loads(ran("topics", "describe", settings.kafka.topic, "--json"))["topics"]
    assert (described["name"], described["partitions"]) == (settings.kafka.topic, 4)
    assert settings.kafka.topic in ran("topics", "list")
    assert "4 partitions" in ran("topics", "describe", settings.kafka.topic)
    assert "message.timestamp.type = LogAppendTime" in ran("topics", "describe", settings.kafka.topic)
    assert f"{settings.kafka.topic} exists already, with 4 partitions" in ran("topics", "create", "--partitions", "8")
    assert "zoe is to be forgotten" in ran("forget", "zoe")
    ran("worker", "--until-caught-up")
    assert main(["profile", "zoe", "--settings", file]) == 1
    ran("topics", "delete", settings.kafka.topic, "--yes")
    assert main(["topics", "create", "--partitions", "0", "--settings", file]) == 1
    assert "partitions must be at least 1" in capsys.readouterr().err


def test_a_replay_over_kafka_into_redis_equals_the_oracle(tmp_path: Path) -> None:
    settings = on_kafka()
    data = tmp_path / "events.jsonl"
    data.write_bytes(b"\n".join(HISTORY))
    arguments = ["replay", "--format", "events", "--data", str(data), "--check", "--log", "kafka", "--store", "redis"]
    assert harness([*arguments, "--settings", str(written(tmp_path, settings))]) == 0
    with Pipeline(settings) as pipeline:
        left = [name for name in pipeline.container.topics().list() if name.startswith(settings.kafka.topic + "-")]
        assert left == []
