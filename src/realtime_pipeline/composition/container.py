"""The composition root: a provider for each adapter and use case, which makes its value at the first use.

To swap an adapter, override its provider before the pipeline is used:
`container.catalogue.override(providers.Object(my_catalogue))`. The adapters that SQLite writes in one transaction
(cells, views, outputs, and the queries of both) can only be swapped together.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dependency_injector import containers, providers

from realtime_pipeline.application.delivery.run_sink import RunSink
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ingestion.check_events import CheckEvents
from realtime_pipeline.application.ingestion.import_catalogue import ImportCatalogue
from realtime_pipeline.application.ingestion.map_documents import MapDocuments
from realtime_pipeline.application.ingestion.prepare_records import PrepareRecords
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ingestion.record_exposure import RecordExposure
from realtime_pipeline.application.ingestion.run_source import RunSource
from realtime_pipeline.application.maintenance.forget_customer import ForgetCustomer
from realtime_pipeline.application.maintenance.handle_dead_letters import HandleDeadLetters
from realtime_pipeline.application.maintenance.read_late_events import ReadLateEvents
from realtime_pipeline.application.maintenance.rebuild_store import RebuildStore
from realtime_pipeline.application.maintenance.restore_outputs import RestoreOutputs
from realtime_pipeline.application.maintenance.trace_event import TraceEvent
from realtime_pipeline.application.ports.backups import Backups
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.observer import NoObserver, StageObserver
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.application.ports.window_topic import WindowTopic
from realtime_pipeline.application.processing.close_windows import CloseWindows
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.process_events import ProcessEvents
from realtime_pipeline.application.processing.worker import Worker
from realtime_pipeline.application.serving.explain_empty_list import ExplainEmptyList
from realtime_pipeline.application.serving.read_windows import ReadWindows
from realtime_pipeline.application.serving.recommend_products import RecommendProducts
from realtime_pipeline.application.serving.run_experiment import RunExperiment
from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.application.serving.show_customer import ShowCustomer
from realtime_pipeline.composition import use_cases
from realtime_pipeline.composition.parts import Combination, LogTechnology, Parts, StoreTechnology
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.tables import COMBINATIONS, LOGS, STORES
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, kind_named
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.sqlite.database import Database

if TYPE_CHECKING:  # extras, imported where they are chosen
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
    from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
    from realtime_pipeline.infrastructure.redis.client import RedisClient


def _clock() -> Clock:
    from realtime_pipeline.infrastructure.system.clock import SystemClock

    return SystemClock()


def _database(settings: Settings, resources: ExitStack) -> Database:
    database = Database(Path(settings.database))
    resources.callback(database.close)
    return database


def _redis_client(settings: Settings, resources: ExitStack) -> "RedisClient":
    from realtime_pipeline.infrastructure.redis.client import RedisClient

    client = RedisClient(settings.redis)
    resources.callback(client.close)
    return client


def _kafka_log(settings: Settings, resources: ExitStack) -> "KafkaEventLog":
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog

    log = KafkaEventLog(settings.kafka)
    resources.callback(log.close)
    return log


def _topics(settings: Settings) -> "KafkaTopics":
    from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics

    return KafkaTopics(settings.kafka, [definition.topic for definition in settings.folding.windows])


def _memory_log(settings: Settings, clock: Clock) -> MemoryLog:
    return MemoryLog(settings.partitions, clock)


def _decoder(settings: Settings) -> EventDecoder:
    kinds = {type_name: kind_named(name) for type_name, name in settings.event_types.items()}
    return EventDecoder(settings.events, {type_name: kind for type_name, kind in kinds.items() if kind is not None})


def _catalogue(products: Mapping[ProductId, Product]) -> Catalogue:
    from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue

    return MemoryCatalogue(products)


def _log(parts: Parts) -> LogTechnology:
    return LOGS[parts.settings().log]


def _store(parts: Parts) -> StoreTechnology:
    return STORES[parts.settings().store]


def _combination(parts: Parts) -> Combination:
    settings = parts.settings()
    return COMBINATIONS[settings.log, settings.store]


_Single = providers.ThreadSafeSingleton


class Container(containers.DeclarativeContainer):
    """The adapters and use cases of one pipeline. `products` is the shop's catalogue, if it has one."""

    __self__ = providers.Self()
    settings: providers.Singleton[Settings] = _Single(Settings)
    products: providers.Singleton[Mapping[ProductId, Product]] = _Single(dict)

    resources: providers.Singleton[ExitStack] = _Single(ExitStack)
    clock: providers.Singleton[Clock] = _Single(_clock)
    observer: providers.Singleton[StageObserver] = _Single(NoObserver)
    decoder: providers.Singleton[EventDecoder] = _Single(_decoder, settings)
    catalogue: providers.Singleton[Catalogue] = _Single(_catalogue, products)

    database: providers.Singleton[Database] = _Single(_database, settings, resources)
    redis_client: providers.Singleton["RedisClient"] = _Single(_redis_client, settings, resources)
    kafka_log: providers.Singleton["KafkaEventLog"] = _Single(_kafka_log, settings, resources)
    topics: providers.Singleton["KafkaTopics"] = _Single(_topics, settings)
    memory_log: providers.Singleton[MemoryLog] = _Single(_memory_log, settings, clock)

    publisher: providers.Singleton[EventPublisher] = _Single(lambda parts: _log(parts).publisher(parts), __self__)
    log: providers.Singleton[EventLog] = _Single(lambda parts: _log(parts).log(parts), __self__)
    log_reader: providers.Singleton[LogReader] = _Single(lambda parts: _log(parts).reader(parts), __self__)
    cells: providers.Singleton[CellStore] = _Single(lambda parts: _store(parts).cells(parts), __self__)
    customer_queries: providers.Singleton[CustomerQueries] = _Single(
        lambda parts: _store(parts).customer_queries(parts), __self__
    )
    window_queries: providers.Singleton[WindowQueries] = _Single(
        lambda parts: _store(parts).window_queries(parts), __self__
    )
    window_results: providers.Singleton[WindowResults] = _Single(
        lambda parts: _store(parts).window_results(parts), __self__
    )
    window_topic: providers.Singleton[WindowTopic] = _Single(lambda parts: _log(parts).window_topic(parts), __self__)
    views: providers.Singleton[Views] = _Single(lambda parts: _store(parts).views(parts), __self__)
    product_queries: providers.Singleton[ProductQueries] = _Single(
        lambda parts: _store(parts).product_queries(parts), __self__
    )
    outputs: providers.Singleton[Outputs] = _Single(lambda parts: _combination(parts).outputs(parts), __self__)
    dead_letters: providers.Singleton[DeadLetters] = _Single(
        lambda parts: _combination(parts).dead_letters(parts), __self__
    )
    late_events: providers.Singleton[LateEvents] = _Single(
        lambda parts: _combination(parts).late_events(parts), __self__
    )
    snapshots: providers.Singleton[Snapshots] = _Single(lambda parts: _combination(parts).snapshots(parts), __self__)
    upkeep: providers.Singleton[Upkeep] = _Single(lambda parts: _combination(parts).upkeep(parts), __self__)
    backups: providers.Singleton[Backups] = _Single(lambda parts: _combination(parts).backups(parts), __self__)

    relay: providers.Singleton[OutboxRelay] = _Single(use_cases.relay, __self__)
    process_events: providers.Singleton[ProcessEvents] = _Single(use_cases.process_events, __self__)
    worker: providers.Factory[Worker] = providers.Factory(use_cases.worker, __self__)
    close_windows: providers.Factory[CloseWindows] = providers.Factory(use_cases.close_windows, __self__)
    publish_events: providers.Singleton[PublishEvents] = _Single(use_cases.publish_events, __self__)
    record_exposure: providers.Singleton[RecordExposure] = _Single(use_cases.record_exposure, __self__)
    shared_cache: providers.Singleton[SharedCache] = _Single(use_cases.shared_cache, __self__)
    recommend_products: providers.Singleton[RecommendProducts] = _Single(use_cases.recommend_products, __self__)
    run_experiment: providers.Singleton[RunExperiment] = _Single(use_cases.run_experiment, __self__)
    explain_empty_list: providers.Singleton[ExplainEmptyList] = _Single(use_cases.explain_empty_list, __self__)
    map_documents: providers.Factory[MapDocuments] = providers.Factory(use_cases.map_documents, __self__)
    check_events: providers.Factory[CheckEvents] = providers.Factory(use_cases.check_events, __self__)
    prepare_records: providers.Factory[PrepareRecords] = providers.Factory(use_cases.prepare_records, __self__)
    import_catalogue: providers.Factory[ImportCatalogue] = providers.Factory(use_cases.import_catalogue, __self__)
    source: providers.Factory[Source] = providers.Factory(use_cases.source, __self__)
    prepare_source: providers.Factory[PrepareRecords] = providers.Factory(use_cases.prepare_source, __self__)
    run_source: providers.Singleton[RunSource] = _Single(use_cases.run_source, __self__)
    run_sink: providers.Singleton[RunSink] = _Single(use_cases.run_sink, __self__)
    show_customer: providers.Singleton[ShowCustomer] = _Single(use_cases.show_customer, __self__)
    handle_dead_letters: providers.Singleton[HandleDeadLetters] = _Single(use_cases.handle_dead_letters, __self__)
    read_late_events: providers.Singleton[ReadLateEvents] = _Single(use_cases.read_late_events, __self__)
    read_windows: providers.Singleton[ReadWindows] = _Single(use_cases.read_windows, __self__)
    trace_event: providers.Singleton[TraceEvent] = _Single(use_cases.trace_event, __self__)
    forget_customer: providers.Singleton[ForgetCustomer] = _Single(use_cases.forget_customer, __self__)
    rebuild_store: providers.Singleton[RebuildStore] = _Single(use_cases.rebuild_store, __self__)
    restore_outputs: providers.Singleton[RestoreOutputs] = _Single(use_cases.restore_outputs, __self__)


def configured(container: Container, settings: Settings | None) -> Container:
    """Give a container its settings; None leaves those that it has.

    Raises:
        Unavailable: the log or the store needs an extra that is not installed, or the container has settings of another
            pipeline.
    """
    if settings is None:
        return container
    modules = {settings.log: LOGS[settings.log].module, settings.store: STORES[settings.store].module}
    for technology, module in modules.items():
        if module is not None and find_spec(module) is None:
            raise Unavailable(f"{technology} needs more packages: pip install 'realtime-pipeline[{technology}]'")
    if container.settings.last_overriding is not None:
        raise Unavailable("this container has settings of another pipeline: make one for each")
    container.settings.override(providers.Object(settings))
    return container
