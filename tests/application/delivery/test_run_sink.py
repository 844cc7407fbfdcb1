"""A sink has what a plain read of the log gives, each event once, whatever is killed; and what stops a delivery."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Pipeline, Settings, UnrecoverableState, WrongLog
from realtime_pipeline.application.delivery.run_sink import RunSink
from realtime_pipeline.application.errors import PositionMismatch
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.sink import Delivery, Sink
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.documents import find_document
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS
from realtime_pipeline.infrastructure.files.sink import FileSink
from realtime_pipeline.infrastructure.memory.sink import MemorySink
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.laws.strategies import histories
from tests.support import servers
from tests.support.histories import SMALL, append, embedded, event, in_pieces, opened
from tests.support.visitors import login, looks
from tests.support.workers import Crash, let_time_pass

Kept = Literal["memory", "sqlite"]


class Killed(Sink):
    """Passes calls on to a sink; dies when `write` is called the n-th time, before or after the sink has written."""

    def __init__(self, sink: Sink, deaths: Sequence[tuple[int, bool]]) -> None:
        self.sink = sink
        self._deaths = list(deaths)
        self._left = self._deaths[0][0] if self._deaths else 0

    def bind(self, log_id: str) -> None:
        self.sink.bind(log_id)

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        return self.sink.positions(partitions)

    def write(self, delivery: Delivery) -> None:
        self._left -= 1
        is_due = bool(self._deaths) and self._left <= 0
        if is_due:
            _, has_written = self._deaths.pop(0)
            self._left = self._deaths[0][0] if self._deaths else 0
            if has_written:
                self.sink.write(delivery)
            raise Crash
        self.sink.write(delivery)


def run_sink(pipeline: Pipeline, records_max: int = 5_000, bytes_max: int = 8 << 20) -> RunSink:
    container = pipeline.container
    return RunSink(container.log(), container.log_reader(), container.decoder(), find_document, records_max, bytes_max)


def delivered_to_the_end(run: RunSink, sink: Killed) -> int:
    """Deliver, started again after each death; return how often it died."""
    deaths = 0
    while True:
        try:
            run.catch_up(sink)
        except Crash:
            deaths += 1
        else:
            return deaths


@contextmanager
def pipeline_on(kind: Kept) -> Iterator[Pipeline]:
    with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder))) as pipeline:
        yield pipeline


def documents(pipeline: Pipeline, history: Sequence[bytes]) -> list[bytes]:
    """The events in what was published, as a plain read gives them; in any order."""
    decode = pipeline.container.decoder()
    events = [value for value in history if isinstance(decode(Record(0, 0, None, value, 0)), Event)]
    return sorted(msgspec.json.format(value, indent=-1) for value in events)


def in_memory(sink: MemorySink) -> list[bytes]:
    return sorted(row.document for rows in sink.rows.values() for row in rows)


def ends(pipeline: Pipeline) -> dict[int, int]:
    return {number: end for number, (_, end) in pipeline.container.log().bounds(range(SMALL.partitions)).items()}


DEATHS = st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=4)
CUTS = st.lists(st.integers(0, 60), max_size=3)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(
    history=histories(),
    cuts=CUTS,
    deaths=DEATHS,
    records_max=st.integers(1, 9),
    bytes_max=st.sampled_from([1, 300, 10_000]),
    has_worker=st.booleans(),
)
def test_every_published_event_is_delivered_once_whatever_is_killed(
    kind: Kept,
    history: list[bytes],
    cuts: list[int],
    deaths: list[tuple[int, bool]],
    records_max: int,
    bytes_max: int,
    has_worker: bool,
) -> None:
    """A worker adds ticks and messages of its own to the log, of which none is delivered."""
    with pipeline_on(kind) as pipeline:
        memory = MemorySink()
        sink = Killed(memory, deaths)
        for piece in in_pieces(history, cuts):
            append(pipeline, piece)
            if has_worker:
                pipeline.process()
            delivered_to_the_end(run_sink(pipeline, records_max, bytes_max), sink)
            assert dict(memory.positions(range(SMALL.partitions))) == ends(pipeline)
        assert in_memory(memory) == documents(pipeline, history)
        for rows in memory.rows.values():
            positions = [row.position for row in rows]
            assert positions == sorted(set(positions))


@given(history=histories(largest=15), cuts=CUTS, deaths=DEATHS, records_max=st.integers(1, 9))
def test_a_folder_of_files_has_every_event_once_whatever_is_killed(
    history: list[bytes], cuts: list[int], deaths: list[tuple[int, bool]], records_max: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pipeline_on("memory") as pipeline:
        folder = Path(name) / "events"
        for number, piece in enumerate(in_pieces(history, cuts)):
            append(pipeline, piece)
            sink = Killed(FileSink(folder), deaths[number : number + 1])
            delivered_to_the_end(run_sink(pipeline, records_max), sink)
        assert in_files(folder) == documents(pipeline, history)


class _Line(msgspec.Struct):
    event: msgspec.Raw


def in_files(folder: Path) -> list[bytes]:
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    return sorted(bytes(msgspec.json.decode(line, type=_Line).event) for line in lines)


@given(
    history=histories(),
    cuts=CUTS,
    records_max=st.integers(1, 9),
    others=st.lists(st.integers(1, 9), max_size=3),
)
def test_following_delivers_the_same_also_beside_others(
    history: list[bytes], cuts: list[int], records_max: int, others: list[int]
) -> None:
    """Others deliver to the same sink while this one waits, with batches of other sizes."""
    pieces = in_pieces(history, cuts)
    with pipeline_on("memory") as pipeline:
        memory, left = MemorySink(), list(pieces)

        def wait() -> None:
            append(pipeline, left.pop(0))
            if others:
                run_sink(pipeline, others.pop()).catch_up(memory)

        delivered = run_sink(pipeline, records_max).run(memory, lambda: not left, wait)
        assert delivered <= len(history)
        run_sink(pipeline).catch_up(memory)
        assert in_memory(memory) == documents(pipeline, history)
        assert dict(memory.positions(range(SMALL.partitions))) == ends(pipeline)


ONE = attrs.evolve(SMALL, partitions=1)


class Noted(MemorySink):
    """Notes what is written, as positions and the number of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, int, int]] = []

    def write(self, delivery: Delivery) -> None:
        super().write(delivery)
        self.batches.append((delivery.from_position, delivery.to_position, len(delivery.rows)))


def ticks(pipeline: Pipeline, number: int) -> None:
    pipeline.container.publisher().publish([Outgoing(KEY_OF_TICKS, b"", partition=0) for _ in range(number)])


def test_a_batch_is_bounded_in_records_and_in_bytes(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        append(pipeline, [event(str(number)) for number in range(7)])
        sink, told = Noted(), list[int]()
        assert run_sink(pipeline, records_max=3).catch_up(sink, told.append) == 7
        assert (sink.batches, told) == ([(0, 3, 3), (3, 6, 3), (6, 7, 1)], [3, 6, 7])
        size = len(pipeline.container.memory_log().records[0][0].value)
        sink = Noted()
        run_sink(pipeline, bytes_max=2 * size).catch_up(sink)
        assert [rows for _, _, rows in sink.batches] == [2, 2, 2, 1]


def test_the_position_passes_over_what_is_no_event(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        append(pipeline, [b"garbage", event("1"), event("2", kind="video_play"), b"garbage"])
        ticks(pipeline, 1)
        sink = Noted()
        assert run_sink(pipeline).catch_up(sink) == 1
        assert sink.batches == [(0, 5, 1)]
        ticks(pipeline, 3)
        assert run_sink(pipeline).catch_up(sink) == 0
        assert sink.batches[1:] == [(5, 8, 0)]
        assert run_sink(pipeline).catch_up(sink) == 0
        assert sink.batches[2:] == []


def test_whoever_follows_writes_no_batch_for_a_tick(tmp_path: Path) -> None:
    """But for every batch of them, with the next event, and at the end."""
    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        sink, waits = Noted(), list[int]()

        def wait() -> None:
            waits.append(1)
            ticks(pipeline, 3)
            if len(waits) == 6:
                append(pipeline, [event("1")])

        assert run_sink(pipeline, records_max=10).run(sink, lambda: len(waits) == 8, wait) == 1
        assert sink.batches == [(0, 12, 0), (12, 19, 1), (19, 22, 0)]


def test_what_workers_write_into_the_log_is_left_out(tmp_path: Path) -> None:
    """A merged profile, a forwarded event, and the forgetting of a visitor with their customer."""
    with opened(embedded("memory", tmp_path, attrs.evolve(SMALL, partitions=3))) as pipeline:
        append(pipeline, [*looks("mug"), login(), *looks("jug", at_ms=login()["timestamp"] + 1)])
        assert pipeline.process()[RecordClass.FORWARDED] > 0
        pipeline.forget("ada")
        pipeline.process()
        values = [record.value for records in pipeline.container.memory_log().records for record in records]
        for mark in (b"history_merged", b'"forwarded"', b'"message_format"'):
            assert any(mark in value for value in values)
        assert any(b"message_format" in value and b"customer_forgotten" in value for value in values)
        sink = MemorySink()
        assert pipeline.deliver(sink) == 4
        rows = [row for listed in sink.rows.values() for row in listed]
        assert sorted(row.event.kind for row in rows) == [
            "customer_forgotten",
            "customer_signed_in",
            "product_viewed",
            "product_viewed",
        ]
        signed_in = next(row for row in rows if row.event.identified_as is not None)
        assert (signed_in.columns()["customer_id"], signed_in.columns()["signed_in_as"]) == ("anonymous:s1", "ada")


def test_a_document_is_as_it_was_published(tmp_path: Path) -> None:
    value = (
        b'{ "event_type" : "buy",\n "user_id":"ada", "timestamp": 1760000000000, "message_format": "none",\r\n'
        b' "metadata": {"product_id": 17, "price": 1.10, "note": "a  b\\n\\u00e4"} }'
    )
    settings = attrs.evolve(ONE, event_types={"buy": "purchase"})
    with opened(embedded("memory", tmp_path, settings)) as pipeline:
        append(pipeline, [value])
        sink = MemorySink()
        pipeline.deliver(sink)
        (row,) = sink.rows[0]
        assert row.document == (
            b'{"event_type":"buy","user_id":"ada","timestamp":1760000000000,"message_format":"none",'
            b'"metadata":{"product_id":17,"price":1.10,"note":"a  b\\n\\u00e4"}}'
        )
        columns = row.columns()
        assert (columns["kind"], columns["product_id"]) == ("product_purchased", "17")
        assert (columns["quantity"], columns["amount"]) == (1, 1.1)
        assert columns["event_id"] == "user_events-0-0"


def test_what_retention_has_deleted_stops_the_delivery_until_it_is_passed_over(tmp_path: Path) -> None:
    settings = attrs.evolve(embedded("sqlite", tmp_path, ONE), log_retention=LogRetentionSettings(bytes_max=1))
    with opened(settings) as pipeline:
        sink = Noted()
        append(pipeline, [event("1"), event("2")])
        pipeline.deliver(sink)
        append(pipeline, [event("3"), event("4")])
        pipeline.process()
        let_time_pass(pipeline, 1_000)
        append(pipeline, [event("5")])
        first, end = pipeline.container.log().bounds([0])[0]
        assert 2 < first < end
        with pytest.raises(UnrecoverableState, match=rf"begins at position {first} .* up to 2: .* --skip-lost"):
            pipeline.deliver(sink)
        assert sink.positions([0]) == {0: 2}
        assert pipeline.deliver(sink, skip_lost=True) == 1
        assert sink.batches[1:] == [(2, end, 1)]
        assert pipeline.deliver(sink) == 0


def test_a_log_that_ends_before_the_sinks_position_and_another_log_are_refused(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        append(pipeline, [event("1"), event("2")])
        sink = MemorySink()
        pipeline.deliver(sink)
        pipeline.container.memory_log().records[0].pop()
        with pytest.raises(UnrecoverableState, match=r"up to position 2, and the log ends at 1: .* a new sink"):
            pipeline.deliver(sink)
    with opened(embedded("memory", tmp_path, ONE)) as pipeline, pytest.raises(WrongLog):
        pipeline.deliver(sink)


def test_a_sink_that_goes_back_stops_the_delivery(tmp_path: Path) -> None:
    class Back(MemorySink):
        def write(self, delivery: Delivery) -> None:
            raise PositionMismatch({0: 0})

    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        append(pipeline, [event("1")])
        with pytest.raises(UnrecoverableState, match="had partition 0 up to position 0, and has it up to 0 now"):
            pipeline.deliver(Back())
        with pytest.raises(TypeError, match="sink is a Sink"):
            pipeline.deliver("exports")  # type: ignore[arg-type]


def test_a_delivery_is_stopped_between_batches(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path, ONE)) as pipeline:
        append(pipeline, [event(str(number)) for number in range(9)])
        sink = Noted()
        assert run_sink(pipeline, records_max=2).catch_up(sink, stop=lambda: len(sink.batches) == 2) == 4
        assert run_sink(pipeline, records_max=2).catch_up(sink) == 5


@pytest.mark.xdist_group("kafka")
def test_the_log_in_kafka_is_delivered_beside_its_worker_and_without_one() -> None:
    """Emissions are transactions, whose marks are positions without a record."""
    settings = attrs.evolve(Settings(), log="kafka", store="memory", kafka=servers.kafka_settings(3))
    history = [msgspec.json.encode(document) for document in [*looks("mug", "jug"), login(), event("1"), event("1")]]
    history += [b"garbage"]
    sink = MemorySink()
    with opened(settings) as pipeline:
        append(pipeline, history)
        assert pipeline.deliver(sink) == 5
        pipeline.process()
        later = [msgspec.json.encode(document) for document in looks("pan", at_ms=login()["timestamp"] + 1)]
        append(pipeline, later)
        pipeline.process()
        assert run_sink(pipeline, records_max=2).catch_up(sink) == 1
        assert in_memory(sink) == documents(pipeline, [*history, *later])
        bounds = pipeline.container.log().bounds(range(3))
        assert sink.positions(range(3)) == {number: end for number, (_, end) in bounds.items()}
        assert sum(end for _, end in bounds.values()) > len(history) + len(later)
        assert pipeline.deliver(sink) == 0
