"""What visitors hand on when they sign in: once, whole, and from nobody but workers."""

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
def test_a_second_store_built_from_the_same_log_counts_nothing_twice(kind: Kind, tmp_path: Path) -> None:
    """It says again what the first had said; whoever reads the log then finds it twice."""
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login(), *looks("jug", at_ms=NOW_MS - 40_000))
        before = pipeline.profile("ada").customer
        log = pipeline.container.log()
        assert sum(end for _, end in log.bounds(range(3)).values()) == 5
        publisher = pipeline.container.publisher()
        said = (b"history_merged", b'"user_id":"ada"')
        records = [(key, value) for key, value in _all(pipeline) if any(words in value for words in said)]
        assert len(records) == 3
        publisher.publish([Outgoing(key, value) for key, value in records])
        assert pipeline.process()[RecordClass.DUPLICATE] == 3
        assert pipeline.profile("ada").customer == before


def history(of: Mapping[str, object] = NOTHING, **changed: object) -> dict[str, Any]:
    """What a worker would have written, with something wrong in it; `of` are fields of the profile's map."""
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
        history(timestamp=2**64),
        history(timestamp=2**62),
        history(user_id="anonymous:s2"),
        history(user_id="a\0b"),
        history(event_id="e" * 129),
        history(of={"units": 2**64 - 1}),
        history(of={"spend": 2**63}),
        history(of={"affinity": {"kitchen": (math.inf, 1)}}),
        history(of={"recent": {"mug": 2**62}}),
        history(of={"last_seen_ms": -5}),
        history(of={"country": (5, NOW_MS)}),
        history(of={"country": ("Atlantis", NOW_MS)}),
        history(of={"recent": {"\n": NOW_MS}}),
        history(of={"open_sessions": [Session(SessionKey(1), "s1", 1, 1, 1, {ProductId("mug"): (1, -3)})]}),
        history(of={"open_sessions": [Session(SessionKey(1), "s" * 300, 1, 1, 1)]}),
        history(of={"counts": {EventKind.PRODUCT_VIEWED: -1}}),
        history(of={"affinity": {"kitchen": (1e308, 1)}}),
        history(history="no base 64"),
    ],
)
def test_a_history_that_no_worker_would_write_is_a_dead_letter(forged: dict[str, Any], tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"))
        before = pipeline.profile("ada").customer
        assert processed(pipeline, forged)[RecordClass.DEAD_LETTER] == 1
        assert pipeline.profile("ada").customer == before


def test_a_store_built_beside_another_counts_histories_once(tmp_path: Path) -> None:
    """It says them again, when the customer has had many more visitors since, and more events than are remembered."""
    profile = attrs.evolve(SETTINGS.fold.profile, visitors_max=3, dedup_events=2)
    settings = attrs.evolve(SETTINGS, database=str(tmp_path / "shop.db"), store="memory")
    settings = attrs.evolve(settings, fold=attrs.evolve(settings.fold, profile=profile))
    spent: list[tuple[int, int, int]] = []
    for _ in range(4):  # each with nothing but the log
        with opened(settings) as pipeline:
            if not spent:
                for number in range(20):
                    session, at_ms = f"s{number}", NOW_MS - 90_000 + 1_000 * number
                    bought = event(
                        f"b{number}", "purchase", user=None, session=session, product="mug", price=1, at_ms=at_ms
                    )
                    looks_ = [event(f"a{number}-{n}", user="ada", product="pan", at_ms=at_ms + 2 + n) for n in range(5)]
                    append(pipeline, [bought, login(session=session, at_ms=at_ms + 1), *looks_])
                    pipeline.process()
            pipeline.process()
            ada = pipeline.profile("ada").customer
            spent.append(
                (ada.purchases.spend, ada.visits.counts[EventKind.CUSTOMER_SIGNED_IN], len(ada.aliases.visitors))
            )
    assert spent == [(20 * 10_000, 20, 3)] * 4


def test_a_history_that_could_not_be_handed_on_is_handed_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(embedded("memory", tmp_path, SETTINGS)) as pipeline:
        append(pipeline, [*looks("mug"), login()])
        publisher = pipeline.container.publisher()
        publish, failed = publisher.publish, False

        def fails_once(records: Sequence[Outgoing]) -> None:
            nonlocal failed
            if not failed:
                failed = True
                raise Unavailable("the log is held")
            publish(records)

        monkeypatch.setattr(publisher, "publish", fails_once)
        with pytest.raises(Unavailable, match="the log is held"):
            pipeline.process()
        assert processed(pipeline) == {RecordClass.APPLIED: 3}
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}


def test_histories_that_add_up_to_more_than_stores_hold_stop_at_that(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        many = [
            history(event_id=f"h{number}", of={"units": -(2**53), "orders_placed": 2**53}) for number in range(1_100)
        ]
        append(pipeline, many)
        assert pipeline.process() == {RecordClass.APPLIED: 1_100}
        ada = pipeline.profile("ada").customer
        assert (ada.purchases.units, ada.purchases.orders_placed) == (-(2**63 - 1), 2**63 - 1)


def test_only_workers_say_what_visitors_had_done() -> None:
    with (
        Pipeline(Settings(log="memory", store="memory")) as pipeline,
        pytest.raises(InvalidEvents, match=r"copies .* are for workers to make"),
    ):
        pipeline.publish([history()])


def test_a_history_that_comes_again_leaves_no_trace_in_the_customers_memory() -> None:
    """Else what is in memory would differ from what is stored, and the fold depend on how the log is cut."""
    visitor, ada = CustomerId(VISITOR), CustomerId("ada")
    merged = ProfileMerged("h", ada, visitor, 1_000, Customer(visitor, Visits(first_seen_ms=1, last_seen_ms=1)))
    customers = {ada: Customer(ada)}
    rules, mark = FoldSettings(profile=ProfileSettings(dedup_events=1)), Watermark()
    _, mark = fold([(Record(0, 0, None, b"", 2_000), merged)], customers, mark, rules)
    looked = Event("e", EventKind.PRODUCT_VIEWED, ada, 1_500)
    fold(
        [(Record(0, position, None, b"", 2_000), looked._replace(event_id=f"e{position}")) for position in (1, 2, 3)],
        customers,
        mark,
        rules,
    )
    before = copy.deepcopy(customers[ada].seen)
    effects, _ = fold([(Record(0, 4, None, b"", 2_000), merged)], customers, mark, rules)
    assert effects.counts == {RecordClass.DUPLICATE: 1}
    assert (customers[ada].seen, effects.customers) == (before, {})


def _all(pipeline: Pipeline) -> list[tuple[bytes | None, bytes]]:
    if pipeline.container.settings().log == "memory":
        return [(one.key, one.value) for records in pipeline.container.memory_log().records for one in records]
    return pipeline.container.database().rows("SELECT key, value FROM records")
