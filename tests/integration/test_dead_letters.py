"""Dead letters and traces in a real topic; replays that are killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.domain.streams.dead_letters import LetterState
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.integration.kafka_and_redis import on_kafka, written
from tests.support.histories import append, differences, event

pytestmark = pytest.mark.xdist_group("kafka")


def test_dead_letters_and_traces_of_real_servers() -> None:
    """Every step twice: a repaired event counts once, and a trace shows the class of each copy."""
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
        assert (pipeline.profile("ada").customer.purchases.units, pipeline.profile("ada").customer.purchases.spend) == (
            1,
            125_000,
        )
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


def test_a_replay_that_is_killed_before_its_commit_can_be_repeated(tmp_path: Path) -> None:
    """The event has no customer, so no deduplication finds a repeat; its transaction was left open."""
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
