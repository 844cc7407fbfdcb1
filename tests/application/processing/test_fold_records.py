"""FoldRecords: records are decoded, checked for their partition, and folded."""

from collections.abc import Iterable
from pathlib import Path

import attrs

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS
from tests.support.histories import (
    KINDS,
    NOW_MS,
    SMALL,
    Kind,
    SetClock,
    append,
    differences,
    embedded,
    event,
    opened,
)


@KINDS
def test_a_misrouted_record_is_a_dead_letter(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        for partition in (0, 1):
            append(pipeline, [event("e1", product="mug")], partition=partition)
        counts = pipeline.process()
        assert counts == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 1}
        letter = pipeline.container.outputs().dead_letters(10)[0]
        assert letter.reason.startswith("misrouted: its key belongs to partition")
        assert differences(pipeline) == []


def _append_ticks(pipeline: Pipeline, value: bytes, partitions: Iterable[int]) -> None:
    ticks = [Outgoing(KEY_OF_TICKS, value, partition=partition) for partition in partitions]
    pipeline.container.publisher().publish(ticks)


@KINDS
def test_ticks_of_earlier_releases_advance_the_watermark(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path), clock) as pipeline:
        append(pipeline, [event("e1", at_ms=NOW_MS)], partition=None)
        pipeline.process()
        watermarks = pipeline.container.product_queries().watermarks()
        partition = max(watermarks, key=lambda number: watermarks[number].at_ms)
        assert watermarks[partition].at_ms == NOW_MS - SMALL.fold.max_out_of_orderness_ms
        clock.at_ms += 3_000
        _append_ticks(pipeline, b"", [partition])
        assert pipeline.process()[RecordClass.CONTROL] == 1
        assert (
            pipeline.container.product_queries().watermarks()[partition].at_ms
            == NOW_MS - SMALL.fold.max_out_of_orderness_ms + 3_000
        )
        _append_ticks(pipeline, b"253402300799999", [0, 1])
        pipeline.process()
        assert {watermark.at_ms for watermark in pipeline.container.product_queries().watermarks().values()} == {
            253_402_300_799_999
        }


def test_a_producer_with_fewer_event_types_than_the_worker_routes_the_same(tmp_path: Path) -> None:
    plays = [event(f"e{number}", "video_play", user=f"u{number}", product="film") for number in range(20)]
    with_type = attrs.evolve(embedded("sqlite", tmp_path), event_types={"video_play": "view"})
    with opened(embedded("sqlite", tmp_path)) as producer, opened(with_type) as worker:
        append(producer, plays)
        assert worker.process() == {RecordClass.APPLIED: 20}
