"""Messages of newer workers in the log: a worker of this release merges what it can read, or stops with a message."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import InvalidEvents, NewerRelease
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs import messages
from realtime_pipeline.infrastructure.codecs.formats import Format
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS
from tests.support.histories import KINDS, Kind, append, embedded, event, opened
from tests.support.newer_releases import NEWER, Fields, StoredProfiles, merge_message, unchanged
from tests.support.visitors import SETTINGS, looks
from tests.support.workers import new_worker


@pytest.fixture
def pipeline(kind: Kind, tmp_path: Path) -> Iterator[Pipeline]:
    with opened(embedded(kind, tmp_path, SETTINGS)) as made:
        yield made


@KINDS
def test_unknown_fields_of_a_merged_profile_are_preserved(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    counts = {"product_viewed": 1, "product_rented": 7}
    value = merge_message(
        lambda message: message | {"message_format": [2, 1], "basket": []},
        lambda profile: profile | NEWER | {"counts": counts},
    )
    append(pipeline, [value])
    assert pipeline.process()[RecordClass.APPLIED] == 2
    ada = StoredProfiles(pipeline).read("ada")
    assert ada["loyalty"] == {"points": 5}
    assert ada["counts"] == {"product_viewed": 2, "product_rented": 7, "customer_signed_in": 1}
    assert pipeline.dead_letters() == []


UNREADABLE: dict[str, tuple[Callable[[Fields], Fields], Callable[[Fields], Fields]]] = {
    "a newer message": (lambda message: message | {"message_format": [2, 2]}, unchanged),
    "a newer message without its fields": (
        lambda _: {"event_type": "history_merged", "message_format": [2, 2]},
        unchanged,
    ),
    "a newer profile": (unchanged, lambda profile: profile | {"format": [3, 3]}),
    "a newer profile of other fields": (unchanged, lambda _: {"format": [3, 3], "spent": {}}),
    "a profile field of another type": (unchanged, lambda profile: profile | {"format": [3, 1], "spend": "1.25 EUR"}),
    "a message field of another type": (lambda message: message | {"message_format": [2, 1], "user_id": []}, unchanged),
    "a newer type": (lambda _: {"event_type": "profile_split", "user_id": "ada", "message_format": [3, 2]}, unchanged),
    "a large message of a newer type": (
        lambda _: {"event_type": "profile_split", "user_id": "ada", "message_format": [3, 2], "x": "x" * 90_000},
        unchanged,
    ),
}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("unreadable", list(UNREADABLE))
def test_a_message_in_a_newer_format_stops_the_worker(pipeline: Pipeline, unreadable: str) -> None:
    """The message becomes no dead letter, and no worker skips it: an upgraded worker will process it."""
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    append(pipeline, [merge_message(*UNREADABLE[unreadable]), event("b", product="mug")])
    for _ in range(2):
        with pytest.raises(NewerRelease, match=r"partition \d, position \d: .*upgrade this program"):
            pipeline.process()
        new_worker(pipeline)
    assert pipeline.container.customer_queries().counts() == before
    assert pipeline.dead_letters() == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_an_upgraded_worker_continues_where_the_older_worker_stopped(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pipeline, [merge_message(*UNREADABLE["a newer message"]), event("b", product="mug")])
    with pytest.raises(NewerRelease):
        pipeline.process()
    monkeypatch.setattr(messages, "MESSAGE", Format("a message between customers", 2, 2))
    new_worker(pipeline)
    assert pipeline.process() == {RecordClass.APPLIED: 2}
    assert pipeline.profile("ada").customer.visits.counts[EventKind.PRODUCT_VIEWED] == 2


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_tick_in_a_newer_format_stops_the_worker(pipeline: Pipeline) -> None:
    pipeline.container.publisher().publish([Outgoing(KEY_OF_TICKS + b"3", b"{}", partition=0)])
    with pytest.raises(NewerRelease, match=r"partition 0, position 0: a tick .*upgrade this program"):
        pipeline.process()
    assert pipeline.container.customer_queries().counts() == {}


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("format_", ["mp4", [1], {}, [3, 1], None])
def test_a_message_format_field_of_an_event_is_ignored(pipeline: Pipeline, format_: object) -> None:
    """A shop's events may have a field of that name."""
    append(pipeline, [event("a", "video_play") | {"message_format": format_}])
    append(pipeline, [event("b", product="mug") | {"message_format": format_}])
    assert pipeline.process() == {RecordClass.IGNORED: 1, RecordClass.APPLIED: 1}


@pytest.mark.parametrize("kind", ["memory"])
def test_an_event_with_the_format_of_a_message_cannot_be_published(pipeline: Pipeline) -> None:
    """It would stop the worker."""
    with pytest.raises(InvalidEvents, match="for workers to make"):
        pipeline.publish([event("a", product="mug") | {"message_format": [9, 9]}])


@KINDS
def test_the_same_unknown_field_in_both_profiles_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = StoredProfiles(pipeline)
    profiles.add("ada", **NEWER)
    stored = profiles.read("ada")
    append(pipeline, [merge_message(change_profile=lambda profile: profile | NEWER)])
    with pytest.raises(NewerRelease, match=r"cannot merge \(both profiles have loyalty\): upgrade this program"):
        pipeline.process()
    assert (profiles.read("ada"), pipeline.container.customer_queries().counts()) == (stored, before)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_unknown_parts_of_a_merged_session_stop_the_worker(pipeline: Pipeline) -> None:
    def with_dwell_time(profile: Fields) -> Fields:
        profile["open_sessions"][0]["dwell_ms"] = 5
        return profile

    append(pipeline, [merge_message(change_profile=with_dwell_time)])
    with pytest.raises(NewerRelease, match="unknown parts in open_sessions"):
        pipeline.process()


@pytest.mark.parametrize("kind", ["memory"])
def test_the_same_event_of_an_unknown_kind_in_both_profiles_stops_the_worker(pipeline: Pipeline) -> None:
    """Only a newer release knows how to count such an event once."""

    def with_rental(profile: Fields) -> Fields:
        profile["counts"] = {"product_rented": 1}
        profile["contributions"][0][1] = "product_rented"
        return profile

    look = looks("mug", session="s9")[0]
    append(pipeline, [look | {"user_id": "ada"}])
    pipeline.process()
    append(pipeline, [merge_message(change_profile=with_rental)])
    with pytest.raises(NewerRelease, match="what the visitor's product_rented added must be taken out again"):
        pipeline.process()


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("name", ["x" * 65, "", "a\nb"])
def test_a_merged_profile_with_invalid_names_of_kinds_is_a_dead_letter(pipeline: Pipeline, name: str) -> None:
    append(pipeline, [merge_message(change_profile=lambda profile: profile | {"counts": {name: 1}})])
    assert pipeline.process() == {RecordClass.DEAD_LETTER: 1}


@pytest.mark.parametrize("kind", ["memory"])
def test_unknown_fields_and_kinds_of_a_merged_profile_are_limited(pipeline: Pipeline) -> None:
    fields = {f"new_{number}": number for number in range(70)}
    append(pipeline, [merge_message(change_profile=lambda profile: profile | fields)])
    with pytest.raises(NewerRelease, match="unknown fields"):
        pipeline.process()
    kinds = {f"kind_{number}": 1 for number in range(70)}
    with opened(embedded("memory", Path(), SETTINGS)) as another:
        append(another, [merge_message(change_profile=lambda profile: profile | {"counts": kinds})])
        with pytest.raises(NewerRelease, match="71 kinds of events"):
            another.process()
