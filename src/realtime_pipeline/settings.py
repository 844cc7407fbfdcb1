"""Settings: frozen values with defaults."""

from os import PathLike
from typing import Literal, get_args

import attrs

from realtime_pipeline.application.shop_cache import CacheRules
from realtime_pipeline.application.worker_rules import WorkerRules
from realtime_pipeline.domain.limits import at_least, at_most, in_bounds
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.service import RecommendationRules
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.domain.shop.session import PARTITIONS_MAX
from realtime_pipeline.domain.streams.rules import FoldRules
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventLimits, kind_named
from realtime_pipeline.infrastructure.kafka.rules import KafkaRules
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from realtime_pipeline.infrastructure.sqlite.rules import LogKeepRules

ACTIVITY_HOURS_MAX = 10 * 366 * 24
SESSION_KEEP_MAX_MS = 100 * 365 * 86_400_000

LogTechnology = Literal["sqlite", "memory", "kafka"]
StoreTechnology = Literal["sqlite", "memory", "redis"]


def _as_text(path: str | PathLike[str]) -> str:
    return str(path) if isinstance(path, PathLike) else path


@attrs.frozen
class StoreRules:
    """What stores keep of what everybody does.

    Sessions for `session_keep_ms` of event time, of each product's sessions the newest `listed_sessions_max`, its
    hourly activity for `activity_hours`.
    """

    session_keep_ms: int = 30 * 86_400_000
    listed_sessions_max: int = 500
    activity_hours: int = 14 * 24

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(SESSION_KEEP_MAX_MS, self, "session_keep_ms")
        at_most(ACTIVITY_HOURS_MAX, self, "activity_hours")


@attrs.frozen
class Settings:
    """Everything that can be set, with the embedded defaults.

    `partitions` is used when a log is made, and then stays. `event_types` maps a shop's own event types to known
    ones: `{"video_play": "view", "order_placed": "purchase"}`. `rating_prior` is how many average ratings a
    product starts with. `currency` (a code of ISO 4217) says with how many decimals money is printed: two where it is
    empty.
    """

    log: LogTechnology = "sqlite"
    store: StoreTechnology = "sqlite"
    database: str = attrs.field(default="shop.db", converter=_as_text)
    partitions: int = 4
    rating_prior: float = 5.0
    currency: str = ""
    event_types: dict[str, str] = attrs.Factory(dict)
    events: EventLimits = attrs.Factory(EventLimits)
    fold: FoldRules = attrs.Factory(FoldRules)
    worker: WorkerRules = attrs.Factory(WorkerRules)
    stores: StoreRules = attrs.Factory(StoreRules)
    log_keep: LogKeepRules = attrs.Factory(LogKeepRules)
    cache: CacheRules = attrs.Factory(CacheRules)
    recommendations: RecommendationRules = attrs.Factory(RecommendationRules)
    experiment: Experiment = attrs.Factory(Experiment)
    kafka: KafkaRules = attrs.Factory(KafkaRules)
    redis: RedisRules = attrs.Factory(RedisRules)

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            if isinstance(field.type, type) and attrs.has(field.type):
                found = getattr(self, field.name)
                if not isinstance(found, field.type):
                    kind = type(found).__name__
                    raise TypeError(f"settings: {field.name} is to be {field.type.__name__}(…), not a {kind}")
        self._check_technologies()
        if type(self.partitions) is not int:
            raise TypeError(f"partitions must be a whole number, not {self.partitions!r}")
        in_bounds("partitions", self.partitions, 1, PARTITIONS_MAX)
        in_bounds("rating_prior", self.rating_prior, 0)
        decimals_of(self.currency)
        for type_name, kind_name in self.event_types.items():
            if type_name in TYPE_NAMES[EventKind.CUSTOMER_FORGOTTEN]:
                raise ValueError(f"event_types: {type_name} must keep its meaning, so that customers can be forgotten")
            if kind_named(kind_name) is None:
                raise ValueError(f"event_types: {type_name} is mapped to {kind_name}, which is no kind of event")
        every = (self.recommendations, *(variant.recommendations for variant in self.experiment.variants.values()))
        window = max(rules.trending.window_hours for rules in every)
        if window > self.stores.activity_hours:
            raise ValueError(
                f"recommendations.trending.window_hours is {window}, more than stores.activity_hours, which is "
                f"{self.stores.activity_hours}"
            )

    def _check_technologies(self) -> None:
        for what, name, known in (("log", self.log, LogTechnology), ("store", self.store, StoreTechnology)):
            if name not in get_args(known):
                raise ValueError(f"{what} is one of {', '.join(get_args(known))}, not {name}")
        if (self.log, self.store) == ("kafka", "sqlite"):
            raise ValueError("log kafka needs store redis: SQLite keeps nothing for outputs that lie elsewhere")
        if self.log_keep != LogKeepRules() and (self.log, self.store) != ("sqlite", "sqlite"):
            raise ValueError(
                "log_keep needs log sqlite and store sqlite: Kafka has a retention of its own (topics create "
                "--retention-days), and elsewhere no snapshot is taken to build a store again from"
            )
        if self.database.startswith((":memory:", "file:")) or not self.database:
            raise ValueError(f'database is a file, not "{self.database}"; for nothing on disk: log and store "memory"')
