"""The technologies: a line for each log, each store, and each combination of both.

A new technology is a folder in `infrastructure`, a module in `technologies`, and its lines here.
"""

from collections.abc import Mapping
from typing import Final

from realtime_pipeline.application.ports.backups import NoBackups
from realtime_pipeline.application.ports.snapshots import NoSnapshots
from realtime_pipeline.application.ports.upkeep import NoUpkeep
from realtime_pipeline.composition.parts import Combination, LogTechnology, StoreTechnology
from realtime_pipeline.composition.settings import LogName, StoreName
from realtime_pipeline.composition.technologies import kafka, memory, redis, sqlite

LOGS: Final[Mapping[LogName, LogTechnology]] = {
    "kafka": kafka.LOG,
    "memory": memory.LOG,
    "sqlite": sqlite.LOG,
}

STORES: Final[Mapping[StoreName, StoreTechnology]] = {
    "memory": memory.STORE,
    "redis": redis.STORE,
    "sqlite": sqlite.STORE,
}

_NONE_NEEDED: Final = (lambda _: NoSnapshots(), lambda _: NoUpkeep(), lambda _: NoBackups())
"""No snapshots, upkeep and backups: the log and the store have means of their own."""
_IN_MEMORY: Final = Combination(memory.outputs, memory.dead_letters, memory.late_events, *_NONE_NEEDED)
_IN_FILE: Final = Combination(sqlite.outputs, sqlite.dead_letters, sqlite.late_events, *_NONE_NEEDED)
_IN_TOPICS: Final = Combination(
    kafka.outputs, kafka.dead_letters, kafka.late_events, *_NONE_NEEDED, group_outputs=kafka.outputs
)

COMBINATIONS: Final[Mapping[tuple[LogName, StoreName], Combination]] = {
    ("kafka", "memory"): _IN_TOPICS,
    ("kafka", "redis"): _IN_TOPICS,
    ("memory", "memory"): _IN_MEMORY,
    ("memory", "redis"): _IN_MEMORY,
    ("memory", "sqlite"): _IN_FILE,
    ("sqlite", "memory"): _IN_MEMORY,
    ("sqlite", "redis"): _IN_FILE,
    ("sqlite", "sqlite"): Combination(
        sqlite.outputs, sqlite.dead_letters, sqlite.late_events, sqlite.snapshots, sqlite.upkeep, sqlite.backups
    ),
}
"""Outputs are stored with the store if that is a database, else with the log."""
