"""Settings: frozen values with defaults."""

from os import PathLike
from typing import Literal, get_args

import attrs

from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate, check_aggregates
from realtime_pipeline.domain.analytics.fields import field_named
from realtime_pipeline.domain.analytics.shipped import ON_BY_DEFAULT, chosen_aggregates
from realtime_pipeline.domain.limits import at_least, at_most, in_bounds
from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import EventMapping, ExchangeRate
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventLimits, kind_named
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, KafkaTopicSettings
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.redis.settings import RedisSettings, RedisStreamSettings
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings

ACTIVITY_RETENTION_HOURS_MAX = 10 * 366 * 24
IDLE_MAX_MS = 7 * 86_400_000
RESULTS_KEEP_MAX_DAYS = 100 * 366
SOURCE_NAME_LENGTH_MAX = 200
SESSION_RETENTION_MAX_MS = 100 * 365 * 86_400_000

LogName = Literal["sqlite", "memory", "kafka"]
StoreName = Literal["sqlite", "memory", "redis"]


def _as_text(path: str | PathLike[str]) -> str:
    return str(path) if isinstance(path, PathLike) else path


@attrs.frozen
class StoreSettings:
    """The retention of stores, in event time.

    Sessions are stored for `session_retention_ms`; of each product the newest `listed_sessions_max` sessions are
    listed, and its hourly activity is stored for `activity_retention_hours`.
    """

    session_retention_ms: int = 30 * 86_400_000
    listed_sessions_max: int = 500
    activity_retention_hours: int = 14 * 24

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(SESSION_RETENTION_MAX_MS, self, "session_retention_ms")
        at_most(ACTIVITY_RETENTION_HOURS_MAX, self, "activity_retention_hours")


@attrs.frozen
class SourceSettings:
    """A source that `capture` reads: exactly one of its kinds, and the name of the mapping that makes events of its
    records; without a mapping they are events in an accepted schema already."""

    mapping: str = ""
    postgres: PostgresSettings | None = None
    kafka: KafkaTopicSettings | None = None
    redis: RedisStreamSettings | None = None
    kinesis: KinesisSettings | None = None

    def __attrs_post_init__(self) -> None:
        if len(self._kinds) != 1:
            raise ValueError("a source needs exactly one of the groups postgres, kafka, redis, kinesis")

    @property
    def _kinds(self) -> list[str]:
        kinds = ("postgres", "kafka", "redis", "kinesis")
        return [kind for kind in kinds if getattr(self, kind) is not None]

    @property
    def kind(self) -> str:
        """Which kind it is."""
        return self._kinds[0]


@attrs.frozen
class QualitySettings:
    """What of a shop's events is worth counting: those of `exclude` count for their own customer alone."""

    exclude: Exclusion = attrs.Factory(Exclusion)


@attrs.frozen
class AnalyticsSettings:
    """What is counted in windows of event time.

    `windows` are a shop's own definitions; `shipped` names those of the library that are counted, too, unless one of
    the shop's own has the name. `timezone` is the shop's, in which the days of shipped definitions begin. Fields of
    `personal` (such as `properties.email`) are no keys of windows, and no value of theirs is kept in one: windows are
    not forgotten with their customers.

    A partition to which nothing of the shop's has come for `idle_ms` holds no window open; but where no event has come
    at all, all wait for `silence_ms` at least. Results of final windows are kept for `results_keep_days`.
    """

    windows: tuple[WindowedAggregate, ...] = ()
    personal: tuple[str, ...] = ()
    idle_ms: int = 5_000
    silence_ms: int = 10 * 60_000
    results_keep_days: int = 90
    shipped: tuple[str, ...] = ON_BY_DEFAULT
    timezone: str = "UTC"

    def __attrs_post_init__(self) -> None:
        at_least(100, self, "idle_ms")
        at_least(0, self, "silence_ms")
        at_least(1, self, "results_keep_days")
        at_most(IDLE_MAX_MS, self, "idle_ms", "silence_ms")
        at_most(RESULTS_KEEP_MAX_DAYS, self, "results_keep_days")
        for name in self.personal:
            field_named(name)
        check_aggregates(self.definitions, self.personal)

    @property
    def definitions(self) -> tuple[WindowedAggregate, ...]:
        """All that is counted: the shipped definitions that are on, then the shop's own."""
        return chosen_aggregates(self.shipped, self.windows, self.timezone)


@attrs.frozen
class Settings:
    """All settings; the defaults are those of an embedded pipeline, with log and store in one SQLite file.

    `partitions` is the number of partitions of a log that is created; it cannot be changed later. `event_types` maps a
    shop's own event types to known ones: `{"video_play": "view", "order_placed": "purchase"}`. `rating_prior` is how
    many average ratings a product starts with. `currency` (a code of ISO 4217) decides how many decimals money is
    printed with: 2 if it is empty. `mapping` has, by name, how the records of a shop's own systems become events;
    `exchange_rates` convert their money to `currency`; `sources` are databases and queues that events are read from.
    """

    log: LogName = "sqlite"
    store: StoreName = "sqlite"
    database: str = attrs.field(default="shop.db", converter=_as_text)
    partitions: int = 4
    rating_prior: float = 5.0
    currency: str = ""
    event_types: dict[str, str] = attrs.Factory(dict)
    mapping: dict[str, EventMapping] = attrs.Factory(dict)
    exchange_rates: tuple[ExchangeRate, ...] = ()
    sources: dict[str, SourceSettings] = attrs.Factory(dict)
    events: EventLimits = attrs.Factory(EventLimits)
    fold: FoldSettings = attrs.Factory(FoldSettings)
    quality: QualitySettings = attrs.Factory(QualitySettings)
    analytics: AnalyticsSettings = attrs.Factory(AnalyticsSettings)
    worker: WorkerSettings = attrs.Factory(WorkerSettings)
    stores: StoreSettings = attrs.Factory(StoreSettings)
    log_retention: LogRetentionSettings = attrs.Factory(LogRetentionSettings)
    cache: CacheSettings = attrs.Factory(CacheSettings)
    recommendations: RecommendationSettings = attrs.Factory(RecommendationSettings)
    experiment: Experiment = attrs.Factory(Experiment)
    kafka: KafkaSettings = attrs.Factory(KafkaSettings)
    redis: RedisSettings = attrs.Factory(RedisSettings)

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            if isinstance(field.type, type) and attrs.has(field.type):
                found = getattr(self, field.name)
                if not isinstance(found, field.type):
                    kind = type(found).__name__
                    raise TypeError(f"settings: {field.name} must be {field.type.__name__}(…), not a {kind}")
        if self.fold.exclude is not None:
            raise ValueError("fold.exclude is no setting: it is set by quality.exclude")
        if self.fold.windows:
            raise ValueError("fold.windows is no setting: it is set by analytics.windows and analytics.shipped")
        self._check_technologies()
        if type(self.partitions) is not int:
            raise TypeError(f"partitions must be a whole number, not {self.partitions!r}")
        in_bounds("partitions", self.partitions, 1, PARTITIONS_MAX)
        in_bounds("rating_prior", self.rating_prior, 0)
        decimals_of(self.currency)
        Rates(self.currency, self.exchange_rates)
        self._check_names()
        recommenders = (
            self.recommendations,
            *(variant.recommendations for variant in self.experiment.variants.values()),
        )
        window_hours = max(settings.trending.window_hours for settings in recommenders)
        if window_hours > self.stores.activity_retention_hours:
            raise ValueError(
                f"recommendations.trending.window_hours is {window_hours}, more than stores.activity_retention_hours, "
                f"which is {self.stores.activity_retention_hours}"
            )

    @property
    def folding(self) -> FoldSettings:
        """All that decides how events are folded: `fold`, with what `quality` excludes and `analytics` counts."""
        exclude = None if self.quality.exclude.is_empty else self.quality.exclude
        return attrs.evolve(self.fold, exclude=exclude, windows=self.analytics.definitions)

    def _check_names(self) -> None:
        """Check the names of event types and sources."""
        for type_name, kind_name in self.event_types.items():
            if type_name in TYPE_NAMES[EventKind.CUSTOMER_FORGOTTEN]:
                raise ValueError(f"event_types: {type_name} cannot be mapped, since it erases customers")
            if kind_named(kind_name) is None:
                raise ValueError(f"event_types: {type_name} is mapped to {kind_name}, which is no known event type")
        for name in self.sources:
            if not name.isprintable() or not 0 < len(name) <= SOURCE_NAME_LENGTH_MAX:
                raise ValueError(f"sources: a name has 1 to {SOURCE_NAME_LENGTH_MAX} printable characters")
        for type_name in self.events.custom:
            if kind_named(type_name) is not None or type_name in self.event_types:
                raise ValueError(f"events.custom: {type_name} is a known event type, or one of event_types")

    def _check_technologies(self) -> None:
        for setting, name, known in (("log", self.log, LogName), ("store", self.store, StoreName)):
            if name not in get_args(known):
                raise ValueError(f"{setting} must be one of {', '.join(get_args(known))}, not {name}")
        if (self.log, self.store) == ("kafka", "sqlite"):
            raise ValueError("log kafka needs store redis: the store in SQLite has no outbox for outputs in Kafka")
        with_topic = [definition.name for definition in self.analytics.definitions if definition.topic]
        if with_topic and self.log != "kafka":
            raise ValueError(f"analytics.windows: {with_topic[0]} has a topic, which needs log kafka")
        if self.log_retention != LogRetentionSettings() and (self.log, self.store) != ("sqlite", "sqlite"):
            raise ValueError(
                "log_retention needs log sqlite and store sqlite: Kafka has a retention of its own (topics create "
                "--retention-days), and other stores take no snapshot to be rebuilt from"
            )
        if self.database.startswith((":memory:", "file:")) or not self.database:
            raise ValueError(f'database is a file, not "{self.database}"; for nothing on disk: log and store "memory"')
