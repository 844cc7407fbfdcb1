"""Online Retail: what a row becomes."""

import pytest

from tests.harness.support.reading import NOON_2020_MS, RETAIL, Reading


class TestOnlineRetail:
    def test_a_sale_is_a_purchase(self, reading: Reading) -> None:
        row = '900001,77A,"BLUE T-LIGHT, KID\'S 12CM ",6,2020-01-01 12:00:00,2.50,40404.0,Norway\n'
        event = reading.event("online-retail", RETAIL + row)
        assert event.pop("event_id").startswith("shop-")
        assert event == {
            "event_type": "purchase",
            "user_id": "40404",
            "session_id": "900001",
            "timestamp": NOON_2020_MS,
            "properties": {
                "product_id": "77A",
                "name": "Blue T-Light, Kid's 12cm",
                "price": 2.5,
                "quantity": 6,
                "order_id": "900001",
            },
            "context": {"country": "Norway"},
        }

    def test_dates_may_be_written_as_in_america(self, reading: Reading) -> None:
        event = reading.event("online-retail", RETAIL + "900001,77A,MUG,6,1/1/2020 12:00,2.50,4,Norway\n")
        assert event["timestamp"] == NOON_2020_MS

    def test_what_is_not_known_is_left_out(self, reading: Reading) -> None:
        event = reading.event("online-retail", RETAIL + "900001,77A,,6,2020-01-01 12:00:00,,,\n")
        assert event.keys() == {"event_id", "event_type", "session_id", "timestamp", "properties"}
        assert event["properties"].keys() == {"product_id", "quantity", "order_id"}

    @pytest.mark.parametrize(
        ("invoice", "quantity", "event_type", "read_quantity"),
        [
            ("C900001", "-6", "cancellation", 6),
            ("C900001", "six", "cancellation", "six"),
            ("900001", "-6", "stock_adjustment", -6),
            ("900001", "", "purchase", ""),
            ("900001", "1_0", "purchase", "1_0"),
            ("900001", "nan", "purchase", "nan"),
            ("900001", "6.0", "purchase", 6),
            ("900001", "1.5", "purchase", 1.5),
            ("900001", "9" * 40, "purchase", "9" * 40),
        ],
    )
    def test_the_invoice_and_the_quantity_say_what_happened(
        self, reading: Reading, invoice: str, quantity: str, event_type: str, read_quantity: object
    ) -> None:
        event = reading.event(
            "online-retail", RETAIL + f"{invoice},77A,MUG,{quantity},2020-01-01 12:00:00,1,4,Norway\n"
        )
        assert event["event_type"] == event_type
        assert event["properties"]["quantity"] == read_quantity
        assert event["properties"]["order_id"] == invoice

    @pytest.mark.parametrize(("price", "read_price"), [("-11062.06", -11062.06), ("0.0", 0), ("free", "free")])
    def test_a_price_is_passed_on_for_the_validator_to_judge(
        self, reading: Reading, price: str, read_price: object
    ) -> None:
        event = reading.event("online-retail", RETAIL + f"900001,B,MUG,1,2020-01-01 12:00:00,{price},4,Norway\n")
        assert event["properties"]["price"] == read_price
