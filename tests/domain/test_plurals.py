import pytest

from realtime_pipeline.domain.plurals import counted, numbered
from realtime_pipeline.domain.shop.times import utc_text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 copies"), (1, "1 copy"), (2, "2 copies"), (1_234_567, "1,234,567 copies")]
)
def test_a_number_goes_with_its_form_of_the_word(number: int, text: str) -> None:
    assert counted(number, "copy", "copies") == text


def test_a_plural_is_the_word_with_an_s_where_none_is_given() -> None:
    assert [counted(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]
    assert [numbered(number, "line is", "lines are") for number in (1, 2)] == ["line is", "lines are"]


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_760_058_111_250, "2025-10-10T01:01:51.250Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (10**18, "9999-12-31T23:59:59.999Z"),
        (-(10**18), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_text_in_utc_with_milliseconds(at_ms: int, text: str) -> None:
    assert utc_text(at_ms) == text
