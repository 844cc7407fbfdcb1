"""Times of events, as docs/events.md defines them."""

import pytest

from tests.harness.support.decoding import (
    AT_MS,
    DAY_MS,
    event_of,
    is_rejected,
    view,
)


@pytest.mark.parametrize(
    ("written", "at_ms"),
    [
        (0, 0),
        (999_999_999, 999_999_999),
        (10_000_000_000, 10_000_000_000),
        (AT_MS, AT_MS),
        (AT_MS + 0.9, AT_MS),
        (253_402_300_799_998, 253_402_300_799_998),
        ("2023-11-14T22:13:20", AT_MS),
        ("2023-11-14T22:13:20Z", AT_MS),
        ("2023-11-15T00:13:20+02:00", AT_MS),
        ("2023-11-14T17:43:20-0430", AT_MS),
        ("2023-11-14 22:13:20.1239", AT_MS + 123),
        ("1970-01-02", DAY_MS),
        ("1970-01-01T24:00:00", DAY_MS),
        ("1972-06-30T23:59:60Z", 78_796_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("9999-12-31T23:59:59.998Z", 253_402_300_799_998),
    ],
)
def test_times(written: object, at_ms: int) -> None:
    assert event_of(view(timestamp=written)).occurred_at_ms == at_ms


@pytest.mark.parametrize(
    "written",
    [
        1_760_000_000,
        1_760_000_000.5,
        -1,
        253_402_300_800_000,
        1e300,
        True,
        [],
        "",
        "yesterday",
        "1700000000000",
        "2024-02-30T00:00:00",
        "2024-03-31T24:00:01",
        "2024-03-31T25:00:00",
        "2024-03-31T10:00:00+02:00[Europe/Berlin]",
        "2024-03-31 10:00:00 UTC",
        "9999-12-31T24:00:00",
        "9999-12-31T23:59:59-00:01",
        "1969-12-31T23:59:59",
    ],
)
def test_invalid_times(written: object) -> None:
    assert is_rejected(view(timestamp=written))
