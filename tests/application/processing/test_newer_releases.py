"""Stored profiles of newer workers: a worker of this release preserves unknown fields, or stops with a message."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.infrastructure.redis.keys import Keys
from tests.support.histories import KINDS, Kind, append, embedded, event, opened
from tests.support.newer_releases import NEWER, StoredProfiles
from tests.support.visitors import SETTINGS, login, looks
from tests.support.workers import new_worker


@pytest.fixture
def pipeline(kind: Kind, tmp_path: Path) -> Iterator[Pipeline]:
    with opened(embedded(kind, tmp_path, SETTINGS)) as made:
        yield made


@KINDS
def test_unknown_fields_of_a_profile_are_preserved(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    profiles = StoredProfiles(pipeline)
    profiles.add("ada", **NEWER)
    append(pipeline, [event("b", "purchase", product="mug", price=2)])
    pipeline.process()
    stored = profiles.read("ada")
    assert (stored["loyalty"], stored["format"], stored["spend"]) == ({"points": 5}, [1, 1], 20_000)
    assert pipeline.profile("ada").customer.purchases.spend == 20_000


@KINDS
def test_unknown_fields_are_forgotten_with_their_customer(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    profiles = StoredProfiles(pipeline)
    profiles.add("ada", **NEWER)
    append(pipeline, [event("f", "forget", at_ms=event()["timestamp"] + 1), event("b", at_ms=event()["timestamp"] + 2)])
    pipeline.process()
    assert "loyalty" not in profiles.read("ada")


@KINDS
def test_a_profile_in_a_newer_format_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = StoredProfiles(pipeline)
    profiles.add("ada", format=[3, 3])
    stored = profiles.read("ada")
    append(pipeline, [event("b", product="mug")])
    with pytest.raises(
        NewerRelease, match=r"customer ada: a customer's profile was written by a newer release .*: upgrade this"
    ):
        pipeline.process()
    assert (profiles.read("ada"), pipeline.container.customer_queries().counts()) == (stored, before)
    with pytest.raises(NewerRelease, match="upgrade this program"):
        pipeline.recommend("ada")


@KINDS
def test_a_truncated_profile_stops_the_worker_and_is_not_changed(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = StoredProfiles(pipeline)
    truncated = profiles.read_bytes("ada")[:-3]
    profiles.write_bytes("ada", truncated)
    new_worker(pipeline)
    append(pipeline, [event("b", product="mug")])
    with pytest.raises(Damaged, match=r"customer ada: a customer's profile is damaged .* rebuild it from the log"):
        pipeline.process()
    assert (profiles.read_bytes("ada"), pipeline.container.customer_queries().counts()) == (truncated, before)


@KINDS
def test_unknown_fields_of_a_visitor_are_merged_into_the_customer(pipeline: Pipeline) -> None:
    """Except those of its `seen` events: a filter of the visitor's events says nothing of the customer's."""
    append(pipeline, looks("mug"))
    pipeline.process()
    profiles = StoredProfiles(pipeline)
    seen = profiles.read("anonymous:s1")["seen"] | {"bloom": b"1"}
    profiles.add("anonymous:s1", **NEWER, seen=seen)
    append(pipeline, [login()])
    pipeline.process()
    ada, visitor = profiles.read("ada"), profiles.read("anonymous:s1")
    # The format is this release's: this worker may have left out fields that it does not know.
    assert (ada["loyalty"], ada["format"]) == ({"points": 5}, [1, 1])
    assert "loyalty" not in visitor
    assert (visitor["seen"]["bloom"], "bloom" in ada["seen"]) == (b"1", False)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_unknown_record_classes_are_preserved(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    if pipeline.container.settings().store == "sqlite":
        with pipeline.container.database().transaction() as connection:
            connection.execute("INSERT INTO counts VALUES (0, 'deferred', 4)")
    else:
        cell = Keys(pipeline.container.settings().redis.namespace).cell(0)
        pipeline.container.redis_client().execute([(cell, ("HINCRBY", cell, "n_deferred", 4))])
    append(pipeline, [event("b", product="mug")])
    assert {name.value: count for name, count in pipeline.process().items()} == {"applied": 2, "deferred": 4}
