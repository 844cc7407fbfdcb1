"""A receipt says done only once the worker has processed the forgetting."""

from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.maintenance.follow_forgetting import Progress
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.interfaces.text import receipt_in_words
from tests.support.histories import KINDS, NOW_MS, Kind, SetClock, append, differences, embedded, event, opened, visits
from tests.support.workers import let_time_pass

SETTINGS = Settings(partitions=1)
SLOW = attrs.evolve(SETTINGS, partitions=4, worker=WorkerSettings(round_records_max=4))


def names(pipeline: Pipeline) -> set[str]:
    return {customer.customer_id for customer in pipeline.container.customer_queries().scan()}


@KINDS
def test_a_forgetting_is_not_done_before_the_events_that_lie_before_it(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug", "pan"))
        forgetting = pipeline.forget("ada")
        assert (forgetting.partition, forgetting.position) == (0, 3)
        waiting = pipeline.receipt(forgetting)
        assert (waiting.is_done, waiting.progress, waiting.records_before) == (False, Progress.QUEUED, 3)
        assert list(receipt_in_words(waiting)) == ["  waiting for the worker: 3 records before it"]
        pipeline.process()
        receipt = pipeline.receipt(forgetting)
        assert (receipt.is_done, receipt.progress, receipt.records_before) == (True, Progress.PROCESSED, 0)
        assert next(receipt_in_words(receipt)).startswith("  erased: ")
        assert names(pipeline) == set()


@KINDS
def test_a_forgetting_whose_record_is_next_is_not_done_either(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        forgetting = pipeline.forget("ada")
        waiting = pipeline.receipt(forgetting)
        assert list(receipt_in_words(waiting)) == [
            "  waiting for the worker: 0 records before it",
            "  still there: 1 profile, 1 session",
        ]
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        pipeline.rebuild()
        assert pipeline.receipt(forgetting).progress is Progress.QUEUED  # it is to be done once more
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done


@KINDS
@pytest.mark.parametrize("sessions", [1, 3])
def test_a_forgetting_is_not_done_before_those_of_visitors_whom_the_owner_has_yet_to_learn_of(
    kind: Kind, sessions: int, tmp_path: Path
) -> None:
    """Sign-ins lie unprocessed in the partitions of the visitors: each leads to the customer, and from there back."""
    with opened(embedded(kind, tmp_path, SLOW)) as pipeline:
        for number in range(sessions):
            session = f"s{number}"
            looks = [
                event(f"{session}-{at}", user=None, session=session, at_ms=NOW_MS - 90_000 + at, product="mug")
                for at in range(12)
            ]
            append(pipeline, [*looks, event(f"in-{session}", "login", user="ada", session=session)])
        append(pipeline, [event("later", user="bob", product="mug")])
        forgetting = pipeline.forget("ada")
        assert forgetting.visitors == ()
        progress = []

        def look(_: object) -> None:
            receipt = pipeline.receipt(forgetting)
            progress.append(receipt.progress)
            if receipt.is_done:
                assert names(pipeline) <= {"bob"}

        pipeline.container.worker().catch_up(look)
        assert Progress.FOLLOWED in progress
        assert pipeline.receipt(forgetting).is_done
        assert names(pipeline) == {"bob"}
        assert pipeline.container.customer_queries().read_customer(CustomerId("anonymous:s0")) is None


@KINDS
def test_a_forgetting_is_done_though_events_go_on_to_come(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        forgetting = pipeline.forget("ada")
        for number in range(4):  # each time somebody asks, more has come
            pipeline.process()
            pipeline.publish([event(f"more-{number}", user="bob", product="mug")])
            receipt = pipeline.receipt(forgetting)
        assert receipt.is_done


@KINDS
@pytest.mark.parametrize(("seen_ms", "passes_ms"), [(NOW_MS - 5, -1_000), (NOW_MS + 60_000, 30_000)])
def test_a_forgetting_as_of_a_time_that_is_forgotten_already_takes_dead_letters_back(
    kind: Kind, seen_ms: int, passes_ms: int, tmp_path: Path
) -> None:
    """The clock was set back between the two; or the first reached to an event of a clock that is ahead."""
    bad = {"event_type": "review", "user_id": "ada", "timestamp": 1, "properties": {"rating": 9}}
    with opened(embedded(kind, tmp_path, SETTINGS), SetClock()) as pipeline:
        append(pipeline, [event("seen", user="ada", at_ms=seen_ms, product="mug")])
        pipeline.process()
        first = pipeline.forget("ada")
        append(pipeline, [event("back", user="ada", at_ms=first.as_of_ms + 1, product="mug")])
        pipeline.process()
        let_time_pass(pipeline, passes_ms)
        append(pipeline, [bad, {**bad, "user_id": "bob"}])
        pipeline.process()
        assert [letter.customer_id for letter in pipeline.dead_letters()] == ["ada", "bob"]
        again = event("again", user="ada", at_ms=first.as_of_ms)
        append(pipeline, [{**again, "event_type": "customer_forgotten"}, bad])
        pipeline.process()
        assert [(letter.customer_id, letter.record.position) for letter in pipeline.dead_letters()] == [
            ("bob", 4),
            ("ada", 6),
        ]
        assert pipeline.container.customer_queries().counts()[RecordClass.FORGOTTEN] == 1
        assert names(pipeline) == {"ada"}
        assert differences(pipeline) == []


@KINDS
@pytest.mark.parametrize("is_emitted", [False, True])
def test_a_second_receipt_says_done_though_the_clock_was_set_back(kind: Kind, is_emitted: bool, tmp_path: Path) -> None:
    """Whether the dead letter lies in the outputs already, or is folded together with the forgetting."""
    with opened(embedded(kind, tmp_path, SETTINGS), SetClock()) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.forget("ada")
        pipeline.process()
        let_time_pass(pipeline, -1_000)
        append(pipeline, [{"event_type": "review", "user_id": "ada", "timestamp": 1, "properties": {"rating": 9}}])
        if is_emitted:
            pipeline.process()
        second = pipeline.forget("ada")
        pipeline.process()
        assert pipeline.receipt(second).is_done
