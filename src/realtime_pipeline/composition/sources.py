"""Which kinds of sources there are: one line for each, by the name of its group in `[sources.NAME]`.

A new kind is a folder in `infrastructure`, a field of `SourceSettings`, a function that opens it, and its line here.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Final

import attrs

from realtime_pipeline.application.errors import InvalidSettings, Unavailable
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.composition.mappings import find_mapping
from realtime_pipeline.composition.settings import Settings, SourceSettings
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.definitions import EventMapping, as_field
from realtime_pipeline.domain.paths import names_of

TABLE: Final = "table"
ROW: Final = "row"
"""The fields of a captured change that have the table's name, and its columns."""


def _postgres(name: str, settings: Any, mapping: EventMapping | None) -> Source:
    from realtime_pipeline.infrastructure.postgres.source import PostgresSource

    if mapping is None:
        raise InvalidSettings(f"sources.{name} needs a mapping, which says what the rows of which tables mean")
    return PostgresSource(name, settings, columns_read(name, mapping))


def _kafka(name: str, settings: Any, _mapping: EventMapping | None) -> Source:
    from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource

    return KafkaTopicSource(name, settings)


def _redis(name: str, settings: Any, _mapping: EventMapping | None) -> Source:
    from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource

    return RedisStreamSource(name, settings)


def _kinesis(name: str, settings: Any, _mapping: EventMapping | None) -> Source:
    from realtime_pipeline.infrastructure.kinesis.source import KinesisSource

    return KinesisSource(name, settings)


@attrs.frozen
class SourceKind:
    """How a kind of source is opened, and the vendor's module that it needs."""

    open: Callable[[str, Any, EventMapping | None], Source]
    module: str


SOURCES: Final[Mapping[str, SourceKind]] = {
    "postgres": SourceKind(_postgres, "psycopg"),
    "kafka": SourceKind(_kafka, "confluent_kafka"),
    "redis": SourceKind(_redis, "redis"),
    "kinesis": SourceKind(_kinesis, "boto3"),
}


def find_source(settings: Settings, name: str) -> SourceSettings:
    """Return the settings of a source.

    Raises:
        InvalidSettings: there is none of this name.
    """
    if name not in settings.sources:
        known = ", ".join(sorted(settings.sources)) or "none"
        raise InvalidSettings(f'there is no source "{name}": write [sources.{name}] (there are: {known})')
    return settings.sources[name]


def open_source(settings: Settings, name: str) -> Source:
    """Open a source of the settings; nothing is connected before it is read.

    Raises:
        InvalidSettings: there is none of this name, or its mapping is not there or cannot be used for it.
        Unavailable: it needs an extra that is not installed.
    """
    found = find_source(settings, name)
    kind = SOURCES[found.kind]
    if find_spec(kind.module) is None:
        raise Unavailable(f"{found.kind} needs more packages: pip install 'realtime-pipeline[{found.kind}]'")
    mapping = find_mapping(settings, found.mapping) if found.mapping else None
    return kind.open(name, getattr(found, found.kind), mapping)


def columns_read(name: str, mapping: EventMapping) -> dict[str, frozenset[str]]:
    """Return the tables that a mapping of captured changes is for, each with the columns that it cannot do without.

    A column is needed where it is the only path of a field, or a part of a `join` or a condition.

    Raises:
        InvalidSettings: a rule does not name its table.
    """
    tables: dict[str, set[str]] = {}
    for number, rule in enumerate(mapping.events, 1):
        condition = rule.when.get(TABLE, ())
        test = condition if isinstance(condition, FieldTest) else FieldTest(one_of=_as_tuple(condition), present=True)
        if not test.one_of:
            raise InvalidSettings(
                f'sources.{name}: rule {number} of its mapping needs when = {{{TABLE} = "public.orders"}}, or several'
            )
        fields = map(as_field, (mapping.fields | rule.fields).values())
        paths = [path for field in fields for path in (*field.join, *(field.paths if len(field.paths) == 1 else ()))]
        columns = {names[1] for path in (*paths, *rule.when) if (names := names_of(path))[0] == ROW and len(names) > 1}
        for table in map(str, test.one_of):
            tables.setdefault(table, set()).update(columns)
    return {table: frozenset(columns) for table, columns in tables.items()}


def _as_tuple(condition: Any) -> tuple[Any, ...]:
    return condition if isinstance(condition, tuple) else (condition,)
