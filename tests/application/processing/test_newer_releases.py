"""A worker of this release beside newer ones: what they wrote stays, or it stops with a line; nothing is lost."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Damaged, InvalidEvents, NewerRelease
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs import messages
from realtime_pipeline.infrastructure.codecs.events import TICK_KEY
from realtime_pipeline.infrastructure.codecs.formats import Format
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.redis.keys import Keys
from tests.support.histories import KINDS, Kind, append, embedded, event, opened
from tests.support.visitors import SETTINGS, login, looks
from tests.support.workers import new_worker

Fields = dict[str, Any]
NEWER: Fields = {"format": [2, 1], "loyalty": {"points": 5}}
"""What a newer release may have added to a profile."""


@pytest.fixture
def pipeline(kind: Kind, tmp_path: Path) -> Iterator[Pipeline]:
    with opened(embedded(kind, tmp_path, SETTINGS)) as made:
        yield made


class Profiles:
    """The stored profiles of a pipeline, as a newer worker would write and read them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.container = pipeline, pipeline.container

    def read(self, customer_id: str) -> Fields:
        fields: Fields = msgspec.msgpack.decode(self._raw(customer_id))
        return fields

    def write(self, customer_id: str, value: bytes) -> None:
        store = self.container.settings().store
        if store == "sqlite":
            with self.container.database().transaction() as connection:
                connection.execute("UPDATE customers SET record = ? WHERE customer_id = ?", (value, customer_id))
        elif store == "redis":
            self.container.redis_client().execute([(self._key(customer_id), ("SET", self._key(customer_id), value))])
        else:
            self._kept()[customer_id] = value

    def add(self, customer_id: str, **fields: object) -> None:
        """Have a newer worker write to a profile; this one restarts after that."""
        self.write(customer_id, msgspec.msgpack.encode(self.read(customer_id) | fields))
        new_worker(self.pipeline)

    def _raw(self, customer_id: str) -> bytes:
        store = self.container.settings().store
        if store == "sqlite":
            rows = self.container.database().rows("SELECT record FROM customers WHERE customer_id = ?", (customer_id,))
            found: bytes = rows[0][0]
        elif store == "redis":
            found = self.container.redis_client().execute([(self._key(customer_id), ("GET", self._key(customer_id)))])[
                0
            ]
        else:
            found = self._kept()[customer_id]
        return found

    def _kept(self) -> dict[Any, bytes]:
        cells = self.container.cells()
        assert isinstance(cells, MemoryCellStore)
        found: dict[Any, bytes] = cells.customers
        return found

    def _key(self, customer_id: str) -> str:
        namespace = self.container.settings().redis.namespace
        keys, nodes = Keys(namespace), self.container.redis_client()
        names = [keys.customers(partition, [customer_id])[0] for partition in range(SETTINGS.partitions)]  # type: ignore[list-item]
        return next(name for name in names if nodes.execute([(name, ("EXISTS", name))])[0])


@KINDS
def test_what_a_newer_worker_noted_of_a_customer_outlives_this_ones_events(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    profiles = Profiles(pipeline)
    profiles.add("ada", **NEWER)
    append(pipeline, [event("b", "purchase", product="mug", price=2)])
    pipeline.process()
    stored = profiles.read("ada")
    assert (stored["loyalty"], stored["format"], stored["spend"]) == ({"points": 5}, [1, 1], 20_000)
    assert pipeline.profile("ada").customer.purchases.spend == 20_000


@KINDS
def test_what_a_newer_worker_noted_goes_when_the_customer_is_forgotten(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    profiles = Profiles(pipeline)
    profiles.add("ada", **NEWER)
    append(pipeline, [event("f", "forget", at_ms=event()["timestamp"] + 1), event("b", at_ms=event()["timestamp"] + 2)])
    pipeline.process()
    assert "loyalty" not in profiles.read("ada")


@KINDS
def test_a_profile_that_only_a_newer_worker_reads_stops_this_one(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = Profiles(pipeline)
    profiles.add("ada", format=[2, 2])
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
def test_a_profile_that_is_cut_off_stops_the_worker_and_is_left_as_it_is(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = Profiles(pipeline)
    whole = profiles._raw("ada")
    profiles.write("ada", whole[:-3])
    new_worker(pipeline)
    append(pipeline, [event("b", product="mug")])
    with pytest.raises(Damaged, match=r"customer ada: a customer's profile is damaged .* rebuild it from the log"):
        pipeline.process()
    assert (profiles._raw("ada"), pipeline.container.customer_queries().counts()) == (whole[:-3], before)


@KINDS
def test_what_a_newer_worker_noted_of_a_visitor_goes_to_the_customer(pipeline: Pipeline) -> None:
    append(pipeline, looks("mug"))
    pipeline.process()
    profiles = Profiles(pipeline)
    in_memory = profiles.read("anonymous:s1")["seen"] | {"bloom": b"1"}
    profiles.add("anonymous:s1", **NEWER, seen=in_memory)
    append(pipeline, [login()])
    pipeline.process()
    ada, visitor = profiles.read("ada"), profiles.read("anonymous:s1")
    assert (ada["loyalty"], ada["format"]) == ({"points": 5}, [1, 1])  # this worker may have left out what it knows not
    assert "loyalty" not in visitor
    assert (visitor["seen"]["bloom"], "bloom" in ada["seen"]) == (b"1", False)


def merged(pipeline: Pipeline, change: Callable[[Fields], Fields], profile: Callable[[Fields], Fields]) -> bytes:
    """A visitor's history, as a worker of another release puts it into the log for ada."""
    with opened(embedded("memory", Path(), SETTINGS)) as another:
        append(another, [*looks("mug", session="s9"), login(session="s9")])
        another.process()
        records = [record for some in another.container.memory_log().records for record in some]
        (history,) = [record.value for record in records if b"history_merged" in record.value]
    document: Fields = msgspec.json.decode(history)
    fields = profile(msgspec.msgpack.decode(b64decode(document["history"])))
    document["history"] = b64encode(msgspec.msgpack.encode(fields)).decode()
    return msgspec.json.encode(change(document))


def as_it_is(fields: Fields) -> Fields:
    return fields


@KINDS
def test_a_history_of_a_newer_worker_is_merged_and_what_is_unknown_in_it_kept(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    pipeline.process()
    counts = {"product_viewed": 1, "product_rented": 7}
    value = merged(
        pipeline,
        lambda document: document | {"message_format": [2, 1], "basket": []},
        lambda fields: fields | NEWER | {"counts": counts},
    )
    append(pipeline, [value])
    assert pipeline.process()[RecordClass.APPLIED] == 2
    ada = Profiles(pipeline).read("ada")
    assert ada["loyalty"] == {"points": 5}
    assert ada["counts"] == {"product_viewed": 2, "product_rented": 7, "customer_signed_in": 1}
    assert pipeline.dead_letters() == []


UNREADABLE: dict[str, tuple[Callable[[Fields], Fields], Callable[[Fields], Fields]]] = {
    "a newer message": (lambda document: document | {"message_format": [2, 2]}, as_it_is),
    "a newer message without its fields": (
        lambda _: {"event_type": "history_merged", "message_format": [2, 2]},
        as_it_is,
    ),
    "a newer profile": (as_it_is, lambda fields: fields | {"format": [2, 2]}),
    "a newer profile of other fields": (as_it_is, lambda _: {"format": [2, 2], "spent": {}}),
    "fields that are otherwise": (as_it_is, lambda fields: fields | {"format": [2, 1], "spend": "1.25 EUR"}),
    "a newer message that says otherwise": (
        lambda document: document | {"message_format": [2, 1], "user_id": []},
        as_it_is,
    ),
    "a newer type": (lambda _: {"event_type": "profile_split", "user_id": "ada", "message_format": [3, 2]}, as_it_is),
    "a large one of a newer type": (
        lambda _: {"event_type": "profile_split", "user_id": "ada", "message_format": [3, 2], "x": "x" * 90_000},
        as_it_is,
    ),
}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("unreadable", list(UNREADABLE))
def test_a_message_that_only_a_newer_worker_reads_stops_this_one(pipeline: Pipeline, unreadable: str) -> None:
    """It is no dead letter, and passed over by nobody: the next worker finds it where it lies."""
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    append(pipeline, [merged(pipeline, *UNREADABLE[unreadable]), event("b", product="mug")])
    for _ in range(2):
        with pytest.raises(NewerRelease, match=r"partition \d, position \d: .*upgrade this program"):
            pipeline.process()
        new_worker(pipeline)
    assert pipeline.container.customer_queries().counts() == before
    assert pipeline.dead_letters() == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_worker_that_was_upgraded_goes_on_where_the_older_one_stopped(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pipeline, [merged(pipeline, *UNREADABLE["a newer message"]), event("b", product="mug")])
    with pytest.raises(NewerRelease):
        pipeline.process()
    monkeypatch.setattr(messages, "MESSAGE", Format("a message between customers", 2, 2))
    new_worker(pipeline)
    assert pipeline.process() == {RecordClass.APPLIED: 2}
    assert pipeline.profile("ada").customer.visits.counts[EventKind.PRODUCT_VIEWED] == 2


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_tick_that_only_a_newer_worker_reads_stops_this_one(pipeline: Pipeline) -> None:
    pipeline.container.publisher().publish([Outgoing(TICK_KEY + b"2", b"{}", partition=0)])
    with pytest.raises(NewerRelease, match=r"partition 0, position 0: a tick .*upgrade this program"):
        pipeline.process()
    assert pipeline.container.customer_queries().counts() == {}


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("format_", ["mp4", [1], {}, [3, 1], None])
def test_a_shops_own_field_of_that_name_stops_nobody(pipeline: Pipeline, format_: object) -> None:
    append(pipeline, [event("a", "video_play") | {"message_format": format_}])
    append(pipeline, [event("b", product="mug") | {"message_format": format_}])
    assert pipeline.process() == {RecordClass.IGNORED: 1, RecordClass.APPLIED: 1}


@pytest.mark.parametrize("kind", ["memory"])
def test_nobody_publishes_what_would_stop_the_worker(pipeline: Pipeline) -> None:
    with pytest.raises(InvalidEvents, match="for workers to make"):
        pipeline.publish([event("a", product="mug") | {"message_format": [9, 9]}])


@KINDS
def test_parts_that_only_a_newer_worker_can_add_up_stop_this_one(pipeline: Pipeline) -> None:
    append(pipeline, [event("a", product="mug")])
    before = pipeline.process()
    profiles = Profiles(pipeline)
    profiles.add("ada", **NEWER)
    stored = profiles.read("ada")
    append(pipeline, [merged(pipeline, as_it_is, lambda fields: fields | NEWER)])
    with pytest.raises(NewerRelease, match=r"cannot merge \(both profiles have loyalty\): upgrade this program"):
        pipeline.process()
    assert (profiles.read("ada"), pipeline.container.customer_queries().counts()) == (stored, before)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_parts_of_what_is_merged_that_only_a_newer_worker_knows_stop_this_one(pipeline: Pipeline) -> None:
    def with_dwell(fields: Fields) -> Fields:
        fields["open_sessions"][0]["dwell_ms"] = 5
        return fields

    append(pipeline, [merged(pipeline, as_it_is, with_dwell)])
    with pytest.raises(NewerRelease, match="unknown parts in open_sessions"):
        pipeline.process()


@pytest.mark.parametrize("kind", ["memory"])
def test_the_same_event_of_a_kind_that_only_a_newer_worker_takes_out_stops_this_one(pipeline: Pipeline) -> None:
    def rented(fields: Fields) -> Fields:
        fields["counts"] = {"product_rented": 1}
        fields["contributions"][0][1] = "product_rented"
        return fields

    look = looks("mug", session="s9")[0]
    append(pipeline, [look | {"user_id": "ada"}])
    pipeline.process()
    append(pipeline, [merged(pipeline, as_it_is, rented)])
    with pytest.raises(NewerRelease, match="both profiles have counted the same product_rented"):
        pipeline.process()


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("name", ["x" * 65, "", "a\nb"])
def test_a_history_of_kinds_that_are_no_names_is_a_dead_letter(pipeline: Pipeline, name: str) -> None:
    append(pipeline, [merged(pipeline, as_it_is, lambda fields: fields | {"counts": {name: 1}})])
    assert pipeline.process() == {RecordClass.DEAD_LETTER: 1}


@pytest.mark.parametrize("kind", ["memory"])
def test_a_profile_grows_by_so_many_unknown_fields_only(pipeline: Pipeline) -> None:
    many = {f"new_{number}": number for number in range(70)}
    append(pipeline, [merged(pipeline, as_it_is, lambda fields: fields | many)])
    with pytest.raises(NewerRelease, match="unknown fields"):
        pipeline.process()
    kinds = {f"kind_{number}": 1 for number in range(70)}
    with opened(embedded("memory", Path(), SETTINGS)) as another:
        append(another, [merged(another, as_it_is, lambda fields: fields | {"counts": kinds})])
        with pytest.raises(NewerRelease, match="71 kinds of events"):
            another.process()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_classes_of_records_that_only_a_newer_worker_counts_are_kept(pipeline: Pipeline) -> None:
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
