"""Values of documents, as a real server writes them."""

from decimal import Decimal

import pytest

from realtime_pipeline.infrastructure.postgres.values import array, converter, iso_time, json_document
from tests.support.servers import postgres_execute, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

VALUES: list[tuple[str, object]] = [
    ("7::int2", 7),
    ("'-2147483648'::int4", -2_147_483_648),
    ("9223372036854775807::int8", 9_223_372_036_854_775_807),
    ("12345678901234567890.123456789012345678900::numeric", Decimal("12345678901234567890.123456789012345678900")),
    ("'1e30'::numeric", Decimal(10**30)),
    ("'NaN'::numeric", "NaN"),
    ("'-Infinity'::numeric", "-Infinity"),
    ("0.1::float8", 0.1),
    ("'Infinity'::float4", "Infinity"),
    ("true", True),
    ("false", False),
    ("'2026-11-30 18:49:21.123+02'::timestamptz", "2026-11-30T16:49:21.123+00:00"),
    ("'2026-11-30 18:49:21'::timestamp", "2026-11-30T18:49:21"),
    ("'infinity'::timestamptz", "infinity"),
    ("'0044-03-15 12:00:00 BC'::timestamptz", "0044-03-15 12:00:00+00 BC"),
    ("'2026-11-30'::date", "2026-11-30"),
    ("'1 day 2 hours'::interval", "1 day 02:00:00"),
    ("""'{"a": [1, 2.50, null, "ä"]}'::jsonb""", {"a": [1, Decimal("2.50"), None, "ä"]}),
    ("'[1.10]'::json", [Decimal("1.10")]),
    ("'\\x00ff'::bytea", "\\x00ff"),
    ("ARRAY[1, NULL, 3]", [1, None, 3]),
    ("ARRAY[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
    ("ARRAY['a', 'b,\"c\\', '', 'NULL', NULL, '{}']", ["a", 'b,"c\\', "", "NULL", None, "{}"]),
    ("ARRAY[1.50, 'NaN']::numeric[]", [Decimal("1.50"), "NaN"]),
    ("'{}'::text[]", []),
    ("'[0:1]={1,2}'::int[]", "[0:1]={1,2}"),
    ("""ARRAY['{"a": "b, c"}']::jsonb[]""", [{"a": "b, c"}]),
    ("'12.34'::money", "$12.34"),
    ("'abc  '::char(5)", "abc  "),
    ("'c2a5b3c8-0000-0000-0000-000000000000'::uuid", "c2a5b3c8-0000-0000-0000-000000000000"),
    ("'x\ty\n\\'", "x\ty\n\\"),
    ("''", ""),
]


def test_values_of_a_real_server() -> None:
    settings = postgres_settings()
    for expression, expected in VALUES:
        ((text, oid),) = postgres_execute(
            settings, f"SELECT format('%s', v), pg_typeof(v)::oid FROM (SELECT {expression} AS v) AS one"
        )
        assert text is not None
        assert oid is not None
        read = converter(int(oid))(text)
        assert (read, type(read)) == (expected, type(expected)), expression
        assert not isinstance(read, Decimal) or str(read) == str(expected)


def test_documents_that_cannot_be_read_stay_text() -> None:
    deep, long = "[" * 100_000 + "]" * 100_000, "1" * 10_000
    assert json_document(deep) == deep
    assert json_document(long) == long


@pytest.mark.parametrize("text", ["{1,2}x", "[1:2]={1,2}"])
def test_an_array_that_is_written_otherwise_stays_text(text: str) -> None:
    assert array(text, int) == text


def test_a_zone_with_minutes_stays_as_it_is() -> None:
    assert iso_time("1900-01-01 00:00:00+05:30") == "1900-01-01T00:00:00+05:30"
