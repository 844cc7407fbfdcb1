"""Times are read in the unit, form and zone that a mapping says; what cannot be read stays as it is."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.mapping.times import time_reader
from realtime_pipeline.domain.zones import zone_named

BERLIN = zone_named("Europe/Berlin")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("form", "value", "at_ms"),
    [
        ("", 1_760_000_000_000, 1_760_000_000_000),
        ("", "1760000000000", 1_760_000_000_000),
        ("", "1761020300000", 1_761_020_300_000),  # no time of the year 1761
        ("", "1760000000", 1_760_000_000),  # seconds: the decoder refuses them by name
        ("", "20251010", ms("2025-10-10T00:00:00+00:00")),
        ("", "2025-10-10T09:00:00Z", ms("2025-10-10T09:00:00+00:00")),
        ("iso", "2025-10-10 09:00:00.123456789", ms("2025-10-10T09:00:00.123+00:00")),
        ("iso", "2025-10-10 09:00:00 UTC", ms("2025-10-10T09:00:00+00:00")),
        ("iso", "2025-10-10 09:00:00 +0200 CEST", ms("2025-10-10T09:00:00+02:00")),
        ("iso", "2025-10-10 09:00:00.5 +0000 UTC", ms("2025-10-10T09:00:00.500+00:00")),
        ("iso", "2025-10-10T24:00:00Z", ms("2025-10-11T00:00:00+00:00")),
        ("iso", "2016-12-31T23:59:60Z", ms("2017-01-01T00:00:00+00:00")),
        ("s", 1_760_000_000, 1_760_000_000_000),
        ("s", "1760000000", 1_760_000_000_000),
        ("s", 1_760_000_000.9999, 1_760_000_000_999),
        ("s", "1760000000.5", 1_760_000_000_500),
        ("ms", "1760000000000", 1_760_000_000_000),
        ("us", "1760000000000999", 1_760_000_000_000),
        ("ns", 1_760_000_000_000_000_001, 1_760_000_000_000),
        ("s", -1, -1_000),
        ("us", -1, -1),  # rounded down, as all times are
        ("%d.%m.%Y %H:%M", " 10.10.2025 09:00 ", ms("2025-10-10T09:00:00+00:00")),
        ("%Y-%m-%d %H:%M %z", "2025-10-10 09:00 +0200", ms("2025-10-10T09:00:00+02:00")),
    ],
)
def test_a_time_is_read(form: str, value: object, at_ms: int) -> None:
    assert time_reader(form, UTC)(value) == at_ms


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("", "yesterday"),
        ("", True),
        ("", None),
        ("", 1.5),
        ("", [1]),
        ("iso", 1_760_000_000_000),
        ("iso", "10:00.5"),
        ("iso", "2025-10-10 09:00:00.5 o'clock"),
        ("iso", "2025-13-01"),
        ("iso", "x" * 100),
        ("s", "soon"),
        ("s", True),
        ("%d.%m.%Y", "31.02.2025"),
        ("%d.%m.%Y", 31),
        ("%d.%m.%Y", "1" * 100),
    ],
)
def test_what_cannot_be_read_stays_as_it_is(form: str, value: object) -> None:
    assert time_reader(form, BERLIN)(value) == value


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-07-01T12:00:00", "2025-07-01T12:00:00+02:00"),
        ("2025-12-01T12:00:00", "2025-12-01T12:00:00+01:00"),
        ("2025-12-01T24:00:00", "2025-12-02T00:00:00+01:00"),
        ("2025-07-01T12:00:00Z", "2025-07-01T12:00:00+00:00"),
        ("2025-07-01 12:00:00 UTC", "2025-07-01T12:00:00+00:00"),
        ("2025-10-26T02:30:00", "2025-10-26T02:30:00+02:00"),  # twice: the first is meant
        ("2025-03-30T02:30:00", "2025-03-30T03:30:00+02:00"),  # never: clocks skip it
    ],
)
def test_a_time_without_a_zone_is_of_the_mapping_s(text: str, meant: str) -> None:
    assert time_reader("", BERLIN)(text) == ms(meant)
    if len(text) == 19 and "24:" not in text:
        assert time_reader("%Y-%m-%dT%H:%M:%S", BERLIN)(text) == ms(meant)


def test_of_several_forms_the_first_that_fits_counts() -> None:
    read = time_reader(("iso", "%m/%d/%Y %H:%M", "s"), UTC)
    wanted = ms("2025-10-09T08:00:00+00:00")
    assert [read(value) for value in ("2025-10-09T08:00", "10/9/2025 8:00", wanted // 1_000)] == [wanted] * 3
    assert read("neither") == "neither"


def test_times_of_parquet_are_datetimes() -> None:
    there = datetime(2025, 10, 10, 9, tzinfo=timezone(timedelta(hours=2)))
    for form in ("", "iso", "%Y"):
        assert time_reader(form, BERLIN)(there) == ms("2025-10-10T09:00:00+02:00")
        assert time_reader(form, BERLIN)(there.replace(tzinfo=None)) == ms("2025-10-10T09:00:00+02:00")


@pytest.mark.parametrize("form", ["seconds", "S", "%H:%M %Z", ()])
def test_what_is_no_form_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="time"):
        time_reader(form, UTC)


@pytest.mark.parametrize("name", ["Berlin", "Europe/Nowhere", "", "../etc/passwd", "+02:00"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        zone_named(name)


ANYTHING = (
    st.text(max_size=70)
    | st.text(st.sampled_from("0123456789-:.TtZWw+ UTC"), max_size=30)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.datetimes()
    | st.decimals()
)


@given(ANYTHING, st.sampled_from(["", "iso", "s", "ms", "us", "ns", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S"]))
def test_no_value_raises(value: object, form: str) -> None:
    time_reader(form, BERLIN)(value)


@given(st.integers(0, 4_000_000_000_000), st.sampled_from(["s", "ms", "us", "ns", "iso", ""]))
def test_a_time_is_read_back(at_ms: int, form: str) -> None:
    scale = {"s": Decimal("0.001"), "ms": Decimal(1), "us": Decimal(1_000), "ns": Decimal(1_000_000)}
    if form in scale:
        written: object = str(at_ms * scale[form])
    else:
        written = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).isoformat()
    assert time_reader(form, BERLIN)(written) == at_ms
