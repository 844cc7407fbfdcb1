"""The events of the shop are plausible: a stream, customers, carts, orders and reviews."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from harness.simulation.assortment import theme_of
from harness.simulation.shop import DAY_MS, HOUR_MS, REASONS, VERDICTS
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.shop.product import Product
from tests.harness.support.simulated_shop import (
    KINDS,
    START_MS,
    Json,
    by_session,
    line_of,
    of_kind,
    shop,
)


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
        assert (
            sum(event.get("session_id") != following.get("session_id") for event, following in neighbours)
            > len(clean) / 5
        )

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
            same += sum(theme == following for theme, following in pairwise(seen))
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
    def test_events_have_the_properties_of_the_assortment(self, clean: list[Json]) -> None:
        products: dict[str, Product] = {product.product_id: product for product in shop().products}
        for event in clean:
            properties = event["properties"]
            product = products[properties["product_id"]]
            if event["event_type"] != "review":
                assert properties["category"] == product.category
                assert round(properties["price"] * PER_UNIT) == product.price
            if "name" in properties:
                assert properties["name"] == product.name

    def test_what_is_bought_was_in_the_cart(self, clean: list[Json]) -> None:
        for session in by_session(clean).values():
            cart: dict[str, int] = {}
            for event in session:
                properties = event["properties"]
                if event["event_type"] == "cart":
                    cart[properties["product_id"]] = properties["quantity"]
                elif event["event_type"] in {"remove_from_cart", "purchase"}:
                    assert cart.pop(properties["product_id"]) == properties["quantity"]
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
            properties = event["properties"]
            assert event["timestamp"] > bought[event["user_id"], properties["order_id"], properties["product_id"]]

    def test_review_texts_fit_the_stars(self, clean: list[Json]) -> None:
        reviews = [event["properties"] for event in of_kind(clean, "review")]
        assert {review["rating"] for review in reviews} == {1, 2, 3, 4, 5}
        assert len({review["text"] for review in reviews}) > 50
        for review in filter(lambda properties: properties["text"], reviews):
            verdicts, reasons = VERDICTS[review["rating"]], REASONS[review["rating"] > 3]
            assert review["text"] in {f"{verdict} {reason}".strip() for verdict in verdicts for reason in reasons}

    def test_better_products_get_more_stars(self) -> None:
        rated = shop(seed=2)
        ratings: dict[bool, list[int]] = {True: [], False: []}
        for event in rated.events(3_000):
            properties: Any = event["properties"]
            if event["event_type"] == "review":
                ratings[rated.qualities[properties["product_id"]] > 3.8].append(properties["rating"])
        good, poor = (sum(stars) / len(stars) for stars in (ratings[True], ratings[False]))
        assert good > poor + 0.5

    def test_a_shop_may_sell_products_of_its_own(self) -> None:
        own = [Product(ProductId("sku"), "A Thing", None, Amount(12_500)), Product(ProductId("bare"))]
        sold: list[Any] = [event["properties"] for event in shop(products=own).events(50)]
        assert {facts["product_id"] for facts in sold} == {"sku", "bare"}
        assert {facts["price"] for facts in sold if "price" in facts} == {1.25}
