"""Each shipped mapping, on a file whose field names are those of its specification: what customers have then, by hand.

The files are in tests/fixtures/mappings; all values in them are made up. In most of them ada views a mug (12.50), puts
it into the cart as a visitor, signs in, buys two mugs and a jug (19.90) in an order, and gives a mug back:

    2 x 12.50 + 19.90 - 12.50 = 32.40, 1 mug and 1 jug
"""

from datetime import date
from pathlib import Path
from typing import Final

import attrs
import pytest

from realtime_pipeline.composition.settings import QualitySettings
from realtime_pipeline.domain.mapping.definitions import ExchangeRate
from realtime_pipeline.domain.profile.exclusion import Exclusion
from tests.infrastructure.mappings.published import FIXTURES, shop_with


@attrs.frozen
class Expected:
    """What a fixture makes: customers with their spend, units, orders, and the pieces that they have."""

    counts: dict[str, int]
    customers: dict[str, tuple[float, int, int, dict[str, int]]]
    events: dict[str, dict[str, int]] = attrs.Factory(dict)
    letters: dict[str, str] = attrs.Factory(dict)
    ignored: dict[str, int] = attrs.Factory(dict)
    visitors: dict[str, str] = attrs.Factory(dict)
    country: dict[str, str] = attrs.Factory(dict)
    merged: int = 0
    """How many records are the worker's own, which merge a visitor's profile: they are not published again."""
    catalogue: int = 0
    """How many events state facts of products: they are applied again, and change nothing."""


ADA: Final = {"ada": (32.4, 2, 1, {"mug": 1, "jug": 1})}

EXPECTED: Final = {
    "segment.jsonl": Expected(
        # 17 of 20 records are applied, and 1 profile is merged; Order Completed o-1 has two lines
        {"applied": 17, "ignored": 2, "dead_letter": 1},
        ADA
        | {
            # orders without products: revenue 30.00 + subtotal 7.25 - 10.00 given back; a piece each: 1 + 1 - 1
            "bob": (27.25, 1, 2, {}),
            "cyd": (3.0, 1, 1, {"T-3": 1}),  # 1 x 3.00, named by its sku
        },
        events={
            "ada": {
                "product_viewed": 1,
                "product_carted": 1,
                "customer_signed_in": 1,
                "product_purchased": 2,
                "purchase_cancelled": 1,
                "product_reviewed": 1,
            },
            "bob": {"product_viewed": 2, "product_uncarted": 1, "product_purchased": 2, "purchase_cancelled": 1},
            "anonymous:anon-2": {"product_viewed": 2},
        },
        letters={"segment.jsonl:16": "not_json"},
        ignored={"page": 1},
        visitors={"ada": "anonymous:anon-1"},
        country={"ada": "DE"},
        merged=1,
    ),
    "shopify-orders.jsonl": Expected(
        # order 7001 comes three times: 2 + (2 + 1) + (2 + 3) lines, of which 5 are new
        {"applied": 12, "duplicate": 7, "ignored": 1, "dead_letter": 2},
        {
            # 3 x 12.50 - 2.50 - 1.00 = 34.00 and 19.90; refunds 11.33 + 11.33 + 19.90: 53.90 - 42.56 = 11.34
            "501": (11.34, 1, 1, {"11": 1}),
            # 2 x 8.00 + 8.00 - the same, since the order was cancelled without refund lines
            "502": (0.0, 0, 1, {}),
            # the line whose price is no number is a dead letter; 19.90 - 19.90
            "503": (0.0, 0, 1, {}),
            "anonymous:t-7002": (12.5, 1, 1, {"11": 1}),  # a guest
        },
        events={
            "501": {"product_purchased": 2, "purchase_cancelled": 3},
            "502": {"product_purchased": 2, "purchase_cancelled": 2},
        },
        letters={"shopify-orders.jsonl:9": "invalid_price", "shopify-orders.jsonl:10": "not_json"},
        ignored={"test_order": 1},
        country={"501": "DE", "anonymous:t-7002": "AT"},
    ),
    "ga4.jsonl": Expected(
        # the purchase t-1 is sent twice, as when its page is loaded again: 3 duplicates
        {"applied": 15, "duplicate": 3, "ignored": 2, "dead_letter": 2},
        {
            # 2 x 12.50 + 19.90 + 19.90, a second jug in a line of its own, - 12.50 = 52.30
            "ada": (52.3, 3, 1, {"mug": 1, "jug": 2}),
            "bob": (0.0, 0, 1, {}),  # a purchase without items, 30.00, given back without items
            "cyd": (0.0, 0, 1, {}),  # 8.00 - 8.00, named by the name
        },
        events={
            "ada": {
                "product_viewed": 1,
                "product_carted": 2,
                "customer_signed_in": 1,
                "product_purchased": 3,
                "purchase_cancelled": 1,
            },
            "bob": {"product_viewed": 1, "product_uncarted": 1, "product_purchased": 1, "purchase_cancelled": 1},
        },
        letters={"ga4.jsonl:12": "not_json", "ga4.jsonl:13": "invalid_timestamp"},
        ignored={"page_view": 1},
        visitors={"ada": "anonymous:77.1"},
        country={"ada": "DE"},
        merged=1,
    ),
    "ga4-bigquery.jsonl": Expected(
        # two carts have the same time, since they are of the same batch
        {"applied": 15, "ignored": 2, "dead_letter": 1},
        ADA
        | {
            "bob": (0.0, 0, 1, {}),  # purchase_revenue 30.00 - refund_value 30.00
            "cyd": (0.0, 0, 1, {}),  # 8.00 - 8.00 of a transaction "(not set)"
        },
        events={
            "ada": {
                "product_viewed": 1,
                "product_carted": 3,
                "customer_signed_in": 1,
                "product_purchased": 2,
                "purchase_cancelled": 1,
            },
        },
        letters={"ga4-bigquery.jsonl:13": "not_json"},
        ignored={"page_view": 1},
        visitors={"ada": "anonymous:77.1"},
        merged=1,
    ),
    "snowplow.jsonl": Expected(
        {"applied": 10, "ignored": 3, "dead_letter": 1},
        ADA | {"bob": (20.0, 0, 1, {})},  # revenue 30.00 - refund_amount 10.00; a piece each: 1 - 1
        events={
            "ada": {"product_purchased": 2, "purchase_cancelled": 1},
            "anonymous:d-1": {"product_viewed": 1, "product_carted": 2},  # nobody signs in
            "bob": {"product_viewed": 1, "product_uncarted": 1, "product_purchased": 1, "purchase_cancelled": 1},
        },
        letters={"snowplow.jsonl:13": "not_json"},
        ignored={"page_view": 1},
        country={"ada": "DE"},
    ),
    "matomo.jsonl": Expected(
        # the second visit comes twice: its sign-in, view and two lines are duplicates; two profiles are merged
        {"applied": 9, "duplicate": 4, "ignored": 1, "dead_letter": 1},
        {"ada": (44.9, 3, 1, {"mug": 2, "jug": 1}), "bob": (0.0, 0, 0, {})},  # 2 x 12.50 + 19.90; there are no refunds
        events={
            "ada": {"product_viewed": 2, "product_purchased": 2, "customer_signed_in": 1},
            "bob": {"product_carted": 1, "customer_signed_in": 1},
        },
        letters={"matomo.jsonl:6": "not_json"},
        ignored={"action": 1},
        visitors={"ada": "anonymous:aaaa000000000001", "bob": "anonymous:bbbb000000000002"},
        country={"ada": "DE"},
        merged=2,
    ),
    "metarank.jsonl": Expected(
        {"applied": 8, "ignored": 1, "dead_letter": 2},
        ADA,
        events={
            "ada": {"product_purchased": 2, "purchase_cancelled": 1},
            "anonymous:s-1": {"recommendations_shown": 1, "product_viewed": 1, "product_carted": 1},
        },
        letters={"metarank.jsonl:11": "incomplete_exposure", "metarank.jsonl:12": "not_json"},
        ignored={"user": 1},
        catalogue=2,
    ),
    "gorse-feedback.jsonl": Expected(
        {"applied": 6, "duplicate": 1, "ignored": 1, "dead_letter": 1},
        {"ada": (0.0, 2, 2, {"mug": 1, "jug": 1}), "bob": (0.0, 0, 0, {})},  # there is no money
        events={"ada": {"product_viewed": 2, "product_carted": 1, "product_purchased": 2}},
        letters={"gorse-feedback.jsonl:9": "not_json"},
    ),
    "gorse-feedback.csv": Expected(
        {"applied": 2, "ignored": 1, "dead_letter": 1},
        {"ada": (0.0, 1, 1, {"mug": 1})},
        letters={"gorse-feedback.csv:5": "ragged_row"},
    ),
    "gorse-items.jsonl": Expected(
        {"applied": 2, "dead_letter": 1}, {}, letters={"gorse-items.jsonl:3": "not_json"}, catalogue=2
    ),
    "gorse-items.csv": Expected(
        {"applied": 1, "dead_letter": 1}, {}, letters={"gorse-items.csv:3": "ragged_row"}, catalogue=1
    ),
    "products.csv": Expected(
        {"applied": 2, "dead_letter": 1}, {}, letters={"products.csv:4": "ragged_row"}, catalogue=2
    ),
    "products.jsonl": Expected(
        {"applied": 2, "dead_letter": 1}, {}, letters={"products.jsonl:3": "invalid_stock"}, catalogue=2
    ),
    "rees46.csv": Expected(
        {"applied": 7, "ignored": 1, "dead_letter": 2},
        {
            # 12.50 + 12.50 + 19.90, a piece a row; two equal rows are two pieces
            "501": (44.9, 3, 3, {"1001": 2, "1002": 1}),
            "502": (0.0, 0, 0, {}),
        },
        events={"501": {"product_viewed": 1, "product_carted": 1, "product_purchased": 3}},
        letters={"rees46.csv:10": "invalid_price", "rees46.csv:11": "ragged_row"},
    ),
    "online-retail.csv": Expected(
        {"applied": 6, "ignored": 1, "dead_letter": 2},
        {
            # 6 x 2.10 + 2 x 4.25 + 6 x 2.10 - 4 x 2.10 = 12.60 + 8.50 + 12.60 - 8.40 = 25.30
            "17850": (25.3, 10, 1, {"20001": 8, "20002": 2}),
            "anonymous:540003": (3.0, 1, 1, {"20003": 1}),  # a row without a customer: the invoice is the session
            "12345": (0.0, 1, 1, {"20004": 1}),  # a gift
        },
        events={"17850": {"product_purchased": 3, "purchase_cancelled": 1}},
        letters={"online-retail.csv:8": "invalid_quantity", "online-retail.csv:9": "ragged_row"},
    ),
    "online-retail-2.csv": Expected(
        {"applied": 2},
        {"13001": (6.0, 3, 1, {"20001": 3})},  # 5 x 2.00 - 2 x 2.00
    ),
}
MAPPINGS: Final = {"online-retail-2.csv": "online-retail"}
"""The mapping of a file that is not named as it is."""


def mapping_of(file: str) -> str:
    return MAPPINGS.get(file, file.partition(".")[0])


@pytest.mark.parametrize("file", EXPECTED)
def test_a_file_makes_the_customers_that_are_stated_by_hand(file: str) -> None:
    expected = EXPECTED[file]
    with shop_with(f"mappings/{file}", mapping_of(file)) as shop:
        assert shop.counts == expected.counts
        assert shop.ignored == expected.ignored
        assert shop.letters() == expected.letters
        for customer, has in expected.customers.items():
            assert (*shop.profile(customer)[:3], shop.bought(customer)) == has, customer
        for customer, events in expected.events.items():
            assert shop.profile(customer)[3] == events, customer
        for customer, visitor in expected.visitors.items():
            assert shop.pipeline.profile(customer).customer.aliases.visitors.keys() == {visitor}
        for customer, country in expected.country.items():
            assert shop.pipeline.profile(customer).as_dict()["country"] == country


@pytest.mark.parametrize("file", EXPECTED)
def test_a_file_that_is_published_twice_changes_nothing(file: str) -> None:
    expected = EXPECTED[file]
    with shop_with(f"mappings/{file}", mapping_of(file)) as shop:
        before = {customer: shop.pipeline.profile(customer).as_dict() for customer in expected.customers}
        first = shop.counts
        shop.publish(shop.file, mapping_of(file))
        again = {name: count - first.get(name, 0) for name, count in shop.counts.items()}
        assert again.pop("applied", 0) == expected.catalogue
        assert (
            again.get("duplicate", 0)
            == first.get("applied", 0) + first.get("duplicate", 0) - expected.merged - expected.catalogue
        )
        assert {customer: shop.pipeline.profile(customer).as_dict() for customer in expected.customers} == before


def test_orders_and_their_lines_keep_their_ids_when_an_order_comes_again_with_more_refunds() -> None:
    with shop_with("mappings/shopify-orders.jsonl", "shopify-orders") as shop:
        known = [
            shop.pipeline.trace(event_id)
            for event_id in ("shopify-line-9001", "shopify-refund-line-6001", "shopify-cancelled-line-9004")
        ]
        assert [len(found.copies) for found in known] == [3, 2, 1]


@pytest.mark.parametrize(
    ("file", "customer"),
    [("segment.jsonl", "ada"), ("snowplow.jsonl", "ada"), ("shopify-orders.jsonl", "501")],
)
def test_the_user_agent_arrives_and_excludes_events(file: str, customer: str) -> None:
    """Each has a user agent under another name: context.userAgent, useragent, client_details.user_agent."""
    quality = QualitySettings(Exclusion(user_agents=("BROWSER/1",)))
    with shop_with(f"mappings/{file}", mapping_of(file), quality=quality) as shop:
        assert shop.pipeline.profile(customer).customer.visits.excluded > 0
    with shop_with(f"mappings/{file}", mapping_of(file)) as shop:
        assert shop.pipeline.profile(customer).customer.visits.excluded == 0


def test_money_in_another_currency_is_converted_by_the_rate_of_its_day() -> None:
    rates = (ExchangeRate("EUR", date(2026, 3, 1), 0.5), ExchangeRate("EUR", date(2026, 3, 3), 0.25))
    with shop_with("mappings/segment.jsonl", "segment", currency="GBP", exchange_rates=rates) as shop:
        assert shop.profile("ada")[0] == 16.2  # (2 x 12.50 + 19.90 - 12.50) x 0.5
    with shop_with("mappings/shopify-orders.jsonl", "shopify-orders", currency="GBP", exchange_rates=rates) as shop:
        # bought on 2 March: 53.90 x 0.5 = 26.95; given back from 4 March on: 11.33 x 0.25 is 2.8325, twice, and 4.975
        assert shop.profile("501")[0] == 16.31


def test_money_without_a_rate_is_a_dead_letter_of_its_record() -> None:
    with shop_with("mappings/shopify-orders.jsonl", "shopify-orders", currency="GBP") as shop:
        assert not shop.is_known("501")
        letters = shop.letters()
        assert letters["shopify-orders.jsonl:1"] == "unknown_rate"
        assert {line for line, reason in letters.items() if reason == "unknown_rate"} >= {
            f"shopify-orders.jsonl:{line}" for line in (1, 2, 3, 4, 5, 6)
        }


def test_what_is_forgotten_takes_its_dead_letters_along() -> None:
    with shop_with("mappings/shopify-orders.jsonl", "shopify-orders", currency="GBP") as shop:
        assert "shopify-orders.jsonl:1" in shop.letters()
        shop.pipeline.publish([{"event_type": "view", "user_id": "501", "timestamp": "2026-03-02T10:00:00Z"}])
        shop.pipeline.forget("501")
        shop.pipeline.process()
        assert "shopify-orders.jsonl:1" not in shop.letters()  # the record names its customer


def test_lines_that_come_again_after_their_ids_are_forgotten_are_no_second_purchases() -> None:
    with shop_with("mappings/shopify-orders.jsonl", "shopify-orders") as shop:
        before = shop.profile("501")
        views = [
            {"event_id": f"v-{n}", "event_type": "view", "user_id": "501", "timestamp": 1_775_000_000_000 + n}
            for n in range(400)
        ]
        shop.pipeline.publish(views)
        shop.publish(shop.file, "shopify-orders")
        assert shop.profile("501")[:3] == before[:3]
        assert shop.letters()["shopify-orders.jsonl:1"] == "too_old"


def test_a_request_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    purchase = (FIXTURES / "mappings/ga4.jsonl").read_text("utf-8").splitlines()[4]
    refund = (FIXTURES / "mappings/ga4.jsonl").read_text("utf-8").splitlines()[6]
    late = refund.replace(', "timestamp_micros": 1772446140000000}]', "}]")  # the time of the request alone
    assert late != refund
    file = tmp_path / "ga4.jsonl"
    file.write_text("\n".join((purchase, late, purchase, late)) + "\n", "utf-8")
    with shop_with("mappings/ga4.jsonl", "ga4") as shop:
        before = shop.profile("ada")
        shop.publish(file, "ga4")
        assert shop.profile("ada") == before


@pytest.mark.parametrize("file", ["products.csv", "products.jsonl"])
def test_rows_of_products_are_a_catalogue(file: str) -> None:
    with shop_with(f"mappings/{file}", "products") as shop:
        mug, jug = shop.pipeline.product("mug"), shop.pipeline.product("jug")
        assert (mug.name, mug.category, mug.price, mug.stock, mug.in_stock) == ("A mug", "kitchen", 125_000, 4, True)
        assert (mug.image_url, mug.text) == ("https://shop.example/mug.png", "Holds 300 ml")
        assert (jug.name, jug.in_stock) == ("A jug", False)


def test_items_of_gorse_are_products_and_hidden_items_are_removed() -> None:
    with shop_with("mappings/gorse-items.jsonl", "gorse-items") as shop:
        found = {id_: shop.pipeline.product(id_) for id_ in ("mug", "old")}
        assert (found["mug"].category, found["mug"].is_removed) == ("kitchen", False)
        assert found["old"].is_removed
