"""The pipeline on a real broker and a real Redis, as a shop runs it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import attrs
import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from harness.commands.main import main as harness
from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import NewerRelease, Unavailable, UnrecoverableState, WrongLog
from realtime_pipeline.application.maintenance.follow_forgetting import Progress
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.dead_letters import LetterState
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs import messages
from realtime_pipeline.infrastructure.codecs.formats import Format
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics, described
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.interfaces.cli.main import main
from tests.integration.kafka_and_redis import on_kafka, written
from tests.support import servers
from tests.support.histories import append, differences, event, state

pytestmark = pytest.mark.xdist_group("kafka")

START_MS = 1_700_000_000_000
HISTORY = [msgspec.json.encode(one) for one in Shop(5, 200, 30, START_MS, dirt=0.1).events(150)]


@pytest.mark.parametrize(
    ("kind", "partitioner"), [("single", "consistent"), ("single", "murmur2"), ("cluster", "consistent")]
)
def test_the_store_is_what_the_oracle_makes_of_the_topic(
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


def test_memory_and_redis_hold_the_same_after_the_same_topic() -> None:
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
    with Pipeline(settings) as publisher, Pipeline(settings) as one, Pipeline(settings) as other:
        with one.processing(), other.processing():
            for begin in range(0, len(HISTORY), 100):
                append(publisher, HISTORY[begin : begin + 100])
                time.sleep(0.05)
            deadline_s = time.monotonic() + 60
            while sum(publisher.container.customer_queries().counts().values()) < len(HISTORY):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        one.close()
        other.close()
        append(publisher, HISTORY)
        assert sum(publisher.process().values()) == 2 * len(HISTORY)
        assert differences(publisher) == []


def test_a_recommendation_follows_an_event_at_once() -> None:
    with Pipeline(on_kafka()) as pipeline, pipeline.processing():
        looks = [event(f"{user}-{name}", user=user, product=name) for user in "abc" for name in ("mug", "jug")]
        pipeline.publish([*looks, event("d-mug", user="d", product="mug")])
        deadline_s = time.monotonic() + 30
        while "jug" not in [one.product.product_id for one in pipeline.recommend("d")]:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def test_a_visitor_signs_in_while_workers_work() -> None:
    settings = on_kafka()
    with Pipeline(settings) as other, Pipeline(settings) as worker, worker.processing():
        looks = [event(f"v{number}", user=None, session="s1", product=f"p{number}") for number in range(5)]
        other.publish([*looks, event("l", "login", user="ada", session="s1")])
        deadline_s = time.monotonic() + 30
        while not (ada := other.container.customer_queries().read_customer(CustomerId("ada"))) or len(ada.recent) < 5:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        other.publish([event("v5", user=None, session="s1", product="p5")])
        while len((other.container.customer_queries().read_customer(CustomerId("ada")) or ada).recent) < 6:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    with Pipeline(settings) as pipeline:
        assert pipeline.process()[RecordClass.FORWARDED] == 1
        assert differences(pipeline) == []


def content(client: RedisClient, key: str) -> object:
    """All that a key holds; not as DUMP has it, which packs it."""
    reading = {
        b"string": ("GET", key),
        b"hash": ("HGETALL", key),
        b"zset": ("ZRANGE", key, 0, -1),
    }
    (kind,) = client.execute([(key, ("TYPE", key))])
    return client.execute([(key, reading[kind])])[0]


def test_who_is_forgotten_is_in_no_key_of_redis() -> None:
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
                if not name.endswith(b":outbox"):  # entries for readers go by age
                    assert b"ada-lovelace" not in repr(content(nodes, name.decode())).encode()


def test_a_forgetting_is_not_done_before_the_events_that_lie_before_it() -> None:
    """Those of a visitor, too, of whom the owner has yet to learn; marks of transactions are no records to wait for."""
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


def test_dead_letters_in_kafka_outlive_who_they_are_of() -> None:
    with Pipeline(on_kafka()) as pipeline:
        append(pipeline, [event("1", user="ada", product="mug"), event("2", "review", user="ada", product="mug")])
        pipeline.process()
        pipeline.forget("ada")
        pipeline.process()
        assert [letter.customer_id for letter in pipeline.dead_letters()] == ["ada"]
        assert differences(pipeline) == []


def test_a_store_is_built_again_when_no_worker_runs_and_nothing_is_put_out_twice() -> None:
    settings = on_kafka()
    with Pipeline(settings) as other:
        append(other, HISTORY)
        with Pipeline(settings) as worker, worker.processing():
            wait_for_records(other, len(HISTORY))
            with pytest.raises(UnrecoverableState, match="1 worker is running: end them"):
                other.rebuild()
        letters = other.container.customer_queries().counts()[RecordClass.DEAD_LETTER]
        assert other.rebuild() == len(HISTORY)
        assert other.container.customer_queries().counts() == {}
        assert sum(other.process().values()) == len(HISTORY)
        assert len(other.dead_letters(1_000)) == letters
        assert differences(other) == []


def test_a_record_as_large_as_the_log_takes_becomes_a_dead_letter() -> None:
    with Pipeline(on_kafka()) as pipeline:
        append(pipeline, [b"x" * 999_000, *HISTORY[:20]])
        pipeline.process()
        assert max(len(letter.record.value) for letter in pipeline.dead_letters(10)) == 999_000
        assert differences(pipeline) == []


def test_a_topic_made_anew_under_a_worker_stops_it() -> None:
    settings = on_kafka(partitions=1)
    with Pipeline(settings) as worker, Pipeline(settings) as other:
        append(other, HISTORY[:50])
        worker.process()
        topics = other.container.topics()
        topics.delete([settings.kafka.topic])
        while settings.kafka.topic not in topics.create(TopicSettings(partitions=1)):
            time.sleep(0.1)
        other.container.publisher.reset()
        append(other, HISTORY)
        with pytest.raises(WrongLog, match="was made again, or given more partitions, under the worker"):
            nothing_is_folded(worker, 60)
        assert sum(other.container.customer_queries().counts().values()) == 50


def nothing_is_folded(pipeline: Pipeline, seconds: float) -> None:
    before = pipeline.container.customer_queries().counts()
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        pipeline.container.process_events()(0.2)
        assert pipeline.container.customer_queries().counts() == before


def test_a_log_that_was_shortened_is_not_rebuilt_from() -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:100])
        counts = pipeline.process()
        pipeline.container.topics().truncate(settings.kafka.topic, {0: 1})
        with pytest.raises(
            UnrecoverableState, match=r"no longer holds what came before position 1 of partition 0; a store"
        ):
            pipeline.rebuild()
        assert pipeline.container.customer_queries().counts() == counts


def wait_for_records(pipeline: Pipeline, records: int) -> None:
    deadline_s = time.monotonic() + 60
    while sum(pipeline.container.customer_queries().counts().values()) < records:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_topic_that_was_made_anew_is_another_log() -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:50])
        pipeline.process()
    other = attrs.evolve(settings, kafka=servers.kafka_settings(4))
    with Pipeline(other) as pipeline, pytest.raises(WrongLog, match=r"was built from log .*use another namespace"):
        pipeline.process()


def test_a_topic_that_was_given_more_partitions_is_stopped_at_with_the_whole_way_out(tmp_path: Path) -> None:
    """The way out is followed to the letter; also customers count who have done more since than they can remember."""
    settings = on_kafka(partitions=2)
    remembered = settings.fold.profile.dedup_events
    bought = [
        event(f"b{number}-{turn}", "purchase", user=f"u{number}", at_ms=START_MS + turn, product="mug", price=2)
        for turn in range(remembered + 12)
        for number in range(10)
    ]
    with Pipeline(settings) as pipeline:
        append(pipeline, [*bought[:100], b"garbage"])
        assert pipeline.process() == {RecordClass.APPLIED: 100, RecordClass.DEAD_LETTER: 1}
    admin = AdminClient({"bootstrap.servers": settings.kafka.brokers})
    (grown,) = admin.create_partitions([NewPartitions(settings.kafka.topic, 4)]).values()
    grown.result(30)
    _wait_for_partitions(settings, 4)
    with Pipeline(settings) as pipeline:
        pipeline.publish(bought[100:])
        with pytest.raises(WrongLog, match=r"had 2 partitions and has 4: .*\(misrouted\)") as stopped:
            pipeline.process()
    kafka = attrs.evolve(settings.kafka, group=servers.unique("group"))
    settings = attrs.evolve(settings, kafka=kafka, redis=servers.redis_settings())
    with Pipeline(settings) as pipeline:
        counts = pipeline.process()
        letters = counts[RecordClass.DEAD_LETTER] - 1
        assert 0 < letters < 100
        _, _, way_out = str(stopped.value).rpartition(": ")
        command = way_out.replace("realtime-pipeline", f"{sys.executable} -m realtime_pipeline.interfaces.cli.main")
        environment = os.environ | {"REALTIME_PIPELINE_SETTINGS": str(written(tmp_path, settings))}
        said = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        assert said.startswith(f"{counted(letters, 'dead letter')} published again")
        assert pipeline.process() == {RecordClass.APPLIED: len(bought), RecordClass.DEAD_LETTER: letters + 1}
        spent = [pipeline.profile(f"u{number}").customer.spend for number in range(10)]
        assert spent == [20_000 * (remembered + 12)] * 10


def _wait_for_partitions(settings: Settings, partitions: int) -> None:
    deadline_s = time.monotonic() + 30
    while described(settings.kafka, settings.kafka.topic).partitions != partitions:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_broker_that_is_not_there_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('log = "kafka"\nstore = "redis"\n[kafka]\nbrokers = "127.0.0.1:1"\nrequest_timeout_ms = 300\n')
    assert main(["worker", "--settings", str(file)]) == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in capsys.readouterr().err


def test_publishing_while_the_broker_does_not_answer_says_so_and_is_bounded() -> None:
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


def test_a_replay_over_kafka_into_redis_is_what_the_oracle_says(tmp_path: Path) -> None:
    settings = on_kafka()
    data = tmp_path / "events.jsonl"
    data.write_bytes(b"\n".join(HISTORY))
    arguments = ["replay", "--format", "events", "--data", str(data), "--check", "--log", "kafka", "--store", "redis"]
    assert harness([*arguments, "--settings", str(written(tmp_path, settings))]) == 0
    with Pipeline(settings) as pipeline:
        left = [name for name in pipeline.container.topics().list() if name.startswith(settings.kafka.topic + "-")]
        assert left == []


def test_a_worker_that_is_asked_to_end_leaves_nothing_to_emit(tmp_path: Path) -> None:
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


def test_dead_letters_and_traces_of_real_servers() -> None:
    """Every step twice: what is mended counts once, and a trace says what became of each copy."""
    settings = on_kafka(partitions=2)
    bad, good = (event("1", "purchase", product="mug", price=price) for price in (-1, 12.5))
    for _ in range(2):
        with Pipeline(settings) as pipeline:
            append(pipeline, [bad, b"garbage", event("2", product="mug")])
            pipeline.process()
    with Pipeline(settings) as pipeline:
        letters = pipeline.dead_letters(reason="invalid_price")
        assert [letter.customer_id for letter in letters] == ["ada", "ada"]
        repairs = {letter.id: good for letter in letters}
        assert pipeline.replay_dead_letters(repairs=repairs).published == 2
    with Pipeline(settings) as pipeline:
        assert pipeline.replay_dead_letters(repairs=repairs).published == 0
        assert pipeline.resolve_dead_letters(reason="not_json", note="a cut line") == 2
        assert pipeline.resolve_dead_letters(reason="not_json") == 0
        assert (pipeline.dead_letters(), len(pipeline.dead_letters(state=None))) == ([], 4)
        assert list(pipeline.export_dead_letters()) == []
        pipeline.process()
        assert differences(pipeline) == []
        assert (pipeline.profile("ada").customer.units, pipeline.profile("ada").customer.spend) == (1, 125_000)
        assert [(copy.record_class, copy.letter) for copy in pipeline.trace("1").copies] == [
            (RecordClass.DEAD_LETTER, LetterState.REPLAYED),
            (RecordClass.DEAD_LETTER, LetterState.REPLAYED),
            (RecordClass.APPLIED, None),
            (RecordClass.DUPLICATE, None),
        ]
        first, second = pipeline.trace("2", "ada").copies
        assert (first.record_class, second.record_class) == (RecordClass.APPLIED, RecordClass.DUPLICATE)
        KafkaTopics(settings.kafka).truncate(settings.kafka.topic, {first.partition: first.position + 1})
        trace = pipeline.trace("2")
        (left,) = trace.copies
        assert (trace.shortened, left.position) == ((first.partition,), second.position)
        assert left.doubt.startswith(f"the log begins at position {first.position + 1} of partition")


KILLED_REPLAY = """
import sys
from signal import SIGKILL
from dependency_injector import providers
from harness.commands.fault import SignalAt
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.observer import Stage

with Pipeline(load_settings(sys.argv[1])) as pipeline:
    pipeline.container.observer.override(providers.Object(SignalAt(Stage.APPENDED, 1, SIGKILL, None)))
    pipeline.replay_dead_letters(repairs={"0-0": {"event_type": "view", "timestamp": 1, "product_id": "mug"}})
"""


def test_a_replay_that_is_killed_before_it_commits_is_run_again(tmp_path: Path) -> None:
    """The event is of nobody, so that no memory tells repeats; it lies in a transaction that was left open."""
    settings = on_kafka(partitions=1)
    with Pipeline(settings) as pipeline:
        append(pipeline, [b"garbage"])
        pipeline.process()
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_REPLAY, str(written(tmp_path, settings))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with Pipeline(settings) as pipeline:
        mended = {"0-0": event(None, user=None, product="mug")}
        assert [pipeline.replay_dead_letters(repairs=mended).published for _ in range(2)] == [1, 0]
        assert pipeline.process() == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 1}
        assert differences(pipeline) == []


def test_a_message_that_only_a_newer_worker_reads_waits_in_the_topic_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stops; neither its store nor the group's offset passes the message, and nothing is a dead letter."""
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
