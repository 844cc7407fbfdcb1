"""Settings: frozen values with defaults, from a TOML file and the environment."""

import math
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import msgspec

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.shop_cache import CacheRules
from realtime_pipeline.application.worker_rules import WorkerRules
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.recommendation.experiments import Experiment, Variant
from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import RecommendationRules
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.domain.streams.rules import FoldRules
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventLimits, kind_named
from realtime_pipeline.infrastructure.kafka.rules import KafkaRules
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from realtime_pipeline.infrastructure.sqlite.rules import LogKeepRules

ACTIVITY_HOURS_MAX = 10 * 366 * 24
PREFIX = "REALTIME_PIPELINE_"
NOT_SETTINGS = frozenset(("SETTINGS", "DATA", "SERVICES", "SERVERS"))
"""Names with the prefix that are no settings: the settings file, and what tests and harness are told by."""

SESSION_KEEP_MAX_MS = 100 * 365 * 86_400_000

_MAPPINGS = frozenset(("event_types", "weights", "category_weights", "pinned"))
"""Settings whose names are products, categories and types of a shop."""

LogTechnology = Literal["sqlite", "memory", "kafka"]
StoreTechnology = Literal["sqlite", "memory", "redis"]


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
        if self.session_keep_ms > SESSION_KEEP_MAX_MS:
            raise ValueError(f"session_keep_ms must be at most {SESSION_KEEP_MAX_MS}, a hundred years")


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
    database: str = "shop.db"
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
        if not 1 <= self.partitions <= 4096:
            raise ValueError(f"partitions must be from 1 to 4096, not {self.partitions}")
        if not (self.rating_prior >= 0 and math.isfinite(self.rating_prior)):
            raise ValueError(f"rating_prior must be at least 0, not {self.rating_prior}")
        decimals_of(self.currency)
        if self.stores.activity_hours > ACTIVITY_HOURS_MAX:
            raise ValueError(f"activity_hours must be at most {ACTIVITY_HOURS_MAX}")
        for type_name, kind_name in self.event_types.items():
            if type_name in TYPE_NAMES[EventKind.CUSTOMER_FORGOTTEN]:
                raise ValueError(f"event_types: {type_name} must keep its meaning, so that customers can be forgotten")
            if kind_named(kind_name) is None:
                raise ValueError(f"event_types: {type_name} is mapped to {kind_name}, which is no kind of event")
        every = (self.recommendations, *(variant.recommendations for variant in self.experiment.variants.values()))
        window = max(rules.trending.window_hours for rules in every)
        if window > self.stores.activity_hours:
            raise ValueError(f"trending looks {window} hours back, stores keep {self.stores.activity_hours}")

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


def load_settings(
    file: Path | str | None = None, environment: Mapping[str, str] | None = None, **given: object
) -> Settings:
    """Build settings from a TOML file, then the environment, then what was given by name; later ones win.

    In the environment, `REALTIME_PIPELINE_DATABASE=…` sets `database` and
    `REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS=…` sets `idle_wait_ms` of `worker`; lists and mappings may be written in
    JSON. `REALTIME_PIPELINE_SETTINGS` names the file when none is given.

    Raises:
        InvalidSettings: the file cannot be read, or a name or value makes no sense.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get(f"{PREFIX}SETTINGS"):
        file = Path(environment[f"{PREFIX}SETTINGS"])
    document = {} if file is None else _read(Path(file))
    for name, value in environment.items():
        path = name.removeprefix(PREFIX)
        if path != name and path not in NOT_SETTINGS:
            _put(document, _spelt(path), value)
    document |= {name: value for name, value in given.items() if value is not None}
    _check_names(document, Settings, "")
    _complete_variants(document)
    try:
        return msgspec.convert(document, Settings, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSettings(f"settings: {error}") from None


def _complete_variants(document: dict[str, Any]) -> None:
    """Let what a variant of an experiment does not say be as in the settings for everybody."""
    common, experiment = document.get("recommendations", {}), document.get("experiment")
    variants = experiment.get("variants") if isinstance(experiment, dict) else None
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        if not isinstance(variant, dict):
            raise InvalidSettings(f"settings: experiment.variants.{name} is a group of settings")
        _check_names(variant, Variant, f"experiment.variants.{name}.")
        variant["recommendations"] = _merged(common, variant.get("recommendations", {}))


def _merged(common: Any, own: Any) -> Any:
    if isinstance(common, dict) and isinstance(own, dict):
        named = {name for name in own if name in _MAPPINGS}  # a shop's own products: others in place of these
        return {
            name: own[name] if name in named else _merged(common.get(name), own.get(name)) for name in {**common, **own}
        }
    return common if own is None else own


def load_rules(file: Path) -> ListRules:
    """Read the rules of a list from a TOML file; its names are those of `[recommendations.rules]` in the settings.

    Raises:
        InvalidSettings: the file cannot be read, or a name or value makes no sense.
    """
    document = _read(file)
    _check_names(document, ListRules, "rules.", f"rules {file}")
    try:
        return msgspec.convert(document, ListRules, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSettings(f"rules {file}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{file} cannot be read: {error}") from None


def _spelt(path: str) -> list[str]:
    """The names of a path of the environment; below a mapping they are in the shop's own spelling."""
    names: list[str] = []
    for name in path.split("__"):
        names.append(name if names and names[-1] in _MAPPINGS else name.lower())
    return names


def _put(document: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise InvalidSettings(f"settings: {name} is a group of settings, and was given a value of its own")
    document[path[-1]] = _read_value(value)


def _read_value(value: str) -> Any:
    """Read what is written as a list or mapping in JSON; anything else is text, or is made of text."""
    if value.startswith(("[", "{")):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(value)
    return value


def _check_names(
    document: Mapping[str, Any], type_: type[attrs.AttrsInstance], within: str, where: str = "settings"
) -> None:
    """Name a setting that does not exist, or a choice that is none: it is most likely misspelt."""
    fields = {field.name: field.type for field in attrs.fields(type_)}
    for name, value in document.items():
        if name not in fields:
            known = ", ".join(sorted(fields))
            raise InvalidSettings(f"{where}: there is no {within}{name}; there are {known}")
        field_type = fields[name]
        choices = get_args(field_type) if get_origin(field_type) is Literal else (value,)
        if value not in choices:
            raise InvalidSettings(f"{where}: {within}{name} is one of {', '.join(choices)}, not {value}")
        if isinstance(value, dict) and isinstance(field_type, type) and attrs.has(field_type):
            _check_names(value, field_type, f"{within}{name}.", where)
