"""Every format through the one reading function: what a row becomes, and that no row is lost."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.formats import FORMATS, Options, SourceRecord, read
from harness.formats.catalogue import read_catalogue
from harness.support.errors import HarnessError
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product

RETAIL = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\r\n"
RSC15 = "SessionId\tItemId\tTime\n"
RETAILROCKET = "timestamp\tuser_id\titem_id\tsession_id\n"

NOON_2020_MS = 1_577_880_000_000
"""2020-01-01 12:00:00 UTC."""


class Reading:
    """Reads text as a file of a format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(
        self, format_name: str, content: str | bytes, name: str = "shop.csv", **options: bool
    ) -> list[SourceRecord]:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read([path], format_name, Options(**options)))

    def event(self, format_name: str, content: str) -> dict[str, Any]:
        (line,) = self.lines(format_name, content)
        event: dict[str, Any] = json.loads(line.value)
        assert line.occurred_at_ms == event["timestamp"]
        return event


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path)


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


@pytest.mark.parametrize(
    ("format_name", "header", "row"),
    [
        ("online-retail", RETAIL, b"900001,77A,MUG,6,yesterday,2.50,4,Norway"),
        ("online-retail", RETAIL, b"900001,77A,MUG,6"),
        ("online-retail", RETAIL, b"900001,77A,M\xddG,6,2020-01-01 12:00:00,2.50,4,Norway"),
        ("online-retail", RETAIL, b""),
        ("rees46", REES46, b"2020-01-01 25:00:00 UTC,view,31,777,,,1,55,s-1"),
        ("rees46", REES46, b"2020-01-01 12:00:00 UTC,view,31,777,,,1,55,s-1,more"),
        ("rsc15", RSC15, b"12\t400\tnan"),
        ("rsc15", RSC15, b"12\t400\tinf"),
        ("rsc15", RSC15, b"12,400,1577880000"),
        ("retailrocket", RETAILROCKET, b"12.5\t7\t400\t12"),
        ("amazon-reviews", "", b'{"asin": "P1"}'),
        ("amazon-reviews", "", b'{"asin": "P1", "unixReviewTime": 1577'),
        ("amazon-reviews", "", b"[" * 100_000),
        ("amazon-reviews", "", b""),
    ],
)
def test_a_row_that_cannot_be_read_is_passed_on_as_it_stood(
    reading: Reading, format_name: str, header: str, row: bytes
) -> None:
    number = header.count("\n") + 1
    content = header.encode() + row + b"\r\n"
    assert reading.lines(format_name, content, "dirt") == [SourceRecord(None, row, f"dirt:{number}")]


GOOD = "900001,77A,MUG,6,2020-01-01 12:00:00,2.50,4,Norway\n"


def test_a_record_over_several_lines_is_numbered_by_its_first(reading: Reading) -> None:
    long = '900001,77A,"MUG\nOF ""TIN""",6,2020-01-01 12:00:00,2.50,4,Norway\n'
    lines = reading.lines("online-retail", RETAIL + long + GOOD)
    assert [line.origin for line in lines] == ["shop.csv:2", "shop.csv:4"]
    assert json.loads(lines[0].value)["properties"]["name"] == 'Mug\nOf "Tin"'


@pytest.mark.parametrize("after", [3, 4_000])
def test_a_quote_that_is_never_closed_spoils_only_its_own_line(reading: Reading, after: int) -> None:
    broken = '900001,77A,"MUG,6,2020-01-01 12:00:00,2.50,4,Norway\n'
    lines = reading.lines("online-retail", RETAIL + GOOD + broken + GOOD * after)
    assert [line.origin for line in lines] == [f"shop.csv:{number}" for number in range(2, after + 4)]
    assert [line.value for line in lines if line.occurred_at_ms is None] == [broken.strip().encode()]


@given(
    st.lists(st.text(st.characters(exclude_characters='\n"\ufeff', exclude_categories=["Cs"]), max_size=40), max_size=8)
)
def test_every_line_behind_the_header_becomes_one_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str]
) -> None:
    content = "".join(f"{row}\n" for row in rows)
    for format_name, header in [
        ("online-retail", RETAIL),
        ("rees46", REES46),
        ("rsc15", RSC15),
        ("retailrocket", RETAILROCKET),
        ("amazon-reviews", ""),
        ("events", ""),
    ]:
        lines = Reading(tmp_path_factory.mktemp("rows")).lines(format_name, header + content, "any")
        first = header.count("\n") + 1
        said = [
            f"any:{first + place}" for place, row in enumerate(rows) if format_name != "events" or row.encode().strip()
        ]
        assert [line.origin for line in lines] == said


def ids_of(lines: list[SourceRecord]) -> list[str]:
    return [json.loads(line.value)["event_id"] for line in lines]


def test_an_event_id_names_the_file_its_beginning_and_the_line(reading: Reading) -> None:
    content = RETAIL + GOOD + GOOD
    plain = ids_of(reading.lines("online-retail", content, "may.csv"))
    prefix = plain[0].removesuffix(":2")
    assert plain == [f"{prefix}:2", f"{prefix}:3"]
    assert len(prefix) == len("may-") + 8
    assert ids_of(reading.lines("online-retail", gzip.compress(content.encode(), mtime=0), "may.csv.gz")) == plain
    assert ids_of(reading.lines("online-retail", content + GOOD, "may.csv"))[0] != plain[0]


def test_collapsed_repeats_have_one_id_in_every_file(reading: Reading) -> None:
    other = GOOD.replace("77A", "78")
    first = ids_of(reading.lines("online-retail", RETAIL + GOOD + other + GOOD, "may.csv", collapse_repeats=True))
    second = ids_of(reading.lines("online-retail", RETAIL + GOOD.strip(), "june.csv", collapse_repeats=True))
    assert first[0] == first[2] == second[0] != first[1]
    assert first[0].startswith("row-")
    assert len(first[0]) == len("row-") + 32


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / "b.jsonl", tmp_path / "a.jsonl"]
    for path in paths:
        path.write_text("{}\n{}")
    assert [line.origin for line in read(paths, "events")] == ["b.jsonl:1", "b.jsonl:2", "a.jsonl:1", "a.jsonl:2"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_empty_file_has_no_lines(reading: Reading, format_name: str) -> None:
    assert reading.lines(format_name, "") == []


def test_a_byte_order_mark_is_not_part_of_the_header(reading: Reading) -> None:
    assert len(reading.lines("online-retail", "\ufeff" + RETAIL + GOOD)) == 1


def test_a_file_of_another_format_is_refused(reading: Reading) -> None:
    with pytest.raises(HarnessError, match=r"shop\.csv: its first line is not the header 'SessionId"):
        reading.lines("rsc15", RETAIL + GOOD)


def test_an_unknown_format_is_refused(reading: Reading) -> None:
    with pytest.raises(HarnessError, match="there are online-retail, rees46, retailrocket, "):
        reading.lines("parquet", "")


class TestCatalogue:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "catalogue.jsonl"

    @pytest.mark.parametrize(
        ("entry", "product"),
        [
            ({"product_id": "1"}, Product(ProductId("1"))),
            ({"product_id": 1, "name": "Mug"}, Product(ProductId("1"), name="Mug")),
            ({"asin": "A", "title": " Dad&#39;s mug "}, Product(ProductId("A"), name="Dad's mug")),
            ({"asin": "A", "category": "Mugs"}, Product(ProductId("A"), category="Mugs")),
            ({"asin": "A", "category": ["Home", "Mugs"]}, Product(ProductId("A"), category="Mugs")),
            ({"asin": "A", "category": [], "name": "", "price": ""}, Product(ProductId("A"))),
            ({"asin": "A", "price": 0.1}, Product(ProductId("A"), price=Amount(1_000))),
            ({"asin": "A", "price": "$12.50"}, Product(ProductId("A"), price=Amount(125_000))),
            ({"asin": "A", "price": "$1,250.00"}, Product(ProductId("A"), price=Amount(12_500_000))),
            ({"asin": "A", "price": ".box{color:red}"}, Product(ProductId("A"))),
            ({"asin": "A", "price": "NaN"}, Product(ProductId("A"))),
            ({"asin": "A", "price": -1}, Product(ProductId("A"))),
        ],
    )
    def test_an_entry_is_a_product(self, path: Path, entry: dict[str, object], product: Product) -> None:
        path.write_text(json.dumps(entry) + "\n\n")
        assert read_catalogue(path) == {product.product_id: product}

    def test_of_several_entries_the_last_holds(self, path: Path) -> None:
        path.write_text('{"asin": "A", "name": "Old"}\n{"asin": "A", "name": "New"}')
        assert read_catalogue(path) == {"A": Product(ProductId("A"), name="New")}

    @pytest.mark.parametrize("raw", ["not json", "[1]", '{"name": "Mug"}', '{"asin": "A", "price": []}'])
    def test_a_bad_line_is_named(self, path: Path, raw: str) -> None:
        path.write_text('{"asin": "A"}\n' + raw)
        with pytest.raises(HarnessError, match=r"catalogue\.jsonl:2: not a product: "):
            read_catalogue(path)
