"""Settings come from defaults, a file, the environment and options, and say what is wrong with them."""

from pathlib import Path

import pytest

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.settings import Settings, load_settings


def test_the_defaults_are_the_embedded_pipeline() -> None:
    assert load_settings(None, {}) == Settings()
    assert (Settings().log, Settings().store, Settings().database) == ("sqlite", "sqlite", "shop.db")


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('database = "file.db"\npartitions = 3\n[worker]\nidle_wait_ms = 7\nround_records_max = 9\n')
    environment = {
        "REALTIME_PIPELINE_DATABASE": "environment.db",
        "REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS": "8",
        "REALTIME_PIPELINE_FOLD__PROFILE__ORDERS_MAX": "5",
        "REALTIME_PIPELINE_DATA": "/somewhere",
        "REALTIME_PIPELINE_RECOMMENDATIONS__RULES__CATEGORY_WEIGHTS__Kitchen": "2",
        "HOME": "/home/ada",
    }
    settings = load_settings(file, environment, database="given.db", store=None)
    assert (settings.database, settings.partitions, settings.store) == ("given.db", 3, "sqlite")
    assert (settings.worker.idle_wait_ms, settings.worker.round_records_max) == (8, 9)
    assert settings.fold.profile.orders_max == 5
    assert settings.recommendations.rules.category_weights == {"Kitchen": 2.0}
    assert load_settings(None, environment | {"REALTIME_PIPELINE_SETTINGS": str(file)}).database == "environment.db"


def test_settings_are_made_of_settings() -> None:
    with pytest.raises(TypeError, match=r"settings: redis is to be RedisRules\(…\), not a dict"):
        Settings(redis={"view_cells": 12})  # type: ignore[arg-type]


def test_a_shops_own_event_types(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[event_types]\nvideo_play = "view"\norder_placed = "purchase"\n')
    assert load_settings(file, {}).event_types == {"video_play": "view", "order_placed": "purchase"}
    assert load_settings(str(file), {}) == load_settings(file, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("databse = 'x'", r"there is no databse; there are cache, currency, database, "),
        ("[worker]\nidle = 5", r"there is no worker\.idle; there are cached_customers_max, "),
        ("[worker]\nidle_wait_ms = 0", r"idle_wait_ms must be at least 1"),
        ("[worker]\nidle_wait_ms = 'soon'", r"Expected `int`"),
        ("log = 'kinesis'", r"settings: log is one of sqlite, memory, kafka, not kinesis"),
        ("[redis]\nnodes = 'here'", r"redis.nodes are written host:port"),
        ("[redis]\nnamespace = '{x}'", r"redis.namespace is some printable text without braces"),
        ("[redis]\nnamespace = 'shop*'", r"redis.namespace is some printable text without braces"),
        ("[redis]\nnodes = 'redis://user:secret@here:6379'", r"redis.nodes are written host:port"),
        ("[redis]\ntimeout_ms = 0", r"timeout_ms must be at least 1"),
        ("[kafka]\ntransaction_ms = 60_000", r"kafka.transaction_ms must be at most 8000"),
        ("[kafka]\ngroup = ''", r"kafka.group must not be empty"),
        ("partitions = 0", r"partitions must be from 1 to 4096"),
        ("[fold.profile]\norders_max = 0", r"orders_max must be at least 1"),
        ("[stores]\nsession_keep_ms = 0", r"session_keep_ms must be at least 1"),
        ("[stores]\nsession_keep_ms = 9_223_372_036_854_775_807", r"session_keep_ms must be at most"),
        ("[recommendations.neighbours]\nk = 0", r"k must be at least 1"),
        ("[recommendations.trending]\nwindow_hours = 9999", r"trending looks 9999 hours back"),
        ("[event_types]\nvideo_play = 'watch'", r"video_play is mapped to watch, which is no kind of event"),
        ("[event_types]\nforget = 'view'", r"forget must keep its meaning"),
        ("rating_prior = -5", r"rating_prior must be at least 0"),
        ("rating_prior = nan", r"rating_prior must be at least 0"),
        ("currency = 'eur'", r"currency is a code of ISO 4217 such as .EUR., or .., not .eur."),
        ("[events]\nquantity_max = 9_007_199_254_740_993", r"quantity_max must be at most 9007199254740992"),
        ("[events]\namount_max = 1_000_000_000_000", r"amount_max must be at most 900719925474"),
        ("[events]\nrecord_bytes_max = -1", r"record_bytes_max must be at least 1"),
        ("[fold]\nfuture_ms = -1", r"future_ms must be at least 0"),
        ("[recommendations]\ncategories = -1", r"categories must be at least 0"),
        ("[recommendations.trending]\nhalf_life_hours = 0", r"half_life_hours more than 0"),
        ("[recommendations.trending]\nhalf_life_hours = inf", r"half_life_hours must be at least 0"),
        ("[stores]\nactivity_hours = 1_000_000", r"activity_hours must be at most 87840"),
        ("experiment = 'mixing'", r"Expected `object`"),
        ("log = 'kafka'\nstore = 'sqlite'", r"log kafka needs store redis"),
        ("database = ':memory:'", r'database is a file, not ":memory:"; for nothing on disk: log and store "memory"'),
        ("not toml", r"\.toml cannot be read"),
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=message) as refused:
        load_settings(file, {})
    assert "\n" not in str(refused.value)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"none\.toml cannot be read"):
        load_settings(tmp_path / "none.toml", {})


def test_a_group_given_a_value_of_its_own_is_named() -> None:
    environment = {"REALTIME_PIPELINE_WORKER": "5", "REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS": "1"}
    with pytest.raises(InvalidSettings, match="worker is a group of settings"):
        load_settings(None, environment)


def test_a_shops_types_keep_their_spelling_in_the_environment() -> None:
    settings = load_settings(None, {"REALTIME_PIPELINE_EVENT_TYPES__videoPlay": "view"})
    assert settings.event_types == {"videoPlay": "view"}


def test_lists_and_mappings_may_be_written_in_json_in_the_environment() -> None:
    environment = {
        "REALTIME_PIPELINE_RECOMMENDATIONS__RULES__EXCLUDE": '["mug", "jug"]',
        "REALTIME_PIPELINE_KAFKA__LIBRDKAFKA": '{"security.protocol": "SASL_SSL"}',
        "REALTIME_PIPELINE_KAFKA__PASSWORD": "{no JSON",
    }
    settings = load_settings(None, environment)
    assert settings.recommendations.rules.exclude == {"mug", "jug"}
    assert settings.kafka.librdkafka == {"security.protocol": "SASL_SSL"}
    assert settings.kafka.password == environment["REALTIME_PIPELINE_KAFKA__PASSWORD"]


def test_a_technology_that_is_none_is_refused_in_code_too() -> None:
    with pytest.raises(ValueError, match="store is one of sqlite, memory, redis, not memroy"):
        Settings(store="memroy")  # type: ignore[arg-type]


def test_a_mark_that_says_utf_8_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("\ufeffpartitions = 3\n", "utf-8")
    assert load_settings(file, {}).partitions == 3
