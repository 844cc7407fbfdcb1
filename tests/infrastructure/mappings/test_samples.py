"""Events in the shapes of public samples, with values of our own: each is applied or ignored as docs/events.md says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from realtime_pipeline.domain.mapping.definitions import EventMapping, FieldSpec
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.infrastructure.mappings.published import FIXTURES, Shop, shop_with

VIDEO: Final = EventLimits(custom=("video_play", "video_complete"))


@contextmanager
def sample(name: str, by: str = "", **settings: Any) -> Iterator[Shop]:
    with shop_with(f"samples/{name}.jsonl", by, **settings) as shop:
        yield shop


def test_viewings_are_ignored_until_their_types_are_named() -> None:
    with sample("viewing-nested") as shop:
        assert shop.counts == {"ignored": 4}
    with sample("viewing-nested", event_types={"video_play": "view"}) as shop:
        assert shop.counts == {"applied": 2, "duplicate": 1, "ignored": 1}
        assert shop.profile("ada")[3] == {"product_viewed": 1}
        assert [product.product_id for product in shop.pipeline.profile("ada").recent] == ["film-1"]  # its content_id


def test_viewings_of_a_type_of_the_shop_s_own_are_counted_by_it() -> None:
    with sample("viewing-nested", events=VIDEO) as shop:
        assert shop.counts == {"applied": 3, "duplicate": 1}
        assert shop.profile("ada") == (0.0, 0, 0, {"custom:video_play": 1, "custom:video_complete": 1})
        assert shop.profile("bob")[3] == {"custom:video_play": 1}
        assert shop.pipeline.profile("ada").as_dict()["country"] is None  # a location is no country


def test_flat_viewings_without_ids_count_each() -> None:
    with sample("viewing-flat", events=VIDEO) as shop:
        assert shop.counts == {"applied": 3}
        assert shop.profile("ada")[3] == {"custom:video_play": 2}
    with sample("viewing-flat") as shop:
        assert shop.counts == {"ignored": 3}


def test_shop_events_that_share_an_id_count_once() -> None:
    with sample("shop") as shop:
        assert shop.counts == {"applied": 2, "duplicate": 1}  # ada's two views are in one millisecond
        assert shop.profile("ada")[3] == {"product_viewed": 1}
        assert shop.pipeline.profile("ada").as_dict()["last_seen"] == "2026-03-02T10:00:00.250Z"  # UTC without a zone
        assert shop.pipeline.profile("ada").categories[0][0] == "kitchen"


def test_an_event_of_a_product_alone_counts_for_the_product() -> None:
    with sample("product") as shop:
        assert shop.counts == {"applied": 1, "ignored": 1}
        assert [product.product.product_id for product in shop.pipeline.trending()] == ["mug"]


def test_transactions_have_an_action_and_a_total() -> None:
    with sample("transactions") as shop:
        assert shop.counts == {"applied": 3, "dead_letter": 1}
        # 25.50 + 10.00; the amount of a click is none
        assert shop.profile("ada") == (35.5, 2, 2, {"product_purchased": 2, "product_viewed": 1})
        assert shop.letters() == {"transactions.jsonl:4": "invalid_event_type"}  # it calls the action a type


def test_a_transaction_with_a_type_needs_a_mapping() -> None:
    fields: dict[str, FieldSpec] = {name: name for name in ("user_id", "timestamp", "amount")}
    mapping = {"transactions": EventMapping(fields=fields | {"event_type": ("type", "action")})}
    with sample("transactions", by="transactions", mapping=mapping) as shop:
        assert shop.counts == {"applied": 4}
        assert (shop.profile("ada")[0], shop.profile("bob")[0]) == (35.5, 99.99)


def test_a_thousand_clicks_without_any_id_are_counted_one_by_one() -> None:
    with sample("product") as shop:
        clicks = [
            {"user_id": "cyd", "action": "click", "amount": 1.5, "timestamp": f"2026-03-02T10:00:00.{n:06}"}
            for n in range(1_000)
        ]
        shop.pipeline.publish(clicks)
        shop.pipeline.process()
        assert shop.profile("cyd") == (0.0, 0, 0, {"product_viewed": 1_000})


def test_orders_that_come_up_to_two_minutes_late_are_applied() -> None:
    lines = (FIXTURES / "samples/orders.jsonl").read_bytes().splitlines()
    assert {len(line) for line in lines} == {500}
    times = [msgspec.json.decode(line)["timestamp"] for line in lines]
    assert 100_000 < max(max(times[:at]) - time for at, time in enumerate(times) if at) <= 120_000
    with sample("orders") as shop:
        assert shop.counts == {"applied": 8}
        # pieces 1 + 3 + 5 + 7 and 2 + 4 + 6 + 8, of 2.50 each
        assert shop.profile("ada")[:3] == (40.0, 16, 4)
        assert shop.profile("bob")[:3] == (50.0, 20, 4)
