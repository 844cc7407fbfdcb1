"""The simulated shop must be believable and repeatable: the demo, tests and benchmarks take its word."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.simulation.assortment import MAKERS, assortment, theme_of
from harness.simulation.shop import DAY_MS, HOUR_MS, REASONS, UNKNOWN_TYPES, VERDICTS, Shop
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.shop.product import Product

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
START_MS = 1_735_689_600_000
KINDS = {"view", "cart", "remove_from_cart", "purchase", "cancellation", "review"}


def shop(seed: int = 7, dirt: float = 0.0, products: list[Product] | int = 400, span_ms: int = 7 * DAY_MS) -> Shop:
    return Shop(seed, products, customers=300, start_ms=START_MS, span_ms=span_ms, dirt=dirt)


@pytest.fixture(scope="module")
def clean() -> list[Json]:
    return list(shop().events(3_000))


@pytest.fixture(scope="module")
def dirty() -> list[Json]:
    return list(shop(dirt=0.03).events(3_000))


def of_kind(events: list[Json], kind: str) -> list[Json]:
    return [event for event in events if event["event_type"] == kind]


def by_session(events: list[Json]) -> dict[str, list[Json]]:
    sessions: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        if event.get("session_id") and event["event_type"] != "cancellation":
            sessions[event["session_id"]].append(event)
    return sessions


def line_of(event: Json) -> tuple[Any, ...]:
    said = event["properties"]
    return said["order_id"], said["product_id"], said["quantity"], said["price"], event.get("user_id")


def mistake_in(event: Json) -> str:
    if "timestamp" not in event:
        return "timestamp missing"
    if "event_type" not in event:
        return "type"
    if not isinstance(event["timestamp"], int):
        return "timestamp"
    said = event["properties"]
    return "rating" if said.get("rating", 1) > 5 else "quantity" if said.get("quantity", 1) < 1 else "none"


class TestAssortment:
    def test_names_are_distinct_and_readable(self) -> None:
        names = [product.name or "" for product in assortment(400)]
        assert len(set(names)) == 400
        for name in names:
            assert re.fullmatch(r"[A-Z0-9][A-Za-z0-9 ,.'&-]{4,47}", name), name
            assert not name.endswith((",", " "))
            assert "  " not in name
            assert not any(name.endswith(f" by {maker}") for maker in MAKERS)

    def test_names_and_ids_stay_distinct_when_makers_are_needed(self) -> None:
        products = assortment(10_000)
        assert (
            len({product.name for product in products}) == len({product.product_id for product in products}) == 10_000
        )

    def test_there_are_ten_categories_of_small_themes(self) -> None:
        products = assortment(400)
        themes = Counter(theme_of(product) for product in products)
        assert len({product.category for product in products}) == 10
        assert set(themes.values()) == {10}

    def test_prices_look_like_a_shop_s(self) -> None:
        for product in assortment(10_000):
            assert product.price is not None
            assert 2 * PER_UNIT < product.price < 600 * PER_UNIT
            assert product.price % PER_UNIT in {0, 9_000, 9_500, 9_900}

    def test_larger_variants_cost_more(self) -> None:
        prices = {product.name: product.price for product in assortment(400)}
        small, large = prices["Cast-Iron Frying Pan 20 cm"], prices["Cast-Iron Frying Pan 24 cm"]
        assert small is not None
        assert large is not None
        assert small < large

    def test_a_product_is_the_same_in_an_assortment_of_any_size(self) -> None:
        assert assortment(2_000, seed=3)[:55] == assortment(55, seed=3)
        assert assortment(55, seed=3) != assortment(55, seed=4)

    def test_it_does_not_make_names_up_beyond_what_it_has(self) -> None:
        with pytest.raises(ValueError, match="10000 products, not for 10001"):
            assortment(10_001)


class TestRepeatability:
    def test_the_same_seed_tells_the_same_story(self, dirty: list[Json]) -> None:
        again = shop(dirt=0.03)
        assert list(again.events(3_000)) == dirty
        assert list(again.events(3_000)) == dirty

    def test_another_seed_tells_another(self, clean: list[Json]) -> None:
        other: list[Json] = list(shop(seed=8).events(3_000))
        assert not {event["event_id"] for event in clean} & {event["event_id"] for event in other}
        assert [event["properties"]["product_id"] for event in clean[:50]] != [
            event["properties"]["product_id"] for event in other[:50]
        ]

    def test_another_process_tells_the_same(self) -> None:
        script = (
            "import hashlib; from harness.simulation.shop import Shop\n"
            "print(hashlib.sha256(repr(list(Shop(1, 80, 40, 0, dirt=0.1).events(200))).encode()).hexdigest())"
        )
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        told = {
            subprocess.check_output(
                [sys.executable, "-c", script], env={"PYTHONPATH": paths, "PYTHONHASHSEED": hash_seed}, text=True
            )
            for hash_seed in ("1", "2")
        }
        assert len(told) == 1


class TestStream:
    def test_every_type_of_event_appears(self, clean: list[Json]) -> None:
        assert {event["event_type"] for event in clean} == KINDS

    def test_events_are_json(self, dirty: list[Json]) -> None:
        assert json.loads(json.dumps(dirty)) == dirty

    def test_clean_events_come_once_and_in_order(self, clean: list[Json]) -> None:
        assert len({event["event_id"] for event in clean}) == len(clean)
        timestamps = [event["timestamp"] for event in clean]
        assert timestamps == sorted(timestamps)

    def test_they_fill_the_span(self, clean: list[Json]) -> None:
        assert all(START_MS <= event["timestamp"] < START_MS + 7 * DAY_MS + HOUR_MS for event in clean)
        days = Counter((event["timestamp"] - START_MS) // DAY_MS for event in clean)
        assert all(days[day] > len(clean) / 10 for day in range(7))

    def test_days_are_busier_than_nights(self, clean: list[Json]) -> None:
        hours = Counter((event["timestamp"] - START_MS) // HOUR_MS % 24 for event in of_kind(clean, "view"))
        assert sum(hours[hour] for hour in range(9, 15)) > 2 * sum(hours[hour] for hour in (0, 1, 2, 21, 22, 23))

    def test_sessions_overlap(self, clean: list[Json]) -> None:
        neighbours = pairwise(clean)
        assert sum(one.get("session_id") != other.get("session_id") for one, other in neighbours) > len(clean) / 5

    def test_a_short_span_shows_everything_too(self) -> None:
        events = list(shop(span_ms=2 * HOUR_MS).events(1_000))
        assert {event["event_type"] for event in events} == KINDS


class TestCustomers:
    def test_a_session_is_one_customer_s_walk(self, clean: list[Json]) -> None:
        for session in by_session(clean).values():
            assert len({event.get("user_id") for event in session}) == 1
            seen = [event["properties"]["product_id"] for event in of_kind(session, "view")]
            assert 2 <= len(seen) == len(set(seen)) <= 12
            times = [event["timestamp"] for event in session]
            assert max(later - earlier for earlier, later in pairwise(times)) < HOUR_MS

    def test_some_visitors_are_anonymous(self, clean: list[Json]) -> None:
        sessions = by_session(clean).values()
        anonymous = sum("user_id" not in session[0] for session in sessions)
        assert 0.1 < anonymous / len(sessions) < 0.2
        assert all("user_id" in event or "session_id" in event for event in clean)

    def test_a_session_keeps_to_its_theme(self, clean: list[Json]) -> None:
        themes = {product.product_id: theme_of(product) for product in shop().products}
        same = total = 0
        for session in by_session(clean).values():
            seen = [themes[event["properties"]["product_id"]] for event in of_kind(session, "view")]
            assert len(set(seen)) <= 2
            same += sum(one == other for one, other in pairwise(seen))
            total += len(seen) - 1
        assert 0.85 < same / total < 1

    def test_a_customer_keeps_to_their_tastes(self, clean: list[Json]) -> None:
        categories: dict[str, set[str]] = defaultdict(set)
        for event in of_kind(clean, "view"):
            categories[event.get("user_id", "")].add(event["properties"]["category"])
        categories.pop("")
        assert max(len(liked) for liked in categories.values()) <= 3

    def test_few_customers_and_few_products_make_most_of_the_stream(self, clean: list[Json]) -> None:
        customers = Counter(event["user_id"] for event in clean if "user_id" in event)
        products = Counter(event["properties"]["product_id"] for event in of_kind(clean, "view"))
        assert customers.most_common(1)[0][0] == "customer-0001"
        for counted, tenth in ((customers, 30), (products, 40)):
            assert sum(count for _, count in counted.most_common(tenth)) > 0.25 * counted.total()


class TestFacts:
    def test_events_speak_of_products_as_the_assortment_does(self, clean: list[Json]) -> None:
        products: dict[str, Product] = {product.product_id: product for product in shop().products}
        for event in clean:
            said = event["properties"]
            product = products[said["product_id"]]
            if event["event_type"] != "review":
                assert said["category"] == product.category
                assert round(said["price"] * PER_UNIT) == product.price
            if "name" in said:
                assert said["name"] == product.name

    def test_what_is_bought_was_in_the_cart(self, clean: list[Json]) -> None:
        for session in by_session(clean).values():
            cart: dict[str, int] = {}
            for event in session:
                said = event["properties"]
                if event["event_type"] == "cart":
                    cart[said["product_id"]] = said["quantity"]
                elif event["event_type"] in {"remove_from_cart", "purchase"}:
                    assert cart.pop(said["product_id"]) == said["quantity"]
            purchases = of_kind(session, "purchase")
            assert len({event["properties"]["order_id"] for event in purchases}) == min(1, len(purchases))
            assert not (purchases and cart), "an order takes the whole cart"

    def test_a_cancellation_takes_a_bought_line_back_once(self, clean: list[Json]) -> None:
        bought = {line_of(event): event["timestamp"] for event in of_kind(clean, "purchase")}
        for event in of_kind(clean, "cancellation"):
            assert event["timestamp"] - bought.pop(line_of(event)) > HOUR_MS

    def test_a_review_follows_the_reviewer_s_own_purchase(self, clean: list[Json]) -> None:
        bought = {
            (event.get("user_id"), event["properties"]["order_id"], event["properties"]["product_id"]): event[
                "timestamp"
            ]
            for event in of_kind(clean, "purchase")
        }
        for event in of_kind(clean, "review"):
            said = event["properties"]
            assert event["timestamp"] > bought[event["user_id"], said["order_id"], said["product_id"]]

    def test_review_texts_fit_the_stars(self, clean: list[Json]) -> None:
        reviews = [event["properties"] for event in of_kind(clean, "review")]
        assert {review["rating"] for review in reviews} == {1, 2, 3, 4, 5}
        assert len({review["text"] for review in reviews}) > 50
        for review in filter(lambda said: said["text"], reviews):
            verdicts, reasons = VERDICTS[review["rating"]], REASONS[review["rating"] > 3]
            assert review["text"] in {f"{verdict} {reason}".strip() for verdict in verdicts for reason in reasons}

    def test_better_products_get_more_stars(self) -> None:
        rated = shop(seed=2)
        ratings: dict[bool, list[int]] = {True: [], False: []}
        for event in rated.events(3_000):
            said: Any = event["properties"]
            if event["event_type"] == "review":
                ratings[rated.qualities[said["product_id"]] > 3.8].append(said["rating"])
        good, poor = (sum(stars) / len(stars) for stars in (ratings[True], ratings[False]))
        assert good > poor + 0.5

    def test_a_shop_may_sell_products_of_its_own(self) -> None:
        own = [Product(ProductId("sku"), "A Thing", None, Amount(12_500)), Product(ProductId("bare"))]
        said: list[Any] = [event["properties"] for event in shop(products=own).events(50)]
        assert {facts["product_id"] for facts in said} == {"sku", "bare"}
        assert {facts["price"] for facts in said if "price" in facts} == {1.25}


class TestDirt:
    def test_the_clean_events_are_the_same_under_the_dirt(self, clean: list[Json], dirty: list[Json]) -> None:
        known = {event["event_id"]: event for event in clean}
        delivered = [event for event in dirty if not event["event_id"].endswith(("-u", "-m"))]
        assert {event["event_id"] for event in delivered} == set(known)
        assert all(event == known[event["event_id"]] for event in delivered)

    def test_some_events_come_twice(self, dirty: list[Json]) -> None:
        times = Counter(event["event_id"] for event in dirty)
        assert set(times.values()) == {1, 2}
        assert 0.005 < sum(count == 2 for count in times.values()) / len(dirty) < 0.03

    def test_some_events_come_late_some_of_them_by_hours(self, dirty: list[Json]) -> None:
        times = Counter(event["event_id"] for event in dirty)
        once = [event for event in dirty if times[event["event_id"]] == 1 and isinstance(event.get("timestamp"), int)]
        latest, lateness = 0, []
        for event in once:
            latest = max(latest, event["timestamp"])
            lateness.append(latest - event["timestamp"])
        late = [late_ms for late_ms in lateness if late_ms]
        assert 0.005 < len(late) / len(once) < 0.03
        assert min(late) < 5 * 60_000 < HOUR_MS < max(late) < 6 * HOUR_MS

    def test_some_types_are_unknown(self, dirty: list[Json]) -> None:
        unknown = [event for event in dirty if event["event_id"].endswith("-u")]
        assert {event["event_type"] for event in unknown} == set(UNKNOWN_TYPES)

    def test_every_kind_of_mistake_is_made(self, dirty: list[Json]) -> None:
        broken = [event for event in dirty if event["event_id"].endswith("-m")]
        assert {mistake_in(event) for event in broken} == {
            "timestamp missing",
            "type",
            "timestamp",
            "rating",
            "quantity",
        }
        assert len(broken) < 0.01 * len(dirty)
