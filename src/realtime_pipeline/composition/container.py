"""The composition root: the only place that knows which adapter stands behind which port.

Adapters are imported in the functions that make them, so that what is not chosen need not be installed; the two
that are always there (memory, SQLite) are named in types. To swap one, override its provider:
`container.cells.override(providers.Object(my_store))`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

import attrs
from dependency_injector import containers, providers

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ingestion.record_exposure import RecordExposure
from realtime_pipeline.application.maintenance.follow_forgetting import FollowForgetting
from realtime_pipeline.application.maintenance.forget_customer import ForgetCustomer
from realtime_pipeline.application.maintenance.handle_dead_letters import HandleDeadLetters
from realtime_pipeline.application.maintenance.rebuild_store import RebuildStore
from realtime_pipeline.application.maintenance.restore_outputs import RestoreOutputs
from realtime_pipeline.application.maintenance.trace_event import TraceEvent
from realtime_pipeline.application.ports.backups import Backups
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.observer import NoObserver, StageObserver
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.process_events import ProcessEvents
from realtime_pipeline.application.serving.explain_empty_list import ExplainEmptyList
from realtime_pipeline.application.serving.recommend_products import RecommendProducts
from realtime_pipeline.application.serving.run_experiment import RunExperiment
from realtime_pipeline.application.serving.shared_cache import ShopCache
from realtime_pipeline.application.serving.show_customer import ShowCustomer
from realtime_pipeline.composition import operations as operating_wiring
from realtime_pipeline.composition import stores as store_wiring
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.recommendation.service import RecommendationService
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.infrastructure.codecs.events import (
    TICK_KEY,
    EventDecoder,
    encode_event,
    encode_tick,
    kind_named,
)
from realtime_pipeline.infrastructure.codecs.messages import encode_message
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings

if TYPE_CHECKING:  # extras, imported where they are chosen
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
    from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
    from realtime_pipeline.infrastructure.redis.client import RedisClient


def _clock() -> Clock:
    from realtime_pipeline.infrastructure.system.clock import SystemClock

    return SystemClock()


def _kafka_log(settings: Settings, resources: ExitStack) -> "KafkaEventLog":
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog

    log = KafkaEventLog(settings.kafka)
    resources.callback(log.close)
    return log


def _topics(settings: Settings) -> "KafkaTopics":
    from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics

    return KafkaTopics(settings.kafka)


def _decoder(settings: Settings) -> EventDecoder:
    kinds = {type_name: kind_named(name) for type_name, name in settings.event_types.items()}
    return EventDecoder(settings.events, {type_name: kind for type_name, kind in kinds.items() if kind is not None})


def _memory_log(settings: Settings, clock: Clock) -> MemoryLog:
    return MemoryLog(settings.partitions, clock)


def _publisher(
    settings: Settings,
    clock: Clock,
    observer: StageObserver,
    resources: ExitStack,
    database: Callable[[], Database],
    memory_log: Callable[[], MemoryLog],
) -> EventPublisher:
    if settings.log == "memory":
        return memory_log()
    if settings.log == "kafka":
        from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher

        publisher = KafkaEventPublisher(settings.kafka, observer)
        resources.callback(publisher.close)
        return publisher
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher

    return SqliteEventPublisher(database(), settings.partitions, clock, observer)


def _log(
    settings: Settings,
    database: Callable[[], Database],
    memory_log: Callable[[], MemoryLog],
    kafka_log: Callable[[], "KafkaEventLog"],
) -> EventLog:
    if settings.log == "kafka":
        return kafka_log()
    if settings.log == "memory":
        from realtime_pipeline.infrastructure.memory.log import MemoryEventLog

        return MemoryEventLog(memory_log())
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventLog

    return SqliteEventLog(database(), settings.partitions)


def _catalogue(products: Mapping[ProductId, Product]) -> Catalogue:
    from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue

    return MemoryCatalogue(products)


def _shop_cache(settings: Settings, views: Views, catalogue: Catalogue, clock: Clock) -> ShopCache:
    return ShopCache(views, catalogue, clock, settings.cache)


def _process_events(
    settings: Settings,
    log: EventLog,
    relay: OutboxRelay,
    snapshots: Snapshots,
    decoder: EventDecoder,
    observer: StageObserver,
    clock: Clock,
    upkeep: Upkeep,
) -> ProcessEvents:
    fold, worker = settings.fold, settings.worker
    return ProcessEvents(log, relay, snapshots, decoder, encode_message, fold, worker, observer, clock, upkeep)


def _publish_events(publisher: Callable[[], EventPublisher], decoder: EventDecoder) -> PublishEvents:
    return PublishEvents(publisher, decoder, decoder.route, encode_event, encode_tick, TICK_KEY)


def _recommend_products(settings: Settings, cells: CellStore, shop_cache: ShopCache) -> RecommendProducts:
    return RecommendProducts(
        cells,
        shop_cache,
        RecommendationService(settings.recommendations, settings.rating_prior, settings.fold.profile),
        settings.fold.profile.affinity_half_life_ms,
        Random(),  # noqa: S311 - which new product is shown is no secret
    )


def _run_experiment(
    settings: Settings, cells: CellStore, shop_cache: ShopCache, otherwise: RecommendProducts
) -> RunExperiment:
    variants = {
        name: _recommend_products(attrs.evolve(settings, recommendations=variant.recommendations), cells, shop_cache)
        for name, variant in settings.experiment.variants.items()
    }
    return RunExperiment(cells, settings.experiment, variants, otherwise)


def _explain_empty_list(
    settings: Settings, log: Callable[[], EventLog], cells: CellStore, views: Views, shop_cache: ShopCache
) -> ExplainEmptyList:
    return ExplainEmptyList(log, cells, views, shop_cache, settings.recommendations, settings.experiment)


def _note_exposure(publish_events: PublishEvents, clock: Clock) -> RecordExposure:
    return RecordExposure(publish_events, clock, lambda: uuid4().hex)


def _show_customer(settings: Settings, cells: CellStore, shop_cache: ShopCache) -> ShowCustomer:
    profile = settings.fold.profile
    return ShowCustomer(cells, shop_cache, profile.affinity_half_life_ms, profile.recent_products_max)


def _rebuild_store(
    log: EventLog, cells: CellStore, views: Views, outputs: Outputs, snapshots: Snapshots
) -> RebuildStore:
    return RebuildStore(log, cells, views, outputs, snapshots)


def _restore_outputs(
    settings: Settings,
    kafka_log: Callable[[], "KafkaEventLog"],
    relay: Callable[[], OutboxRelay],
    observer: StageObserver,
) -> RestoreOutputs:
    if settings.log != "kafka":
        raise InvalidSettings(f"outputs lie in {settings.log} here, which forgets none: this is for log = kafka")
    from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

    return RestoreOutputs(kafka_log(), relay(), KafkaOutputs(settings.kafka, kafka_log(), observer))


def _forget_customer(
    settings: Settings,
    publish_events: PublishEvents,
    log: Callable[[], EventLog],
    cells: CellStore,
    views: Views,
    outputs: Outputs,
    clock: Clock,
    snapshots: Snapshots,
) -> ForgetCustomer:
    is_kept = settings.log_retention == LogRetentionSettings()
    keeps = {
        "kafka": f"what was published, in topic {settings.kafka.topic}, until its retention ends",
        "sqlite": f"what was published, in the log of {settings.database} and in backups of it, until "
        + ("the file is deleted" if is_kept else "log_retention ends it; a backup until it is deleted"),
        "memory": "what was published, until this process ends",
    }
    outbox_s = settings.worker.outbox_retention_ms / 1000
    outbox = f"the outbox of each commit, for {outbox_s:g} s, and until a worker runs after that"
    stays = [keeps[settings.log], *([] if settings.store == "sqlite" else [outbox])]
    follow = FollowForgetting(log, cells, views, outputs)
    return ForgetCustomer(publish_events, cells, outputs, follow, clock, stays, snapshots)


class Container(containers.DeclarativeContainer):
    """One of everything, made at its first use. `products` is a catalogue given from outside."""

    __self__ = providers.Self()
    settings: providers.Singleton[Settings] = providers.ThreadSafeSingleton(Settings)
    products: providers.Singleton[Mapping[ProductId, Product]] = providers.ThreadSafeSingleton(dict)

    resources: providers.Singleton[ExitStack] = providers.ThreadSafeSingleton(ExitStack)
    clock: providers.Singleton[Clock] = providers.ThreadSafeSingleton(_clock)
    observer: providers.Singleton[StageObserver] = providers.ThreadSafeSingleton(NoObserver)
    database: providers.Singleton[Database] = providers.ThreadSafeSingleton(store_wiring.database, settings, resources)
    redis_client: providers.Singleton["RedisClient"] = providers.ThreadSafeSingleton(
        store_wiring.redis_client, settings, resources
    )
    kafka_log: providers.Singleton["KafkaEventLog"] = providers.ThreadSafeSingleton(_kafka_log, settings, resources)
    topics: providers.Singleton["KafkaTopics"] = providers.ThreadSafeSingleton(_topics, settings)
    memory_log: providers.Singleton[MemoryLog] = providers.ThreadSafeSingleton(_memory_log, settings, clock)
    decoder: providers.Singleton[EventDecoder] = providers.ThreadSafeSingleton(_decoder, settings)

    publisher: providers.Singleton[EventPublisher] = providers.ThreadSafeSingleton(
        _publisher, settings, clock, observer, resources, database.provider, memory_log.provider
    )
    log: providers.Singleton[EventLog] = providers.ThreadSafeSingleton(
        _log, settings, database.provider, memory_log.provider, kafka_log.provider
    )
    log_reader: providers.Singleton[LogReader] = providers.ThreadSafeSingleton(
        operating_wiring.log_reader, settings, database.provider, memory_log.provider
    )
    cells: providers.Singleton[CellStore] = providers.ThreadSafeSingleton(
        store_wiring.cells, settings, observer, database.provider, redis_client.provider, __self__
    )
    views: providers.Singleton[Views] = providers.ThreadSafeSingleton(
        store_wiring.views, settings, database.provider, redis_client.provider, __self__
    )
    outputs: providers.Singleton[Outputs] = providers.ThreadSafeSingleton(
        store_wiring.outputs,
        settings,
        clock,
        observer,
        database.provider,
        kafka_log.provider,
        publisher.provider,
        __self__,
    )
    dead_letters: providers.Singleton[DeadLetters] = providers.ThreadSafeSingleton(
        operating_wiring.dead_letters, settings, observer, outputs, publisher.provider
    )
    catalogue: providers.Singleton[Catalogue] = providers.ThreadSafeSingleton(_catalogue, products)
    shop_cache: providers.Singleton[ShopCache] = providers.ThreadSafeSingleton(
        _shop_cache, settings, views, catalogue, clock
    )
    relay: providers.Singleton[OutboxRelay] = providers.ThreadSafeSingleton(
        OutboxRelay, cells, views, outputs, observer
    )

    snapshots: providers.Singleton[Snapshots] = providers.ThreadSafeSingleton(
        store_wiring.snapshots, settings, clock, observer, database.provider
    )
    upkeep: providers.Singleton[Upkeep] = providers.ThreadSafeSingleton(
        store_wiring.upkeep, settings, clock, observer, database.provider
    )
    process_events: providers.Singleton[ProcessEvents] = providers.ThreadSafeSingleton(
        _process_events, settings, log, relay, snapshots, decoder, observer, clock, upkeep
    )
    publish_events: providers.Singleton[PublishEvents] = providers.ThreadSafeSingleton(
        _publish_events, publisher.provider, decoder
    )
    handle_dead_letters: providers.Singleton[HandleDeadLetters] = providers.ThreadSafeSingleton(
        operating_wiring.handle_dead_letters, settings, dead_letters, decoder, clock
    )
    trace_event: providers.Singleton[TraceEvent] = providers.ThreadSafeSingleton(
        operating_wiring.trace_event, settings, log, log_reader, cells, dead_letters, decoder, observer
    )
    recommend_products: providers.Singleton[RecommendProducts] = providers.ThreadSafeSingleton(
        _recommend_products, settings, cells, shop_cache
    )
    run_experiment: providers.Singleton[RunExperiment] = providers.ThreadSafeSingleton(
        _run_experiment, settings, cells, shop_cache, recommend_products
    )
    explain_empty_list: providers.Singleton[ExplainEmptyList] = providers.ThreadSafeSingleton(
        _explain_empty_list, settings, log.provider, cells, views, shop_cache
    )
    record_exposure: providers.Singleton[RecordExposure] = providers.ThreadSafeSingleton(
        _note_exposure, publish_events, clock
    )
    show_customer: providers.Singleton[ShowCustomer] = providers.ThreadSafeSingleton(
        _show_customer, settings, cells, shop_cache
    )
    backups: providers.Singleton[Backups] = providers.ThreadSafeSingleton(
        store_wiring.backups, settings, observer, database.provider
    )
    rebuild_store: providers.Singleton[RebuildStore] = providers.ThreadSafeSingleton(
        _rebuild_store, log, cells, views, outputs, snapshots
    )
    restore_outputs: providers.Singleton[RestoreOutputs] = providers.ThreadSafeSingleton(
        _restore_outputs, settings, kafka_log.provider, relay.provider, observer
    )
    forget_customer: providers.Singleton[ForgetCustomer] = providers.ThreadSafeSingleton(
        _forget_customer, settings, publish_events, log.provider, cells, views, outputs, clock, snapshots
    )
