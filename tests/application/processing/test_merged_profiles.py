"""Merged profiles: a sign-in merges a visitor's profile once and completely, and only workers can append it."""

import copy
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import InvalidEvents, Unavailable
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.state import encode_customer
from tests.support.histories import NOW_MS, Kind, append, embedded, event, opened
from tests.support.visitors import SETTINGS, VISITOR, login, looks, processed


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_messages_that_a_second_store_appends_again_are_duplicates(kind: Kind, tmp_path: Path) -> None:
    """Its worker appends the same messages as the first store's worker, so that the log has each twice."""
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login(), *looks("jug", at_ms=NOW_MS - 40_000))
        before = pipeline.profile("ada").customer
        log = pipeline.container.log()
        assert sum(end for _, end in log.bounds(range(3)).values()) == 5
        publisher = pipeline.container.publisher()
        to_ada = (b"history_merged", b'"user_id":"ada"')
        records = [(key, value) for key, value in _log_records(pipeline) if any(part in value for part in to_ada)]
        assert len(records) == 3
        publisher.publish([Outgoing(key, value) for key, value in records])
        assert pipeline.process()[RecordClass.DUPLICATE] == 3
        assert pipeline.profile("ada").customer == before


def profile_merged(of: Mapping[str, object] = NOTHING, **changed: object) -> dict[str, Any]:
    """A message that merges a visitor's profile into ada's, as a worker writes it, with some fields changed.

    `of` are changed fields of the profile's map.
    """
    profile = Customer(CustomerId(VISITOR), Visits({EventKind.PRODUCT_VIEWED: 1}, first_seen_ms=1, last_seen_ms=1))
    fields = msgspec.msgpack.decode(encode_customer(profile))
    document = {
        "event_type": "history_merged",
        "event_id": "h",
        "user_id": "ada",
        "session_id": "s1",
        "timestamp": NOW_MS - 50_000,
        "history": b64encode(msgspec.msgpack.encode({**fields, **of})).decode(),
    }
    return document | changed


@pytest.mark.parametrize(
    "forged",
    [
        profile_merged(timestamp=2**64),
        profile_merged(timestamp=2**62),
        profile_merged(user_id="anonymous:s2"),
        profile_merged(user_id="a\0b"),
        profile_merged(event_id="e" * 129),
        profile_merged(of={"units": 2**64 - 1}),
        profile_merged(of={"spend": 2**63}),
        profile_merged(of={"affinity": {"kitchen": (math.inf, 1)}}),
        profile_merged(of={"recent": {"mug": 2**62}}),
        profile_merged(of={"last_seen_ms": -5}),
        profile_merged(of={"country": (5, NOW_MS)}),
        profile_merged(of={"country": ("Atlantis", NOW_MS)}),
        profile_merged(of={"recent": {"\n": NOW_MS}}),
        profile_merged(of={"open_sessions": [Session(SessionKey(1), "s1", 1, 1, 1, {ProductId("mug"): (1, -3)})]}),
        profile_merged(of={"open_sessions": [Session(SessionKey(1), "s" * 300, 1, 1, 1)]}),
        profile_merged(of={"counts": {EventKind.PRODUCT_VIEWED: -1}}),
        profile_merged(of={"affinity": {"kitchen": (1e308, 1)}}),
        profile_merged(of={"excluded": -1, "minute": None}),
        profile_merged(of={"excluded": 2**64 - 1, "minute": None}),
        profile_merged(history="no base 64"),
    ],
)
def test_a_forged_profile_is_a_dead_letter(forged: dict[str, Any], tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"))
        before = pipeline.profile("ada").customer
        assert processed(pipeline, forged)[RecordClass.DEAD_LETTER] == 1
        assert pipeline.profile("ada").customer == before


def test_stores_built_from_one_log_merge_each_profile_once(tmp_path: Path) -> None:
    """Each store appends the messages again, when the customer has had more visitors and events than are stored."""
    profile = attrs.evolve(SETTINGS.fold.profile, visitors_max=3, dedup_events=2)
    settings = attrs.evolve(SETTINGS, database=str(tmp_path / "shop.db"), store="memory")
    settings = attrs.evolve(settings, fold=attrs.evolve(settings.fold, profile=profile))
    totals: list[tuple[int, int, int]] = []
    for _ in range(4):  # each store is built from the log alone
        with opened(settings) as pipeline:
            if not totals:
                for number in range(20):
                    session, at_ms = f"s{number}", NOW_MS - 90_000 + 1_000 * number
                    bought = event(
                        f"b{number}", "purchase", user=None, session=session, product="mug", price=1, at_ms=at_ms
                    )
                    views = [event(f"a{number}-{n}", user="ada", product="pan", at_ms=at_ms + 2 + n) for n in range(5)]
                    append(pipeline, [bought, login(session=session, at_ms=at_ms + 1), *views])
                    pipeline.process()
            pipeline.process()
            ada = pipeline.profile("ada").customer
            totals.append(
                (ada.purchases.spend, ada.visits.counts[EventKind.CUSTOMER_SIGNED_IN], len(ada.aliases.visitors))
            )
    assert totals == [(20 * 10_000, 20, 3)] * 4


def test_a_message_that_could_not_be_published_is_published_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(embedded("memory", tmp_path, SETTINGS)) as pipeline:
        append(pipeline, [*looks("mug"), login()])
        publisher = pipeline.container.publisher()
        publish, failed = publisher.publish, False

        def fail_once(records: Sequence[Outgoing]) -> None:
            nonlocal failed
            if not failed:
                failed = True
                raise Unavailable("the log is held")
            publish(records)

        monkeypatch.setattr(publisher, "publish", fail_once)
        with pytest.raises(Unavailable, match="the log is held"):
            pipeline.process()
        assert processed(pipeline) == {RecordClass.APPLIED: 3}
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}


def test_sums_of_merged_profiles_are_capped_at_64_bits(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        messages = [
            profile_merged(event_id=f"h{number}", of={"units": -(2**53), "orders_placed": 2**53})
            for number in range(1_100)
        ]
        append(pipeline, messages)
        assert pipeline.process() == {RecordClass.APPLIED: 1_100}
        ada = pipeline.profile("ada").customer
        assert (ada.purchases.units, ada.purchases.orders_placed) == (-(2**63 - 1), 2**63 - 1)


def test_a_profile_cannot_be_published_as_an_event() -> None:
    with (
        Pipeline(Settings(log="memory", store="memory")) as pipeline,
        pytest.raises(InvalidEvents, match=r"copies .* are for workers to make"),
    ):
        pipeline.publish([profile_merged()])


def test_a_repeated_profile_does_not_change_the_seen_events() -> None:
    """Otherwise the profile in memory would differ from the stored profile, and the result depend on the batches."""
    visitor, ada = CustomerId(VISITOR), CustomerId("ada")
    merged = ProfileMerged("h", ada, visitor, 1_000, Customer(visitor, Visits(first_seen_ms=1, last_seen_ms=1)))
    customers = {ada: Customer(ada)}
    settings, watermark = FoldSettings(profile=ProfileSettings(dedup_events=1)), Watermark()
    _, watermark = fold([(Record(0, 0, None, b"", 2_000), merged)], customers, watermark, settings)
    view = Event("e", EventKind.PRODUCT_VIEWED, ada, 1_500)
    fold(
        [(Record(0, position, None, b"", 2_000), view._replace(event_id=f"e{position}")) for position in (1, 2, 3)],
        customers,
        watermark,
        settings,
    )
    before = copy.deepcopy(customers[ada].seen)
    effects, _ = fold([(Record(0, 4, None, b"", 2_000), merged)], customers, watermark, settings)
    assert effects.counts == {RecordClass.DUPLICATE: 1}
    assert (customers[ada].seen, effects.customers) == (before, {})


def _log_records(pipeline: Pipeline) -> list[tuple[bytes | None, bytes]]:
    if pipeline.container.settings().log == "memory":
        return [(record.key, record.value) for records in pipeline.container.memory_log().records for record in records]
    return pipeline.container.database().rows("SELECT key, value FROM records")
