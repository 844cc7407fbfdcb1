"""REES46: what a row becomes."""

import pytest

from tests.harness.support.reading import NOON_2020_MS, REES46, Reading


class TestRees46:
    ROW = "2020-01-01 12:00:00 UTC,{type},31,777,{code},{brand},12.30,55,s-1\r\n"

    def test_an_action_is_about_one_product(self, reading: Reading) -> None:
        row = self.ROW.format(type="cart", code="home.kitchen.tea_pot", brand="acme")
        event = reading.event("rees46", REES46 + row)
        del event["event_id"]
        assert event == {
            "event_type": "cart",
            "user_id": "55",
            "session_id": "s-1",
            "timestamp": NOON_2020_MS,
            "properties": {
                "product_id": "31",
                "name": "Acme Tea Pot 31",
                "category": "home.kitchen.tea_pot",
                "brand": "acme",
                "price": 12.3,
                "quantity": 1,
            },
        }

    @pytest.mark.parametrize(
        ("code", "brand", "name"),
        [("av.tv", "xy", "XY TV 31"), ("", "acme", "Acme 31"), ("home.sofa", "", "Sofa 31"), ("", "", None)],
    )
    def test_the_name_is_made_of_what_is_known(self, reading: Reading, code: str, brand: str, name: str | None) -> None:
        properties = reading.event("rees46", REES46 + self.ROW.format(type="view", code=code, brand=brand))[
            "properties"
        ]
        assert properties.get("name") == name
        assert properties["category"] == (code or "777")
