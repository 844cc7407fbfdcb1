"""Visitors who sign in: their profiles are merged, later events forwarded, and both are forgotten together."""

from pathlib import Path

import attrs
import msgspec
import pytest

from realtime_pipeline.application.errors import UnknownCustomer
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.events import EventLimits
from tests.support.histories import KINDS, NOW_MS, Kind, SetClock, append, differences, embedded, event, opened
from tests.support.visitors import SETTINGS, VISITOR, login, looks, processed


@KINDS
def test_a_sign_in_merges_the_visitors_profile_into_the_customers(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        bought = event("b", "purchase", user=None, session="s1", product="mug", price=2, quantity=3, order_id="o")
        before = event("a", user="ada", product="pan", category="garden", at_ms=NOW_MS - 95_000)
        assert processed(pipeline, before, *looks("mug", "jug"), bought, login()) == {RecordClass.APPLIED: 6}
        ada = pipeline.profile("ada").customer
        assert sum(ada.visits.counts.values()) == 5
        assert (ada.purchases.spend, ada.purchases.units, ada.purchases.orders_placed, list(ada.purchases.orders)) == (
            60_000,
            3,
            1,
            ["o"],
        )
        assert ada.interests.recent.keys() == {"pan", "mug", "jug"}
        assert ada.interests.affinity.keys() == {"garden", "kitchen"}
        assert {session.session_id for session in ada.visits.open_sessions} == {None, "s1"}
        assert pipeline.profile(VISITOR).customer == ada
        assert [item.product.product_id for item in pipeline.recommend(VISITOR)] == [
            item.product.product_id for item in pipeline.recommend("ada")
        ]


@KINDS
def test_later_events_of_the_visitor_are_forwarded_and_continue_the_session(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login())
        later = looks("jug", at_ms=NOW_MS - 40_000)
        own = event("own", user="ada", session="s1", product="pan", at_ms=NOW_MS - 30_000)
        counts = processed(pipeline, *later, own)
        assert counts[RecordClass.FORWARDED] == 1
        (session,) = pipeline.profile("ada").customer.visits.open_sessions
        assert (session.session_id, session.events, set(session.products)) == ("s1", 3, {"mug", "jug", "pan"})
        again = processed(pipeline, *later, login())
        assert (again[RecordClass.DUPLICATE], again[RecordClass.FORWARDED]) == (2, 1)  # by the visitor's seen events
        assert pipeline.profile("ada").customer.visits.open_sessions[0].events == 3


@KINDS
def test_a_visitor_without_a_profile_signs_in(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        assert processed(pipeline, login()) == {RecordClass.APPLIED: 2}
        assert processed(pipeline, *looks("mug", at_ms=NOW_MS - 40_000))[RecordClass.FORWARDED] == 1
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}


@KINDS
def test_another_customer_signs_in_on_the_same_device(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login("ada"), login("bob", at_ms=NOW_MS - 45_000))
        processed(pipeline, *looks("jug", at_ms=NOW_MS - 40_000))
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}
        assert pipeline.profile("bob").customer.interests.recent.keys() == {"jug"}


@KINDS
def test_visitors_are_forgotten_with_their_customer(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        review = event("r", "review", user=None, session="s1", product="mug", rating=4, text="by s1")
        processed(pipeline, *looks("mug"), review, *looks("jug", session="s2"), login(), login(session="s2"))
        customers = pipeline.container.customer_queries()
        assert len(customers.reviews(CustomerId(VISITOR))) == 1
        with pytest.raises(UnknownCustomer, match=f"{VISITOR} is a visitor who has signed in as ada: forget ada"):
            pipeline.forget(VISITOR)
        pipeline.forget("ada")
        pipeline.process()
        assert differences(pipeline) == []
        assert list(customers.scan()) == []
        assert customers.reviews(CustomerId(VISITOR)) == []
        replayed = processed(pipeline, *looks("mug"), review, login())
        assert replayed[RecordClass.FORGOTTEN] == 3  # replayed events bring nobody back
        assert list(customers.scan()) == []


@KINDS
def test_a_late_sign_in_of_a_forgotten_customer_forgets_the_visitor(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"), *looks("mug"))
        pipeline.forget("ada")
        pipeline.process()
        counts = processed(pipeline, login())
        assert counts[RecordClass.FORGOTTEN] == 1
        assert list(pipeline.container.customer_queries().scan()) == []


@KINDS
def test_over_the_limit_the_visitor_who_signed_in_first_is_forgotten(kind: Kind, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, fold=FoldSettings(profile=ProfileSettings(visitors_max=2)))
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        for number in range(3):
            processed(pipeline, *looks("mug", session=f"s{number}"), login(session=f"s{number}"))
        assert list(pipeline.profile("ada").customer.aliases.visitors) == ["anonymous:s1", "anonymous:s2"]
        assert pipeline.container.customer_queries().read_customer(CustomerId("anonymous:s0")) is None
        assert pipeline.profile("ada").customer.visits.counts.keys() >= {"product_viewed"}


@KINDS
def test_a_visitor_who_signs_in_again_counts_as_the_newest(kind: Kind, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, fold=FoldSettings(profile=ProfileSettings(visitors_max=2)))
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        for number in range(2):
            processed(pipeline, *looks("mug", session=f"s{number}"), login(session=f"s{number}"))
        later = [login("bob", "s0", NOW_MS - 40_000), login("ada", "s0", NOW_MS - 30_000)]
        processed(pipeline, *later)
        processed(pipeline, *looks("mug", session="s2"), login(session="s2"))
        assert list(pipeline.profile("ada").customer.aliases.visitors) == ["anonymous:s0", "anonymous:s2"]


@KINDS
def test_a_receipt_stays_done_when_a_visitor_signs_in_as_the_forgotten_customer(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path, SETTINGS), clock) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan"), *looks("mug", at_ms=NOW_MS - 90_000))
        forgetting = pipeline.forget("ada")
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        clock.at_ms += 2_000
        processed(pipeline, login(at_ms=forgetting.as_of_ms + 1_000))
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}
        assert pipeline.receipt(forgetting).is_done


@KINDS
def test_visitors_with_long_ids_are_forgotten(kind: Kind, tmp_path: Path) -> None:
    long, id_ = "s" * 128, "e" * 128
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        sign_in = event(id_, "login", user="ada", session=long, at_ms=NOW_MS - 50_000)
        first = event("a", user=None, session=long, product="mug", at_ms=NOW_MS - 90_000)
        processed(pipeline, first, sign_in)
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"mug"}
        pipeline.forget("ada")
        pipeline.process()
        assert differences(pipeline) == []
        assert list(pipeline.container.customer_queries().scan()) == []
        # A visitor who signs in only after the customer was forgotten is forgotten as well.
        other = "x" * 128
        looked = event("b", user=None, session=other, product="jug", at_ms=NOW_MS - 90_000)
        processed(pipeline, looked, event("c" * 128, "login", user="ada", session=other, at_ms=NOW_MS - 50_000))
        assert list(pipeline.container.customer_queries().scan()) == []
        assert pipeline.dead_letters() == []


@KINDS
def test_records_from_workers_may_exceed_the_size_limit_of_events(kind: Kind, tmp_path: Path) -> None:
    small = attrs.evolve(SETTINGS, events=EventLimits(record_bytes_max=600))
    with opened(embedded(kind, tmp_path, small)) as pipeline:
        processed(pipeline, *looks(*(f"product-{number}" * 3 for number in range(20))), login())
        assert len(pipeline.profile("ada").customer.interests.recent) == 20
        full = event("f", user=None, session="s1", product="mug", text="", at_ms=NOW_MS - 40_000)
        full["properties"]["text"] = "x" * (600 - len(msgspec.json.encode(full)))
        counts = processed(pipeline, full)
        assert (counts[RecordClass.FORWARDED], pipeline.dead_letters()) == (1, [])
        assert "mug" in pipeline.profile("ada").customer.interests.recent


@KINDS
def test_visitors_with_similar_ids_are_all_merged(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        logins = [login(session="a") | {"event_id": "b/c"}, login(session="a/b") | {"event_id": "c"}]
        processed(pipeline, *looks("mug", session="a"), *looks("jug", session="a/b"), *logins)
        ada = pipeline.profile("ada").customer
        assert (set(ada.interests.recent), set(ada.aliases.visitors)) == (
            {"mug", "jug"},
            {"anonymous:a", "anonymous:a/b"},
        )
        pipeline.forget("ada")
        pipeline.process()
        assert list(pipeline.container.customer_queries().scan()) == []


@KINDS
def test_appended_records_are_processed_although_the_clock_is_set_back(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path, SETTINGS), clock) as pipeline:
        processed(pipeline, event("a", user="ada", product="pan", at_ms=NOW_MS))
        append(pipeline, [*looks("mug", at_ms=NOW_MS), login(at_ms=NOW_MS)])
        clock.at_ms -= 3_600_000
        processed(pipeline)
        assert pipeline.profile("ada").customer.interests.recent.keys() == {"pan", "mug"}
        forgetting = pipeline.forget("ada")
        processed(pipeline)
        assert pipeline.receipt(forgetting).is_done
        assert pipeline.dead_letters() == []
        assert list(pipeline.container.customer_queries().scan()) == []


@KINDS
def test_a_receipt_is_not_done_while_a_review_of_a_visitor_is_stored(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, attrs.evolve(SETTINGS, partitions=1))) as pipeline:
        review = event("r", "review", user=None, session="s1", product="mug", rating=1, text="secret")
        processed(pipeline, *looks("mug"), review, login())
        forgetting = pipeline.forget("ada")
        assert (forgetting.reviews, forgetting.visitors) == (1, (VISITOR,))
        receipts = []
        pipeline.container.worker().catch_up(lambda _: receipts.append(pipeline.receipt(forgetting)))
        with_review = [receipt for receipt in receipts if receipt.left["reviews"]]
        assert with_review
        assert not any(receipt.is_done for receipt in with_review)
        assert pipeline.receipt(forgetting).is_done
        assert pipeline.container.customer_queries().reviews(CustomerId(VISITOR)) == []


@KINDS
def test_a_forwarded_event_is_no_larger_than_the_original(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path, SETTINGS)) as pipeline:
        processed(pipeline, *looks("mug"), login())
        late = msgspec.json.encode(event("n", user=None, session="s1", product="jug", numbers=0, at_ms=NOW_MS - 40_000))
        append(pipeline, [late.replace(b'"numbers":0', b'"numbers":[%b]' % b",".join([b"1e15"] * 12_000))])
        assert pipeline.process()[RecordClass.FORWARDED] == 1
        assert pipeline.dead_letters() == []
        assert "jug" in pipeline.profile("ada").customer.interests.recent
