"""RetailRocket, RSC15, Amazon reviews and events: what a row becomes."""

import pytest

from harness.formats import SourceRecord
from tests.harness.support.reading import NOON_2020_MS, RETAILROCKET, RSC15, Reading


class TestRetailRocket:
    def test_a_view_is_of_a_visitor_and_a_session(self, reading: Reading) -> None:
        event = reading.event("retailrocket", RETAILROCKET + f"{NOON_2020_MS // 1000}\t7\t400\t12\n")
        del event["event_id"]
        assert event == {
            "event_type": "view",
            "user_id": "7",
            "session_id": "12",
            "timestamp": NOON_2020_MS,
            "properties": {"product_id": "400"},
        }


class TestRsc15:
    def test_a_click_is_a_view_of_an_anonymous_session(self, reading: Reading) -> None:
        event = reading.event("rsc15", RSC15 + "12\t400\t1577880000.25\n")
        del event["event_id"]
        assert event == {
            "event_type": "view",
            "session_id": "12",
            "timestamp": NOON_2020_MS + 250,
            "properties": {"product_id": "400"},
        }


class TestAmazonReviews:
    def test_a_review_has_stars_and_text(self, reading: Reading) -> None:
        row = '{"overall": 4.0, "reviewerID": "R1", "asin": "P1", "reviewText": "Fine.", "unixReviewTime": 1577880000}'
        event = reading.event("amazon-reviews", row)
        del event["event_id"]
        assert event == {
            "event_type": "review",
            "user_id": "R1",
            "timestamp": NOON_2020_MS,
            "properties": {"product_id": "P1", "rating": 4, "text": "Fine."},
        }

    @pytest.mark.parametrize(("overall", "rating"), [("4.5", 4.5), ('"5.0"', 5), ('"many"', "many"), ("null", None)])
    def test_odd_stars_are_passed_on(self, reading: Reading, overall: str, rating: object) -> None:
        event = reading.event("amazon-reviews", f'{{"asin": "P1", "overall": {overall}, "unixReviewTime": 1}}')
        assert event["properties"].get("rating") == rating
        assert "text" not in event["properties"]


class TestEvents:
    def test_blank_lines_are_none_and_a_mark_of_its_encoding_is_no_part_of_the_first(self, reading: Reading) -> None:
        lines = reading.lines("events", '\ufeff{"a": 1}\n\n  \r\n{"a": 2}\n\n', "some.jsonl")
        assert [(line.value, line.origin) for line in lines] == [
            (b'{"a": 1}', "some.jsonl:1"),
            (b'{"a": 2}', "some.jsonl:4"),
        ]

    @pytest.mark.parametrize(
        ("raw", "time"),
        [
            ('{"timestamp": 1577880000000, "x": [1,  2]}', NOON_2020_MS),
            ('{"timestamp": 1577880000000.0}', NOON_2020_MS),
            ('{"timestamp": "2020-01-01T12:00:00Z"}', NOON_2020_MS),
            ('{"timestamp": "2020-01-01T13:00:00+01:00"}', NOON_2020_MS),
            ('{"timestamp": "2020-01-01 12:00:00"}', NOON_2020_MS),
            ('{"timestamp": "noon"}', None),
            ('{"timestamp": true}', None),
            ('{"timestamp": 1e300}', None),
            ('{"timestamp": 99999999999999999999}', None),
            ("{}", None),
            ("[1]", None),
            ("not json", None),
            ("[" * 100_000, None),
        ],
    )
    def test_a_line_is_passed_through_with_its_time_if_it_has_one(
        self, reading: Reading, raw: str, time: int | None
    ) -> None:
        assert reading.lines("events", f"{raw}\n", "log.jsonl") == [SourceRecord(time, raw.encode(), "log.jsonl:1")]
