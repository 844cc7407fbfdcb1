"""What all formats share: no row is lost, and rows keep their numbers and ids."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.formats import FORMATS, SourceRecord, read
from harness.support.errors import HarnessError
from tests.harness.support.reading import GOOD, REES46, RETAIL, RETAILROCKET, RSC15, Reading


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
def test_a_row_that_cannot_be_read_is_passed_on_unchanged(
    reading: Reading, format_name: str, header: str, row: bytes
) -> None:
    number = header.count("\n") + 1
    content = header.encode() + row + b"\r\n"
    assert reading.lines(format_name, content, "dirt") == [SourceRecord(None, row, f"dirt:{number}")]


def test_a_record_over_several_lines_is_numbered_by_its_first(reading: Reading) -> None:
    long = '900001,77A,"MUG\nOF ""TIN""",6,2020-01-01 12:00:00,2.50,4,Norway\n'
    lines = reading.lines("online-retail", RETAIL + long + GOOD)
    assert [line.origin for line in lines] == ["shop.csv:2", "shop.csv:4"]
    assert json.loads(lines[0].value)["properties"]["name"] == 'Mug\nOf "Tin"'


@pytest.mark.parametrize("after", [3, 4_000])
def test_a_quote_that_is_never_closed_breaks_only_its_own_line(reading: Reading, after: int) -> None:
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
        origins = [
            f"any:{first + index}" for index, row in enumerate(rows) if format_name != "events" or row.encode().strip()
        ]
        assert [line.origin for line in lines] == origins


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
    with pytest.raises(HarnessError, match="name one of online-retail, rees46, retailrocket, "):
        reading.lines("parquet", "")
