"""Where an event lies, in which class each copy fell, and what it changed."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from dependency_injector import providers

from realtime_pipeline import Container, Pipeline, Settings
from realtime_pipeline.application.routing import partition_for
from realtime_pipeline.domain.shop.events import CustomerId, EventKind
from realtime_pipeline.domain.streams.dead_letters import LetterState
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.traces import Change, Copy
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog
from tests.support.histories import KINDS, NOW_MS, SMALL, Kind, append, embedded, event, opened
from tests.support.visitors import login, looks

ADA = CustomerId("ada")
ONE = Settings(partitions=1)


def classes(pipeline: Pipeline, event_id: str) -> list[tuple[int, RecordClass | None]]:
    return [(copy.position, copy.record_class) for copy in pipeline.trace(event_id).copies]


def changes(pipeline: Pipeline, event_id: str) -> list[Change | None]:
    return [copy.change for copy in pipeline.trace(event_id).copies]


@KINDS
def test_copies_are_applied_known_or_still_to_come(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, ONE)) as pipeline:
        bought = event("1", "purchase", product="mug", price=12.5, quantity=2, order_id="o")
        append(pipeline, [bought, event("2", product="jug"), bought])
        pipeline.process()
        append(pipeline, [bought])
        trace = pipeline.trace("1")
        assert [copy.record_class for copy in trace.copies] == [RecordClass.APPLIED, RecordClass.DUPLICATE, None]
        assert trace.copies[0] == Copy(
            partition=0,
            position=0,
            appended_at_ms=NOW_MS,
            record_class=RecordClass.APPLIED,
            kind=EventKind.PRODUCT_PURCHASED,
            customer_id=ADA,
            product_id=trace.copies[0].product_id,
            change=Change(units=2, spend=250_000, orders=1, sessions_begun=1, session="0-0", interactions=1),
        )
        assert [copy.change for copy in trace.copies[1:]] == [None, None]
        assert (trace.searched, trace.more, trace.shortened) == ({0: (0, 4)}, False, ())
        assert changes(pipeline, "2") == [Change(session="0-0", interactions=1)]


def test_what_events_of_each_kind_change(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, ONE)) as pipeline:
        history = [
            event("bought", "purchase", product="mug", price=10, quantity=3, order_id="o"),
            event("back", "refund", product="mug", price=10, order_id="o"),
            event("good", "review", product="mug", rating=5),
            event("better", "review", product="mug", rating=3, at_ms=NOW_MS),
            event("nobodys", user=None, product="mug"),
            event("gone", "forget", at_ms=NOW_MS + 1, product=None),
            event("late", product="mug"),
            event("play", "video_play", product="mug"),
        ]
        append(pipeline, history)
        pipeline.process()
        assert {entry["event_id"]: changes(pipeline, entry["event_id"])[0] for entry in history} == {
            "bought": Change(units=3, spend=300_000, orders=1, sessions_begun=1, session="0-0", interactions=1),
            "back": Change(units=-1, spend=-100_000),
            "good": Change(ratings=1, rating_sum=5),
            "better": Change(rating_sum=-2),
            "nobodys": Change(interactions=1),
            "gone": Change(units=-2, spend=-200_000, orders=-1, sessions_begun=-1, erased=True),
            "late": None,
            "play": None,
        }
        assert classes(pipeline, "late") == [(6, RecordClass.FORGOTTEN)]
        assert classes(pipeline, "play") == [(7, RecordClass.IGNORED)]
        assert pipeline.trace("play").copies[0].reason == "type video_play"


@KINDS
def test_a_dead_letter_is_one_until_it_is_replayed(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, ONE)) as pipeline:
        append(pipeline, [event("1", "purchase", product="mug", price=-1), b"garbage"])
        pipeline.process()
        (copy,) = pipeline.trace("1").copies
        assert (copy.record_class, copy.letter, copy.customer_id) == (RecordClass.DEAD_LETTER, LetterState.OPEN, ADA)
        assert copy.reason == "invalid_price: it must be a number from 0, not -1"
        mended = event("1", "purchase", product="mug", price=1)
        for _ in range(2):
            pipeline.replay_dead_letters(repairs={"0-0": mended})
        pipeline.process()
        assert [(copy.record_class, copy.letter) for copy in pipeline.trace("1").copies] == [
            (RecordClass.DEAD_LETTER, LetterState.REPLAYED),
            (RecordClass.APPLIED, None),
        ]
        (garbage,) = pipeline.trace("user_events-0-1").copies
        assert (garbage.position, garbage.record_class) == (1, RecordClass.DEAD_LETTER)


def test_what_came_too_late_to_be_told_from_a_repeat(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SMALL)) as pipeline:
        late = event("late", product="mug", at_ms=NOW_MS - 200_000)
        append(pipeline, [*(event(f"{number}", product="mug", at_ms=NOW_MS - number) for number in range(9)), late])
        pipeline.process()
        (copy,) = pipeline.trace("late").copies
        assert (copy.record_class, (copy.reason or "").partition(":")[0]) == (RecordClass.DEAD_LETTER, "too_old")
        with pipeline.container.database().transaction() as connection:
            connection.execute("DELETE FROM dead_letters")
        (copy,) = pipeline.trace("late").copies
        assert (copy.record_class, (copy.reason or "").partition(":")[0]) == (RecordClass.DEAD_LETTER, "too_old")


def test_what_a_visitor_does_after_a_sign_in_lies_in_the_log_twice() -> None:
    with opened(Settings(log="memory", store="memory", partitions=3)) as pipeline:
        visit = [*looks("mug"), login(), *looks("jug", at_ms=NOW_MS - 10_000)]
        append(pipeline, visit)
        pipeline.process()
        found = {copy.record_class: copy for copy in pipeline.trace(visit[2]["event_id"]).copies}
        assert set(found) == {RecordClass.FORWARDED, RecordClass.APPLIED}
        assert found[RecordClass.FORWARDED].change == Change(to=ADA)
        assert found[RecordClass.APPLIED].customer_id == "ada"
        assert found[RecordClass.APPLIED].change == Change(session=f"{partition_for(b'ada', 3)}-0", interactions=1)
        assert changes(pipeline, visit[1]["event_id"]) == [Change(sessions_begun=-1, to=ADA)]  # it goes along
        assert len(pipeline.trace(visit[2]["event_id"], "ada").copies) == 2


def test_visitors_from_before_a_forgetting_are_found_in_the_whole_log_only() -> None:
    """The profile does not know them any more, and so not where their events lie."""
    with opened(Settings(log="memory", store="memory", partitions=16)) as pipeline:
        visit = [*looks("mug"), login(), event("gone", "forget", at_ms=NOW_MS, product=None)]
        for part in (visit, [event("new", product="mug", at_ms=NOW_MS + 1)]):
            append(pipeline, part)
            pipeline.process()
        seen, signed_in = (str(entry["event_id"]) for entry in visit[:2])
        assert {len(pipeline.trace(seen).copies), len(pipeline.trace(signed_in).copies)} == {1}
        assert pipeline.trace(seen, "ada").copies == ()
        assert len(pipeline.trace("new", "ada").copies) == 1


def test_only_the_customers_partitions_are_read() -> None:
    with opened(Settings(log="memory", store="memory", partitions=8)) as pipeline:
        append(pipeline, [event(str(number), user=f"user-{number}", product="mug") for number in range(20)])
        pipeline.process()
        told: list[int] = []
        own = partition_for(b"user-7", 8)
        trace = pipeline.trace("7", "user-7", told.append)
        assert [copy.partition for copy in trace.copies] == [own]
        assert set(trace.searched) == {own}
        assert told[-1] == 2 * trace.searched[own][1] - (trace.searched[own][1] - 1 - trace.copies[0].position)
        assert set(pipeline.trace("nowhere").searched) == set(range(8))


@pytest.mark.parametrize("written", [b'"17"', b"17", b"17.0", b'"\\u0031\\u0037"'])
def test_an_id_is_found_however_it_is_written(written: bytes) -> None:
    with opened(Settings(log="memory", store="memory", partitions=1)) as pipeline:
        value = b'{"event_id": %s, "event_type": "view", "user_id": "ada", "timestamp": 1000}' % written
        append(pipeline, [value])
        pipeline.process()
        assert classes(pipeline, "17") == [(0, RecordClass.APPLIED)]
        assert classes(pipeline, "1") == []


@pytest.mark.parametrize("written", [b'"-100"', b"-100", b"-1e2", b"-100.0"])
def test_a_negative_number_is_found_however_it_is_written(written: bytes) -> None:
    """As an event's id, and as that of the customer whose events are folded."""
    with opened(Settings(log="memory", store="memory", partitions=1)) as pipeline:
        fields = b'"event_type": "view", "timestamp": 1000, "properties": {"product_id": "mug"}'
        append(pipeline, [b'{"event_id": %s, "user_id": "ada", %s}' % (written, fields)])
        append(pipeline, [b'{"event_id": "a", "user_id": %s, %s}' % (written, fields)])
        append(pipeline, [b'{"event_id": "a", "user_id": "-100", %s}' % fields])
        pipeline.process()
        assert classes(pipeline, "-100") == [(0, RecordClass.APPLIED)]
        assert classes(pipeline, "a") == [(1, RecordClass.APPLIED), (2, RecordClass.DUPLICATE)]


class Shortened(MemoryEventLog):
    """A log whose beginning is gone."""

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        return {number: (2, end) for number, (_, end) in super().bounds(partitions).items()}


def test_what_a_shortened_log_cannot_tell_is_said() -> None:
    container = Container()
    with Pipeline(Settings(log="memory", store="memory", partitions=1), container) as pipeline:
        append(
            pipeline,
            [
                event("1", "purchase", product="mug", price=-1),
                event("2", product="mug"),
                event("2", product="mug"),
                event("3", user=None, product="mug"),
            ],
        )
        pipeline.process()
        container.log.override(providers.Object(Shortened(container.memory_log())))
        trace = pipeline.trace("2")
        assert (trace.shortened, trace.searched) == ((0,), {0: (2, 4)})
        (copy,) = trace.copies  # the other is gone
        assert copy.doubt == "the log begins at position 2 of partition 0: what came before is not known"
        assert pipeline.trace("3").copies[0].doubt == ""
        (letter,) = pipeline.trace("1").copies
        assert (letter.in_log, letter.position, letter.letter) == (False, 0, LetterState.OPEN)
