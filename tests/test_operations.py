"""Dead letters by the library: chosen, mended, published again, resolved; each once."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import InvalidEvents, Unavailable, UnknownCustomer, UnknownLetter
from realtime_pipeline.application.maintenance.handle_dead_letters import Replay
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.streams.dead_letters import LetterState
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings
from tests.support.histories import KINDS, NOW_MS, Kind, SetClock, append, differences, embedded, event, opened
from tests.support.visitors import login, looks

ONE = Settings(partitions=1)
BAD = [event(str(number), "purchase", product="mug", price=-1, at_ms=NOW_MS - number) for number in range(6)]


def good(number: int) -> dict[str, object]:
    return event(str(number), "purchase", product="mug", price=2, at_ms=NOW_MS - number)


def units(pipeline: Pipeline) -> int:
    return pipeline.profile("ada").customer.purchases.units


@KINDS
def test_what_is_mended_counts_once_however_often_it_is_replayed(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, ONE)) as pipeline:
        append(pipeline, [*BAD, *BAD])
        pipeline.process()
        repairs = {f"0-{number}": good(number % 6) for number in range(12)}
        assert pipeline.replay_dead_letters(repairs=repairs) == Replay(published=12)
        assert pipeline.replay_dead_letters(repairs=repairs) == Replay(handled=12)
        assert pipeline.process()[RecordClass.DUPLICATE] == 6  # each lay there twice
        assert (units(pipeline), differences(pipeline)) == (6, [])
        assert (pipeline.dead_letters(), list(pipeline.export_dead_letters())) == ([], [])
        assert {letter.state for letter in pipeline.dead_letters(state=None)} == {LetterState.REPLAYED}
        pipeline.forget("ada")
        pipeline.process()
        assert pipeline.dead_letters(state=None) == []


def test_letters_of_one_customer_are_replayed_in_the_order_of_their_times() -> None:
    """A customer remembers few repairs, and refuses what happened before those that it has forgotten."""
    profile = ProfileSettings(dedup_replays=4)
    with opened(Settings(log="memory", store="memory", partitions=1, fold=FoldSettings(profile=profile))) as pipeline:
        append(pipeline, [BAD[number] | {"timestamp": NOW_MS - number} for number in range(6)])
        append(pipeline, [event(f"more-{number}", "purchase", price=-1, at_ms=NOW_MS - number) for number in range(50)])
        pipeline.process()
        repairs = {
            letter.id: msgspec.json.decode(letter.record.value) | {"properties": {"product_id": "mug", "price": 2}}
            for letter in pipeline.dead_letters(100)
        }
        assert pipeline.replay_dead_letters(repairs=repairs).published == 56
        assert pipeline.process()[RecordClass.APPLIED] == 56
        assert (units(pipeline), differences(pipeline)) == (56, [])


def test_letters_are_chosen_by_reason_time_and_number(tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded("sqlite", tmp_path, ONE), clock) as pipeline:
        append(pipeline, [BAD[0], b"garbage"])
        clock.at_ms += 1_000
        append(pipeline, [BAD[1]])
        pipeline.process()
        later = datetime.fromtimestamp(clock.at_ms / 1000, UTC)

        def chosen(**by: object) -> list[str]:
            return [letter.id for letter in pipeline.dead_letters(**by)]  # type: ignore[arg-type]

        assert chosen() == ["0-0", "0-1", "0-2"]
        assert chosen(limit=2) == ["0-0", "0-1"]
        assert chosen(reason="not_json") == ["0-1"]
        assert chosen(since=later) == ["0-2"]
        assert chosen(until=later) == ["0-0", "0-1"]
        assert chosen(since=later.replace(tzinfo=None)) == ["0-2"]  # UTC
        assert chosen(since=later.astimezone(timezone(timedelta(hours=5)))) == ["0-2"]
        assert chosen(since=later + timedelta(milliseconds=1)) == []
        assert pipeline.resolve_dead_letters(["0-1"], note="cut") == 1
        assert chosen(state="resolved") == ["0-1"]
        assert pipeline.dead_letter("0-1").as_dict()["note"] == "cut"
        assert [msgspec.json.decode(line)["id"] for line in pipeline.export_dead_letters()] == ["0-0", "0-2"]
        assert pipeline.resolve_dead_letters(since=later, limit=5) == 1
        assert chosen() == ["0-0"]


def test_what_cannot_be_published_as_it_is_stays_open_with_the_reason() -> None:
    clock = SetClock()
    with opened(Settings(log="memory", store="memory", partitions=1), clock) as pipeline:
        tomorrow = event("ahead", product="mug", at_ms=NOW_MS + 86_400_000)
        append(pipeline, [tomorrow, b"garbage", BAD[0]])
        pipeline.process()
        came = pipeline.replay_dead_letters(
            repairs={"0-1": event("x", "unheard_of", product="mug"), "0-2": good(0) | {"forwarded": [0, 7]}}
        )
        assert (came.published, came.refused) == (0, 2)
        assert dict(came.refusals) == {
            "0-1": "its type unheard_of is unknown: map it in [event_types]",
            "0-2": "a worker made this copy: it comes again where its original does",
        }
        ahead = pipeline.replay_dead_letters(["0-0"])
        assert ahead.as_dict() == {
            "published": 0,
            "handled_before": 0,
            "refused": 1,
            "refusals": [{"id": "0-0", "reason": "in_the_future: happens in 86400 s"}],
        }
        assert [letter.id for letter in pipeline.dead_letters()] == ["0-0", "0-1", "0-2"]
        clock.at_ms += 86_400_000
        assert pipeline.replay_dead_letters(reason="in_the_future") == Replay(published=1)
        assert pipeline.process()[RecordClass.APPLIED] == 1
        assert differences(pipeline) == []


def test_a_misrouted_event_goes_to_its_owner_as_it_is() -> None:
    with opened(Settings(log="memory", store="memory", partitions=2)) as pipeline:
        append(pipeline, [event("1", product="mug"), *looks("jug"), login()], partition=0)
        append(pipeline, [event("1", product="mug"), *looks("jug"), login()], partition=1)
        pipeline.process()
        misrouted = len(pipeline.dead_letters(reason="misrouted"))
        assert misrouted > 0
        for left in (misrouted, 0):
            assert pipeline.replay_dead_letters(reason="misrouted").published == left
            pipeline.process()
        assert pipeline.profile("ada").customer.visits.counts == {"product_viewed": 2, "customer_signed_in": 1}
        assert differences(pipeline) == []


def test_a_replay_that_dies_again_is_another_letter() -> None:
    with opened(Settings(log="memory", store="memory", partitions=1)) as pipeline:
        append(pipeline, [BAD[0]])
        pipeline.process()
        pipeline.forget("ada")
        pipeline.replay_dead_letters(repairs={"0-0": good(0)})
        assert pipeline.process()[RecordClass.FORGOTTEN] == 1
        append(pipeline, [b"[]"])
        pipeline.process()
        (letter,) = pipeline.dead_letters()
        assert letter.id == "0-3"


def test_many_threads_replay_each_letter_once(tmp_path: Path) -> None:
    """Events of nobody, so that no customer's memory tells repeats."""
    settings = embedded("sqlite", tmp_path, ONE)
    bad = [event(None, user=None, product="mug", context=None, at_ms=NOW_MS) | {"timestamp": "x"} for _ in range(300)]
    repairs = {f"0-{number}": event(None, user=None, product="mug") for number in range(300)}
    with opened(settings) as pipeline:
        append(pipeline, bad)
        pipeline.process()
        published: list[int] = []

        def replay() -> None:
            with opened(settings) as other:
                published.append(other.replay_dead_letters(repairs=repairs).published)

        threads = [threading.Thread(target=replay) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(published), sum(published)) == (4, 300)
        assert pipeline.process()[RecordClass.APPLIED] == 300


def test_an_empty_list_of_ids_chooses_none(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, ONE)) as pipeline:
        append(pipeline, [BAD[0], b"garbage"])
        pipeline.process()
        assert pipeline.replay_dead_letters(ids=[]) == Replay()
        assert pipeline.resolve_dead_letters(ids=[]) == 0
        assert [letter.id for letter in pipeline.dead_letters()] == ["0-0", "0-1"]
        choices: list[dict[str, Any]] = [{"ids": ["0-0"]}, {"ids": []}, {"reason": "not_json"}, {"limit": 1}]
        for choice in choices:
            with pytest.raises(ValueError, match="repairs say which dead letters"):
                pipeline.replay_dead_letters(repairs={"0-0": good(0)}, **choice)
        assert pipeline.replay_dead_letters().refused == 2


def test_values_of_other_types_are_refused_in_a_line(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, ONE)) as pipeline:
        append(pipeline, [b"garbage"])
        pipeline.process()
        with pytest.raises(UnknownLetter, match="1 is no id of a dead letter"):
            pipeline.dead_letter(1)  # type: ignore[arg-type]
        with pytest.raises(UnknownLetter, match="1 is no id of a dead letter"):
            pipeline.replay_dead_letters(ids=[1])  # type: ignore[list-item]
        with pytest.raises(UnknownLetter, match="is no id of a dead letter"):
            pipeline.resolve_dead_letters(ids=["\ud800"])
        with pytest.raises(TypeError, match="since and until are datetimes"):
            pipeline.dead_letters(since="2025")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="since and until are datetimes"):
            pipeline.export_dead_letters(until=1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="a note is text that UTF-8 can hold"):
            pipeline.resolve_dead_letters(["0-0"], note="bad \udcff")
        came = pipeline.replay_dead_letters(repairs={1: good(0)})  # type: ignore[dict-item]
        assert came.refusals == (("1", "is no id of a dead letter"),)
        with pytest.raises(UnknownCustomer, match="printable characters"):
            pipeline.trace("1", "\udcff")
        assert pipeline.trace("\udcff").copies == ()
        assert [letter.state for letter in pipeline.dead_letters()] == [LetterState.OPEN]


def test_a_limit_counts_what_is_published(tmp_path: Path) -> None:
    """Letters that cannot be published do not take the place of those behind them."""
    clock = SetClock()
    with opened(embedded("sqlite", tmp_path, ONE), clock) as pipeline:
        ahead = [event(str(number), product="mug", at_ms=NOW_MS + 86_400_000) for number in range(3)]
        append(pipeline, [b"garbage", b"more", *ahead])
        pipeline.process()
        clock.at_ms += 86_400_000
        for _ in range(2):
            came = pipeline.replay_dead_letters(limit=1)
            assert (came.published, came.refused) == (1, 2)
        assert [letter.id for letter in pipeline.dead_letters()] == ["0-0", "0-1", "0-4"]
        assert pipeline.replay_dead_letters(["0-0", "0-4"], limit=1).published == 1
        assert pipeline.process()[RecordClass.APPLIED] == 3


def test_nothing_is_replayed_where_the_log_outlives_the_marks(tmp_path: Path) -> None:
    """An event of nobody, so that no customer's memory tells that it was replayed in an earlier process."""
    settings = Settings(database=str(tmp_path / "shop.db"), log="sqlite", store="memory", partitions=1)
    repairs = {"0-0": event(None, "purchase", user=None, product="mug", price=2)}
    with opened(settings) as pipeline:
        append(pipeline, [event(None, "purchase", user=None, product="mug", price=-1), b"garbage"])
    for _ in range(2):
        with opened(settings) as pipeline:
            pipeline.process()
            with pytest.raises(Unavailable, match=r"nothing was replayed: .* keep the store on disk, too"):
                pipeline.replay_dead_letters(repairs=repairs)
            assert pipeline.resolve_dead_letters(["0-1"]) == 1
            assert [letter.id for letter in pipeline.dead_letters()] == ["0-0"]
            assert sum(pipeline.process().values()) == 2


def test_what_cannot_be_asked_for_is_said(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, ONE)) as pipeline:
        append(pipeline, [b"garbage"])
        pipeline.process()
        with pytest.raises(UnknownLetter, match="there is no dead letter 0-7: "):
            pipeline.replay_dead_letters(["0-0", "0-7"])
        with pytest.raises(UnknownLetter, match="there is no dead letter 0-7: "):
            pipeline.dead_letter("0-7")
        with pytest.raises(UnknownLetter, match="an id is partition-position, as 3-1417"):
            pipeline.resolve_dead_letters(["3_1"])
        with pytest.raises(ValueError, match="say which dead letters are resolved"):
            pipeline.resolve_dead_letters()
        with pytest.raises(ValueError, match="at most 1000 characters"):
            pipeline.resolve_dead_letters(["0-0"], note="n" * 1_001)
        with pytest.raises(ValueError, match="limit must be at least 1"):
            pipeline.export_dead_letters(limit=0)
        with pytest.raises(TypeError, match="a list of ids"):
            pipeline.replay_dead_letters("0-0")
        with pytest.raises(InvalidEvents, match="the repair of 0-0 cannot be written as JSON"):
            pipeline.replay_dead_letters(repairs={"0-0": {"price": float("nan")}})
        assert [letter.state for letter in pipeline.dead_letters()] == [LetterState.OPEN]
