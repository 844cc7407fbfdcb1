"""Settings come from defaults, a file, the environment and options, and say what is wrong with them."""

import functools
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.settings import AnalyticsSettings, QualitySettings, Settings
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings


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


def test_what_is_excluded_is_part_of_the_fold(tmp_path: Path) -> None:
    exclude = Exclusion(user_agents=("bot/",), ids=("staff",), events_per_minute_max=60)
    file = tmp_path / "settings.toml"
    file.write_text('[quality.exclude]\nuser_agents = ["bot/"]\nids = ["staff"]\nevents_per_minute_max = 60\n')
    loaded = load_settings(file, {})
    assert loaded == Settings(quality=QualitySettings(exclude=exclude))
    assert loaded.folding == attrs.evolve(loaded.fold, exclude=exclude, windows=loaded.analytics.definitions)
    assert load_settings(None, {}, quality={"exclude": {"ids": ["staff"]}}).quality.exclude.ids == ("staff",)
    assert Settings(analytics=AnalyticsSettings(shipped=())).folding == FoldSettings()
    with pytest.raises(ValueError, match=r"fold\.exclude is no setting: it is set by quality\.exclude"):
        Settings(fold=FoldSettings(exclude=exclude))


def test_settings_are_made_of_settings() -> None:
    with pytest.raises(TypeError, match=r"settings: redis must be RedisSettings\(…\), not a dict"):
        Settings(redis={"view_cells": 12})  # type: ignore[arg-type]


def test_a_shops_own_event_types(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[event_types]\nvideo_play = "view"\norder_placed = "purchase"\n')
    assert load_settings(file, {}).event_types == {"video_play": "view", "order_placed": "purchase"}
    assert load_settings(str(file), {}) == load_settings(file, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("databse = 'x'", r"settings\.toml: there is no databse; did you mean database\?"),
        ("[worker]\nidle = 5", r"there is no worker\.idle; there are cached_customers_max, "),
        ("[worker]\nidle_wait_ms = 0", r"idle_wait_ms must be at least 1"),
        ("[worker]\nidle_wait_ms = 'soon'", r"settings\.toml: worker\.idle_wait_ms must be a whole number, not text"),
        ("[worker]\nidle_wait_ms = 1e308", r"idle_wait_ms must be a whole number, not a number"),
        (
            "[worker]\nround_records_max = 1" + "0" * 30,
            r"round_records_max must be at most 10{13}, not a number",
        ),
        (
            "[worker]\noutbox_retention_ms = 1" + "0" * 400,
            r"outbox_retention_ms must be at most 10000000000000, not a number of about 400 digits",
        ),
        ("[worker]\noutbox_retention_ms = 1" + "0" * 5_000, r"settings\.toml cannot be read"),
        ("rating_prior = 1e308", r"rating_prior must be at most 10000000000000, not 1e\+308"),
        ("[fold.profile]\nview_weight = 1_000_000", r"view_weight must be at most 1000"),
        (
            "[kafka]\nqueue_buffering_max_messages = 3_000_000_000",
            r"queue_buffering_max_messages must be at most 2147483647",
        ),
        ("[redis]\nrequest_timeout_ms = 1_000_000", r"request_timeout_ms must be at most 600000"),
        ("[recommendations.rules]\nper_category = 1" + "0" * 400, r"per_category must be at most"),
        ("[worker]\nkept_bytes_max = 5", r"no worker\.kept_bytes_max; did you mean worker\.outbox_bytes_max\?$"),
        ("idle_wait = 5", r"there is no idle_wait; did you mean worker\.idle_wait_ms\?"),
        ("[recommendations]\ndiversty = 0.5", r"no recommendations\.diversty; did you mean \S+\.rules\.diversity\?"),
        ("log = 'kinesis'", r"settings\.toml: log must be one of sqlite, memory, kafka, not kinesis"),
        ("[redis]\nnodes = 'here'", r"redis.nodes are written host:port"),
        ("[redis]\nnamespace = '{x}'", r"redis.namespace is some printable text without braces"),
        ("[redis]\nnamespace = 'shop*'", r"redis.namespace is some printable text without braces"),
        ("[redis]\nnodes = 'redis://user:secret@here:6379'", r"redis.nodes are written host:port"),
        ("[redis]\nrequest_timeout_ms = 0", r"request_timeout_ms must be at least 1"),
        ("[kafka]\ntransaction_timeout_ms = 60_000", r"kafka.transaction_timeout_ms must be at most 8000"),
        ("[kafka]\ngroup = ''", r"kafka.group must not be empty"),
        ("partitions = 0", r"partitions must be at least 1, not 0"),
        ("[fold.profile]\norders_max = 0", r"orders_max must be at least 1"),
        ("[stores]\nsession_retention_ms = 0", r"session_retention_ms must be at least 1"),
        ("[stores]\nsession_retention_ms = 9_223_372_036_854_775_807", r"session_retention_ms must be at most"),
        ("[recommendations.neighbours]\nk = 0", r"k must be at least 1"),
        (
            "[recommendations.trending]\nwindow_hours = 9999",
            r"trending\.window_hours is 9999, more than stores\.activity_retention_hours, which is 336",
        ),
        ("[event_types]\nvideo_play = 'watch'", r"video_play is mapped to watch, which is no known event type"),
        ("[event_types]\nforget = 'view'", r"forget cannot be mapped"),
        ("rating_prior = -5", r"rating_prior must be at least 0"),
        ("rating_prior = nan", r"rating_prior must be at least 0"),
        ("currency = 'eur'", r"currency is a code of ISO 4217 such as .EUR., or .., not .eur."),
        ("[events]\nquantity_max = 9_007_199_254_740_993", r"quantity_max must be at most 10000000000000"),
        ("[events]\namount_max = 1_000_000_000_000", r"amount_max must be at most 900719925474"),
        ("[events]\nrecord_bytes_max = -1", r"record_bytes_max must be at least 1"),
        ("[fold]\nmax_future_skew_ms = -1", r"max_future_skew_ms must be at least 0"),
        ("[recommendations]\ncategories = -1", r"categories must be at least 0"),
        ("[recommendations.trending]\nhalf_life_hours = 0", r"half_life_hours must be more than 0, not 0"),
        (
            "[recommendations.trending]\nhalf_life_hours = inf",
            r"half_life_hours must be at most 10000000000000, not inf",
        ),
        ("[stores]\nactivity_retention_hours = 1_000_000", r"activity_retention_hours must be at most 87840"),
        ("experiment = 'mixing'", r"experiment must be a group of settings, not text"),
        ("log = 'kafka'\nstore = 'sqlite'", r"log kafka needs store redis"),
        ("database = ':memory:'", r'database is a file, not ":memory:"; for nothing on disk: log and store "memory"'),
        ("not toml", r"\.toml cannot be read"),
        ("[quality.exclude]\nuser_agent = []", r"no quality\.exclude\.user_agent; did you mean \S+\.user_agents\?$"),
        ("[quality.excluded]\nids = []", r"there is no quality\.excluded; did you mean quality\.exclude\?$"),
        ("[fold.exclude]\nids = []", r"there is no fold\.exclude; did you mean quality\.exclude\?$"),
        ("[quality.exclude]\nuser_agents = ['']", r"user_agents: a text has 1 to 200 printable characters, not ''$"),
        ("[quality.exclude]\nuser_agents = 'bot'", r"quality\.exclude\.user_agents must be a list, not text$"),
        ("[quality.exclude]\nids = [7]", r"quality\.exclude\.ids\.0 must be text, not a whole number$"),
        ("[quality.exclude]\nevents_per_minute_max = -1", r"events_per_minute_max must be at least 0, not -1$"),
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
    with pytest.raises(ValueError, match="store must be one of sqlite, memory, redis, not memroy"):
        Settings(store="memroy")  # type: ignore[arg-type]


def test_a_mark_that_says_utf_8_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("\ufeffpartitions = 3\n", "utf-8")
    assert load_settings(file, {}).partitions == 3


def test_an_error_names_the_source_of_the_value(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[worker]\nidle_wait_ms = 0\n")
    with pytest.raises(InvalidSettings, match=r"settings\.toml: idle_wait_ms must be at least 1, not 0"):
        load_settings(file, {"REALTIME_PIPELINE_WORKER__OUTBOX_RETENTION_MS": "5"})
    for name, value, message in (
        ("WORKER__IDLE_WAIT_MS", "-1", "idle_wait_ms must be at least 0, not -1"),
        ("WORKER__IDLE_WAIT_MS", "soon", "worker.idle_wait_ms must be a whole number, not text"),
        ("WORKER__IDLE_WAIT_M", "5", "there is no worker.idle_wait_m; did you mean worker.idle_wait_ms?"),
        ("LOG", "kinesis", "log must be one of sqlite, memory, kafka, not kinesis"),
    ):
        with pytest.raises(InvalidSettings) as refused:
            load_settings(file, {f"REALTIME_PIPELINE_{name}": value})
        assert str(refused.value) == f"REALTIME_PIPELINE_{name}: {message}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RECOMMENDATIONS__TRENDING__WINDOW_HOURS", "400", "recommendations.trending.window_hours is 400, more than"),
        (
            "STORES__ACTIVITY_RETENTION_HOURS",
            "10",
            "recommendations.trending.window_hours is 72, more than stores.activity_retention_hours",
        ),
        ("RECOMMENDATIONS__TRENDING__HALF_LIFE_HOURS", "0", "half_life_hours must be more than 0"),
        ("EVENT_TYPES__foo", "bar", "event_types: foo is mapped to bar"),
        ("EXPERIMENT__NAME", "x", "an experiment needs a name and variants"),
        ("EXPERIMENT__VARIANTS__A__SHARE", "-1", "share must be at least 0, not -1"),
        ("RECOMMENDATIONS__RULES__WEIGHTS__jug", "-1", "weights: jug must be at least 0"),
        ("RECOMMENDATIONS__RULES__WEIGHTS__jug", "x", "recommendations.rules.weights must be a number, not text"),
        ("RECOMMENDATIONS__RULES__PINNED__jug", "5000", "pinned: slots are different whole numbers"),
        ("STORE", "sqlite", "log kafka needs store redis"),
        ("RECOMMENDATIONS____M", "3", "there is no recommendations."),
        ("KAFKA__LIBRDKAFKA", '{"a": {"b": 1}}', "kafka.librdkafka must be"),
        ("LOG", "\udcff", "its value is not UTF-8"),
        ("EVENT_TYPES", '{"\udcff', "its value is not UTF-8"),
        ("EVENT_TYPES", "[" * 3_000, "event_types must be a group of settings, not text"),
    ],
)
def test_the_variable_is_named_beside_a_file(name: str, value: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('log = "kafka"\nstore = "redis"\n[recommendations.trending]\nview_weight = 2\n')
    with pytest.raises(InvalidSettings) as refused:
        load_settings(file, {f"REALTIME_PIPELINE_{name}": value})
    assert str(refused.value).startswith(f"REALTIME_PIPELINE_{name}: {message}")


def test_values_of_another_type_are_named() -> None:
    assert Settings(database=Path("a.db")).database == "a.db"
    for wrong in ("4", 2.5, None, True):
        with pytest.raises(TypeError, match="partitions must be a whole number, not"):
            Settings(partitions=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rating_prior must be a number, not 'x'"):
        Settings(rating_prior="x")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettings, match=r"there is no worker\.1"):
        load_settings(None, {}, worker={1: 2})


def numbers_of(rules: attrs.AttrsInstance) -> list[tuple[attrs.AttrsInstance, str, type]]:
    """Every setting that is a number, with the group that it belongs to, but for those of lists."""
    found: list[tuple[attrs.AttrsInstance, str, type]] = []
    for field in attrs.fields(type(rules)):
        value = getattr(rules, field.name)
        if attrs.has(type(value)) and not isinstance(value, ListRules):
            found += numbers_of(value)
        elif field.type in {int, float}:
            found.append((rules, field.name, field.type))
    return found


@pytest.mark.parametrize(("wrong", "may_be_float"), [("5", False), (None, False), (True, False), (1.5, True)])
def test_a_number_of_another_type_is_named(wrong: object, may_be_float: bool) -> None:
    every = [*numbers_of(Settings()), *numbers_of(TopicSettings())]
    assert len(every) > 80
    for rules, name, kind in every:
        if kind is int or not may_be_float:
            with pytest.raises(TypeError, match=f"{name} must be a (whole )?number, not {wrong!r}"):
                attrs.evolve(rules, **{name: wrong})  # type: ignore[misc]


@pytest.mark.parametrize("value", ["1" + "0" * 30, str(2**63 - 1), "1e308", "-1", "nan", "inf", ""])
def test_a_number_of_any_size_is_taken_or_refused_in_a_line(value: str) -> None:
    """Of every setting that is a number; what is taken is within what stores and timers hold."""
    for path in numbers(Settings()):
        name = "REALTIME_PIPELINE_" + "__".join(path).upper()
        settings, refused = settings_or_refusal({name: value})
        if settings is None:
            assert refused.startswith(f"{name}: ")
            assert len(refused) < 200
        elif path[-1] != "price_max":  # a price is compared, and goes nowhere
            assert 0 <= functools.reduce(getattr, path, settings) <= 10**13  # type: ignore[operator]


def settings_or_refusal(environment: dict[str, str]) -> tuple[Settings | None, str]:
    try:
        return load_settings(None, environment), ""
    except InvalidSettings as refused:
        return None, str(refused)


def numbers(settings: object) -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(type(settings)):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if attrs.has(type(value)):
            yield from ((field.name, *path) for path in numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (field.name,)
