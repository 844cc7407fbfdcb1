"""Which windows are counted: those of the library that are on, and a shop's own."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import AnalyticsSettings, InvalidSettings, Measure, Settings, Window, WindowedAggregate
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.domain.analytics.definitions import DESCRIPTION_LENGTH_MAX
from realtime_pipeline.domain.analytics.shipped import ON_BY_DEFAULT, shipped_aggregates

NAMES = (
    "gmv_per_minute",
    "events_by_type_and_device",
    "active_users_minute",
    "active_users_hour",
    "active_users_day",
    "funnel",
    "revenue_by_category_country_hour",
    "trending_products_10min",
)
OWN = WindowedAggregate("visits", Window(60_000), {"n": Measure("count")})


def counted(settings: Settings) -> list[str]:
    return [found.name for found in settings.folding.windows]


def test_all_shipped_windows_may_be_on_and_each_says_in_a_line_what_it_counts() -> None:
    settings = Settings(analytics=AnalyticsSettings((OWN,), shipped=NAMES))
    assert counted(settings) == [*NAMES, "visits"]
    assert tuple(shipped_aggregates("UTC")) == NAMES
    for found in settings.analytics.definitions[:-1]:
        assert 40 < len(found.description) <= DESCRIPTION_LENGTH_MAX


def test_windows_of_sales_are_on_by_default() -> None:
    assert counted(Settings()) == [*ON_BY_DEFAULT]
    assert counted(Settings(analytics=AnalyticsSettings((OWN,)))) == [*ON_BY_DEFAULT, "visits"]
    sales = {"product_purchased", "purchase_cancelled"}
    for found in Settings().folding.windows:
        wanted = found.where["event_type"]
        assert isinstance(wanted, tuple)
        assert set(wanted) == sales


def test_a_file_or_a_variable_says_which_are_on(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[analytics]\nshipped = ["funnel", "active_users_day"]\ntimezone = "Europe/Berlin"\n')
    settings = load_settings(file, {})
    assert counted(settings) == ["funnel", "active_users_day"]
    assert settings.folding.windows[1].window == Window(calendar="day", timezone="Europe/Berlin")
    file.write_text("[analytics]\nshipped = []\n")
    assert counted(load_settings(file, {})) == []
    assert counted(load_settings(None, {"REALTIME_PIPELINE_ANALYTICS__SHIPPED": "[]"})) == []


def test_a_shops_own_window_replaces_a_shipped_one_of_its_name() -> None:
    own = attrs.evolve(OWN, name="funnel")
    both = AnalyticsSettings((own,), shipped=("gmv_per_minute", "funnel"))
    assert [found.name for found in both.definitions] == ["gmv_per_minute", "funnel"]
    assert both.definitions[1] == own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'shipped = ["funel"]',
            f'shipped: there is no window "funel"; there are: {", ".join(sorted(NAMES))}',
        ),
        ('shipped = ["funnel", "funnel"]', "shipped: funnel is there twice"),
        ('timezone = "Mars"', 'timezone: "Mars" is no time zone: write a name such as "Europe/Berlin", or "UTC"'),
        ('shipped = "funnel"', "analytics.shipped must be a list, not text"),
        (
            'shipped = ["events_by_type_and_device"]\npersonal = ["context.device"]',
            "events_by_type_and_device: context.device is personal: it may only be counted as distinct values",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(f"[analytics]\n{text}\n")
    with pytest.raises(InvalidSettings) as raised:
        load_settings(file, {})
    assert str(raised.value) == f"{file}: {message}"


def test_a_text_is_no_list_of_names_in_code_either() -> None:
    with pytest.raises(TypeError, match='shipped must be a list of names, not "funnel"'):
        AnalyticsSettings(shipped="funnel")  # type: ignore[arg-type]


def test_only_the_day_depends_on_the_time_zone() -> None:
    utc, berlin = shipped_aggregates("UTC"), shipped_aggregates("Europe/Berlin")
    assert [name for name in NAMES if utc[name] != berlin[name]] == ["active_users_day"]


@pytest.mark.parametrize("changed", [{"description": "x" * 301}, {"description": "two\nlines"}])
def test_a_description_is_one_line(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="visits: description: write a line of up to 300 printable characters"):
        attrs.evolve(OWN, **changed)


def test_another_description_counts_on() -> None:
    assert attrs.evolve(OWN, description="other words").fingerprint == OWN.fingerprint
