"""Visitors who sign in, on every store."""

import math
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import InvalidEvents, Unavailable, UnknownCustomer
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.profile_rules import ProfileRules
from realtime_pipeline.domain.shop.session import Session, SessionKey
from realtime_pipeline.domain.shop.sign_in import HistoryMerged
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.rules import FoldRules
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.events import EventLimits
from realtime_pipeline.infrastructure.codecs.state import encode_customer
from tests.histories import KINDS, NOW_MS, Kind, SetClock, append, differences, embedded, event, opened

SETTINGS = Settings(partitions=3)
VISITOR = "anonymous:s1"


def looks(*products: str, at_ms: int = NOW_MS - 90_000, session: str = "s1") -> list[dict[str, Any]]:
    return [
        event(f"{session}-{name}-{at_ms}", user=None, session=session, product=name, category="kitchen", at_ms=at_ms)
        for name in products
    ]


def login(user: str = "ada", session: str = "s1", at_ms: int = NOW_MS - 50_000) -> dict[str, Any]:
    return event(f"login-{user}-{session}-{at_ms}", "login", user=user, session=session, at_ms=at_ms)


def processed(pipeline: Pipeline, *events: dict[str, Any]) -> dict[RecordClass, int]:
    append(pipeline, events)
    counts = dict(pipeline.process())
    assert differences(pipeline) == []
    return counts


@KINDS
def test_what_a_visitor_did_is_the_customers_after_sign_in(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        bought = event("b", "purchase", user=None, session="s1", product="mug", price=2, quantity=3, order_id="o")
        before = event("a", user="ada", product="pan", category="garden", at_ms=NOW_MS - 95_000)
        assert processed(pipeline, before, *looks("mug", "jug"), bought, login()) == {RecordClass.APPLIED: 6}
        ada = pipeline.profile("ada").customer
        assert sum(ada.counts.values()) == 5
        assert (ada.spend, ada.units, ada.orders_placed, list(ada.orders)) == (60_000, 3, 1, ["o"])
        assert ada.recent.keys() == {"pan", "mug", "jug"}
        assert ada.affinity.keys() == {"garden", "kitchen"}
        assert {session.session_id for session in ada.open_sessions} == {None, "s1"}
        assert pipeline.profile(VISITOR).customer == ada
        assert [one.product.product_id for one in pipeline.recommend(VISITOR)] == [
            one.product.product_id for one in pipeline.recommend("ada")
        ]


@KINDS
def test_what_the_visitor_does_later_is_forwarded_and_the_session_goes_on(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login())
        later = looks("jug", at_ms=NOW_MS - 40_000)
        own = event("own", user="ada", session="s1", product="pan", at_ms=NOW_MS - 30_000)
        counts = processed(pipeline, *later, own)
        assert counts[RecordClass.FORWARDED] == 1
        (session,) = pipeline.profile("ada").customer.open_sessions
        assert (session.session_id, session.events, set(session.products)) == ("s1", 3, {"mug", "jug", "pan"})
        again = processed(pipeline, *later, login())
        assert (again[RecordClass.DUPLICATE], again[RecordClass.FORWARDED]) == (2, 1)  # told by the visitor's memory
        assert pipeline.profile("ada").customer.open_sessions[0].events == 3


@KINDS
def test_a_visitor_without_a_past_signs_in(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        assert processed(pipeline, login()) == {RecordClass.APPLIED: 2}
        assert processed(pipeline, *looks("mug", at_ms=NOW_MS - 40_000))[RecordClass.FORWARDED] == 1
        assert pipeline.profile("ada").customer.recent.keys() == {"mug"}


@KINDS
def test_another_customer_signs_in_on_the_same_device(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login("ada"), login("bob", at_ms=NOW_MS - 45_000))
        processed(pipeline, *looks("jug", at_ms=NOW_MS - 40_000))
        assert pipeline.profile("ada").customer.recent.keys() == {"mug"}
        assert pipeline.profile("bob").customer.recent.keys() == {"jug"}


@KINDS
def test_with_the_customer_their_visitors_are_forgotten(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        review = event("r", "review", user=None, session="s1", product="mug", rating=4, text="by s1")
        processed(pipeline, *looks("mug"), review, *looks("jug", session="s2"), login(), login(session="s2"))
        cells = pipeline.container.cells()
        assert len(cells.reviews(CustomerId(VISITOR))) == 1
        with pytest.raises(UnknownCustomer, match=f"{VISITOR} has signed in, and is ada since: forget that one"):
            pipeline.forget(VISITOR)
        pipeline.forget("ada")
        pipeline.process()
        assert differences(pipeline) == []
        assert list(cells.scan()) == []
        assert cells.reviews(CustomerId(VISITOR)) == []
        replayed = processed(pipeline, *looks("mug"), review, login())
        assert replayed[RecordClass.FORGOTTEN] == 3  # nothing brings them back
        assert list(cells.scan()) == []


@KINDS
def test_a_sign_in_that_comes_after_the_customer_was_forgotten_takes_the_visitor_along(
    kind: Kind, tmp_path: Path
) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"), *looks("mug"))
        pipeline.forget("ada")
        pipeline.process()
        counts = processed(pipeline, login())
        assert counts[RecordClass.FORGOTTEN] == 1
        assert list(pipeline.container.cells().scan()) == []


@KINDS
def test_over_the_limit_the_visitor_of_longest_ago_is_forgotten(kind: Kind, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, fold=FoldRules(profile=ProfileRules(visitors_max=2)))
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        for number in range(3):
            processed(pipeline, *looks("mug", session=f"s{number}"), login(session=f"s{number}"))
        assert list(pipeline.profile("ada").customer.visitors) == ["anonymous:s1", "anonymous:s2"]
        assert pipeline.container.cells().customer(CustomerId("anonymous:s0")) is None
        assert pipeline.profile("ada").customer.counts.keys() >= {"product_viewed"}


@KINDS
def test_who_signs_in_again_is_not_the_one_of_longest_ago(kind: Kind, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, fold=FoldRules(profile=ProfileRules(visitors_max=2)))
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        for number in range(2):
            processed(pipeline, *looks("mug", session=f"s{number}"), login(session=f"s{number}"))
        later = [login("bob", "s0", NOW_MS - 40_000), login("ada", "s0", NOW_MS - 30_000)]
        processed(pipeline, *later)
        processed(pipeline, *looks("mug", session="s2"), login(session="s2"))
        assert list(pipeline.profile("ada").customer.visitors) == ["anonymous:s0", "anonymous:s2"]


@KINDS
def test_a_forgetting_stays_done_when_a_visitor_turns_out_to_be_who_was_forgotten(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"), *looks("mug", at_ms=NOW_MS - 90_000))
        forgetting = pipeline.forget("ada")
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        processed(pipeline, login(at_ms=forgetting.as_of_ms + 1_000))
        assert pipeline.profile("ada").customer.recent.keys() == {"mug"}
        assert pipeline.receipt(forgetting).is_done


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


@KINDS
def test_long_ids_do_not_keep_visitors_from_being_forgotten(kind: Kind, tmp_path: Path) -> None:
    long, id_ = "s" * 128, "e" * 128
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        sign_in = event(id_, "login", user="ada", session=long, at_ms=NOW_MS - 50_000)
        first = event("a", user=None, session=long, product="mug", at_ms=NOW_MS - 90_000)
        processed(pipeline, first, sign_in)
        assert pipeline.profile("ada").customer.recent.keys() == {"mug"}
        pipeline.forget("ada")
        pipeline.process()
        assert differences(pipeline) == []
        assert list(pipeline.container.cells().scan()) == []
        # One who is found to be the customer only afterwards goes the same way.
        other = "x" * 128
        looked = event("b", user=None, session=other, product="jug", at_ms=NOW_MS - 90_000)
        processed(pipeline, looked, event("c" * 128, "login", user="ada", session=other, at_ms=NOW_MS - 50_000))
        assert list(pipeline.container.cells().scan()) == []
        assert pipeline.dead_letters() == []


@KINDS
def test_what_workers_write_may_be_larger_than_what_comes_in(kind: Kind, tmp_path: Path) -> None:
    small = attrs.evolve(SETTINGS, events=EventLimits(record_bytes_max=600))
    with opened(embedded(kind, tmp_path, small)) as pipeline:
        processed(pipeline, *looks(*(f"product-{number}" * 3 for number in range(20))), login())
        assert len(pipeline.profile("ada").customer.recent) == 20
        full = event("f", user=None, session="s1", product="mug", text="", at_ms=NOW_MS - 40_000)
        full["properties"]["text"] = "x" * (600 - len(msgspec.json.encode(full)))
        counts = processed(pipeline, full)
        assert (counts[RecordClass.FORWARDED], pipeline.dead_letters()) == (1, [])
        assert "mug" in pipeline.profile("ada").customer.recent


def history(**changed: object) -> dict[str, Any]:
    """What a worker would have written, with something wrong in it."""
    said = Customer(CustomerId(VISITOR), first_seen_ms=1, last_seen_ms=1, counts={EventKind.PRODUCT_VIEWED: 1})
    document = {
        "event_type": "history_merged",
        "event_id": "h",
        "user_id": "ada",
        "session_id": "s1",
        "timestamp": NOW_MS - 50_000,
        "history": b64encode(encode_customer(attrs.evolve(said, **changed.pop("of", {})))).decode(),  # type: ignore[arg-type]
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
    profile = attrs.evolve(SETTINGS.fold.profile, visitors_max=3, remembered_events=2)
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
            spent.append((ada.spend, ada.counts[EventKind.CUSTOMER_SIGNED_IN], len(ada.visitors)))
    assert spent == [(20 * 10_000, 20, 3)] * 4


@KINDS
def test_what_visitors_of_like_names_did_is_all_there(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        logins = [login(session="a") | {"event_id": "b/c"}, login(session="a/b") | {"event_id": "c"}]
        processed(pipeline, *looks("mug", session="a"), *looks("jug", session="a/b"), *logins)
        ada = pipeline.profile("ada").customer
        assert (set(ada.recent), set(ada.visitors)) == ({"mug", "jug"}, {"anonymous:a", "anonymous:a/b"})
        pipeline.forget("ada")
        pipeline.process()
        assert list(pipeline.container.cells().scan()) == []


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
        assert pipeline.profile("ada").customer.recent.keys() == {"mug"}


@KINDS
def test_what_was_taken_in_is_done_though_the_clock_goes_back(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path, SETTINGS), clock) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan", at_ms=NOW_MS))
        append(pipeline, [*looks("mug", at_ms=NOW_MS), login(at_ms=NOW_MS)])
        clock.at_ms -= 3_600_000
        processed(pipeline)
        assert pipeline.profile("ada").customer.recent.keys() == {"pan", "mug"}
        forgetting = pipeline.forget("ada")
        processed(pipeline)
        assert pipeline.receipt(forgetting).is_done
        assert pipeline.dead_letters() == []
        assert list(pipeline.container.cells().scan()) == []


@KINDS
def test_who_is_forgotten_is_not_done_with_while_something_of_their_visits_is_there(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, attrs.evolve(SETTINGS, partitions=1))) as pipeline:
        said = event("r", "review", user=None, session="s1", product="mug", rating=1, text="secret")
        processed(pipeline, *looks("mug"), said, login())
        forgetting = pipeline.forget("ada")
        assert (forgetting.reviews, forgetting.visitors) == (1, (VISITOR,))
        left = []
        pipeline.container.process_events().catch_up(lambda _: left.append(pipeline.receipt(forgetting)))
        with_visitor = [one for one in left if one.left["reviews"]]
        assert with_visitor
        assert not any(one.is_done for one in with_visitor)
        assert pipeline.receipt(forgetting).is_done
        assert pipeline.container.cells().reviews(CustomerId(VISITOR)) == []


def test_histories_that_add_up_to_more_than_stores_hold_stop_at_that(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path, SETTINGS)) as pipeline:
        many = [
            history(event_id=f"h{number}", of={"units": -(2**53), "orders_placed": 2**53}) for number in range(1_100)
        ]
        append(pipeline, many)
        assert pipeline.process() == {RecordClass.APPLIED: 1_100}
        ada = pipeline.profile("ada").customer
        assert (ada.units, ada.orders_placed) == (-(2**63 - 1), 2**63 - 1)


@KINDS
def test_what_is_forwarded_is_no_larger_than_it_came(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login())
        late = msgspec.json.encode(event("n", user=None, session="s1", product="jug", numbers=0, at_ms=NOW_MS - 40_000))
        append(pipeline, [late.replace(b'"numbers":0', b'"numbers":[%b]' % b",".join([b"1e15"] * 12_000))])
        assert pipeline.process()[RecordClass.FORWARDED] == 1
        assert pipeline.dead_letters() == []
        assert "jug" in pipeline.profile("ada").customer.recent


def test_only_workers_say_what_visitors_had_done() -> None:
    with (
        Pipeline(Settings(log="memory", store="memory")) as pipeline,
        pytest.raises(InvalidEvents, match="for workers"),
    ):
        pipeline.publish([history()])


def test_a_history_that_comes_again_leaves_no_trace_in_the_customers_memory() -> None:
    """Else what is in memory would differ from what is stored, and the fold depend on how the log is cut."""
    visitor, ada = CustomerId(VISITOR), CustomerId("ada")
    merged = HistoryMerged("h", ada, visitor, 1_000, Customer(visitor, first_seen_ms=1, last_seen_ms=1))
    customers = {ada: Customer(ada)}
    rules, mark = FoldRules(profile=ProfileRules(remembered_events=1)), Watermark()
    _, mark = fold([(Record(0, 0, None, b"", 2_000), merged)], customers, mark, rules)
    looked = Event("e", EventKind.PRODUCT_VIEWED, ada, 1_500)
    fold(
        [(Record(0, position, None, b"", 2_000), looked._replace(event_id=f"e{position}")) for position in (1, 2, 3)],
        customers,
        mark,
        rules,
    )
    before = attrs.evolve(customers[ada].memory)
    effects, _ = fold([(Record(0, 4, None, b"", 2_000), merged)], customers, mark, rules)
    assert effects.counts == {RecordClass.DUPLICATE: 1}
    assert (customers[ada].memory, effects.customers) == (before, {})


def _all(pipeline: Pipeline) -> list[tuple[bytes | None, bytes]]:
    if pipeline.container.settings().log == "memory":
        return [(one.key, one.value) for records in pipeline.container.memory_log().records for one in records]
    return pipeline.container.database().rows("SELECT key, value FROM records")
