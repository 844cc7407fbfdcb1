"""The use cases, each a plain constructor call."""

from collections.abc import Mapping
from random import Random
from typing import Protocol
from uuid import uuid4

import attrs
from dependency_injector import providers

from realtime_pipeline.application.delivery.run_sink import RunSink
from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.ingestion.check_events import CheckEvents
from realtime_pipeline.application.ingestion.import_catalogue import ImportCatalogue
from realtime_pipeline.application.ingestion.map_documents import MapDocuments
from realtime_pipeline.application.ingestion.prepare_records import PrepareRecords
from realtime_pipeline.application.ingestion.publish_events import PublishEvents
from realtime_pipeline.application.ingestion.record_exposure import RecordExposure
from realtime_pipeline.application.ingestion.run_source import RunSource
from realtime_pipeline.application.maintenance.follow_forgetting import FollowForgetting
from realtime_pipeline.application.maintenance.forget_customer import ForgetCustomer
from realtime_pipeline.application.maintenance.handle_dead_letters import HandleDeadLetters
from realtime_pipeline.application.maintenance.read_late_events import ReadLateEvents
from realtime_pipeline.application.maintenance.rebuild_store import RebuildStore
from realtime_pipeline.application.maintenance.restore_outputs import RestoreOutputs
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode
from realtime_pipeline.application.maintenance.trace_event import TraceEvent
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.window_topic import WindowTopic
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.application.processing.close_windows import CloseWindows
from realtime_pipeline.application.processing.emit_windows import EmitWindows
from realtime_pipeline.application.processing.fold_records import FoldRecords
from realtime_pipeline.application.processing.keep_windows import KeepWindows
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.ownership import Ownership
from realtime_pipeline.application.processing.process_events import ProcessEvents
from realtime_pipeline.application.processing.process_records import ProcessRecords
from realtime_pipeline.application.processing.purge_windows import PurgeWindows
from realtime_pipeline.application.processing.relay_schedule import RelaySchedule
from realtime_pipeline.application.processing.settings import WindowUpkeepSettings
from realtime_pipeline.application.processing.worker import Worker
from realtime_pipeline.application.processing.write_ticks import WriteTicks
from realtime_pipeline.application.serving.explain_empty_list import ExplainEmptyList
from realtime_pipeline.application.serving.read_windows import ReadWindows
from realtime_pipeline.application.serving.recommend_products import RecommendProducts
from realtime_pipeline.application.serving.run_experiment import RunExperiment
from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.application.serving.show_customer import ShowCustomer
from realtime_pipeline.composition.mappings import compile_mapping, find_mapping
from realtime_pipeline.composition.parts import Parts
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.sources import find_source, open_source
from realtime_pipeline.composition.tables import COMBINATIONS, LOGS, STORES
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.mapping.coverage import PathCoverage
from realtime_pipeline.domain.recommendation.service import RecommendationService
from realtime_pipeline.domain.shop.events import NOTHING
from realtime_pipeline.infrastructure.codecs.dead_letters import encode_replay, find_event_id
from realtime_pipeline.infrastructure.codecs.documents import find_document
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, encode_event
from realtime_pipeline.infrastructure.codecs.messages import encode_message
from realtime_pipeline.infrastructure.codecs.spelling import find_unknown
from realtime_pipeline.infrastructure.codecs.ticks import encode_tick
from realtime_pipeline.infrastructure.codecs.unmapped import encode_unmapped


class Provided(Parts, Protocol):
    """The providers that use cases are made of."""

    window_topic: providers.Singleton[WindowTopic]
    log: providers.Singleton[EventLog]
    log_reader: providers.Singleton[LogReader]
    decoder: providers.Singleton[EventDecoder]
    relay: providers.Singleton[OutboxRelay]
    snapshots: providers.Singleton[Snapshots]
    upkeep: providers.Singleton[Upkeep]
    dead_letters: providers.Singleton[DeadLetters]
    late_events: providers.Singleton[LateEvents]
    catalogue: providers.Singleton[Catalogue]
    shared_cache: providers.Singleton[SharedCache]
    publish_events: providers.Singleton[PublishEvents]
    process_events: providers.Singleton[ProcessEvents]
    recommend_products: providers.Singleton[RecommendProducts]


def relay(provided: Provided) -> OutboxRelay:
    """The relay of each commit's outbox to views and outputs."""
    return OutboxRelay(provided.cells(), provided.views(), provided.outputs(), provided.observer())


def fold_records(provided: Provided) -> FoldRecords:
    """Decoding records, and folding them for cells that are owned."""
    settings, log, observer = provided.settings(), provided.log(), provided.observer()
    return FoldRecords(provided.cells(), provided.decoder(), encode_message, log.identity, settings.folding, observer)


def process_records(provided: Provided) -> ProcessRecords:
    """Folding and committing records of owned cells, wherever they were polled from."""
    folding = fold_records(provided)
    return ProcessRecords(provided.cells(), folding, provided.observer(), provided.clock(), provided.log())


def process_events(provided: Provided) -> ProcessEvents:
    """One round of the worker."""
    settings, log, relay_, clock = provided.settings().worker, provided.log(), provided.relay(), provided.clock()
    schedule = RelaySchedule(relay_, clock, settings.outbox_retention_ms)
    claim_cells = ClaimCells(log, relay_, provided.snapshots(), clock, settings.outbox_retention_ms)
    ownership = Ownership(log, claim_cells, schedule)
    records, observer, upkeep = process_records(provided), provided.observer(), provided.upkeep()
    windows = keep_windows(provided)
    return ProcessEvents(log, relay_, ownership, records, schedule, settings, observer, clock, upkeep, windows)


def _compiled_windows(settings: Settings) -> list[CompiledAggregate]:
    return [CompiledAggregate(definition) for definition in settings.folding.windows]


def close_windows(provided: Provided) -> CloseWindows:
    """Ending a finite replay."""
    definitions, rounds = _compiled_windows(provided.settings()), provided.process_events()
    queries, publisher = provided.window_queries, provided.publisher
    return CloseWindows(worker(provided), rounds, queries, publisher, encode_tick, definitions)


def keep_windows(provided: Provided) -> KeepWindows | None:
    """What a worker does for windows between its rounds; None where no windows are defined."""
    settings, clock = provided.settings(), provided.clock()
    definitions = _compiled_windows(settings)
    if not definitions:
        return None
    queries, results = provided.window_queries(), provided.window_results()
    of_windows = WindowUpkeepSettings(
        settings.analytics.idle_ms,
        settings.analytics.silence_ms,
        settings.analytics.results_keep_days * 86_400_000,
        settings.worker.outbox_retention_ms,
    )
    return KeepWindows(
        queries,
        EmitWindows(queries, results, provided.window_topic(), definitions, of_windows, clock),
        PurgeWindows(provided.cells(), queries, results, definitions),
        WriteTicks(queries, provided.publisher, encode_tick, definitions, of_windows, clock),
        [compiled.fingerprint for compiled in definitions],
        clock,
    )


def worker(provided: Provided) -> Worker:
    """Rounds until stopped, or until all is processed."""
    idle_wait_ms = provided.settings().worker.idle_wait_ms
    return Worker(provided.process_events(), provided.log(), provided.upkeep(), provided.clock(), idle_wait_ms)


def publish_events(provided: Provided) -> PublishEvents:
    """Publish events; the log is opened when the first event is appended."""
    decoder = provided.decoder()
    return PublishEvents(provided.publisher, decoder, decoder.route, encode_event)


def run_source(provided: Provided) -> RunSource:
    """Publishing what sources have."""
    log = LOGS[provided.settings().log]
    return RunSource(lambda name: log.source_publisher(provided, name), provided.observer())


def prepare_records(
    provided: Provided,
    source: str,
    mapping: str = "",
    default_type: str = "",
    with_coverage: bool = False,
    defaults: Mapping[str, object] = NOTHING,
) -> PrepareRecords:
    """Making events of a source's records, by a mapping of this name or as they are.

    Raises:
        InvalidSettings: there is no such mapping, or it needs the shop's currency.
    """
    decoder = provided.decoder()
    compiled = compile_mapping(provided.settings(), mapping) if mapping else None
    return PrepareRecords(
        source,
        compiled,
        decoder.parse,
        encode_event,
        encode_unmapped,
        decoder.route,
        decoder.routing_key_of,
        default_type,
        PathCoverage(find_mapping(provided.settings(), mapping)) if mapping and with_coverage else None,
        defaults,
    )


def import_catalogue(provided: Provided) -> ImportCatalogue:
    """Publishing products."""
    products, folding, clock = provided.product_queries(), provided.settings().folding, provided.clock()
    return ImportCatalogue(publish_events(provided), provided.decoder(), products, folding, clock)


def map_documents(provided: Provided, mapping: str) -> MapDocuments:
    """Making events of a caller's documents, by the mapping of this name.

    Raises:
        InvalidSettings: there is no such mapping, or it needs the shop's currency.
    """
    return MapDocuments(compile_mapping(provided.settings(), mapping))


def source(provided: Provided, name: str) -> Source:
    """A source of the settings.

    Raises:
        InvalidSettings: there is none of this name, or its mapping cannot be used for it.
        Unavailable: it needs an extra that is not installed.
    """
    return open_source(provided.settings(), name)


def prepare_source(provided: Provided, name: str) -> PrepareRecords:
    """Making events of the records of a source of the settings, by its mapping.

    Raises:
        InvalidSettings: there is no such source or mapping, or it needs the shop's currency.
    """
    return prepare_records(provided, name, find_source(provided.settings(), name).mapping)


def check_events(
    provided: Provided, mapping: str = "", default_type: str = "", at_ms: int | None = None
) -> CheckEvents:
    """Checking what records would become, by a mapping of this name or as they are; `at_ms` is the time of mapped
    records without a time.

    Raises:
        InvalidSettings: there is no such mapping, or it needs the shop's currency.
    """
    defaults = NOTHING if at_ms is None else {"timestamp": at_ms}
    prepare = prepare_records(provided, "check", mapping, default_type, with_coverage=True, defaults=defaults)
    settings = provided.settings()
    return CheckEvents(prepare, provided.decoder(), encode_message, find_unknown, settings.folding, provided.clock())


def read_windows(provided: Provided) -> ReadWindows:
    """Reading windows."""
    return ReadWindows(provided.window_queries(), provided.window_results(), provided.settings().folding.windows)


def read_late_events(provided: Provided) -> ReadLateEvents:
    """Reading late events."""
    defined = [definition.name for definition in provided.settings().folding.windows]
    return ReadLateEvents(provided.late_events(), defined)


def record_exposure(provided: Provided) -> RecordExposure:
    """Record that a list was shown."""
    return RecordExposure(provided.publish_events(), provided.clock(), lambda: uuid4().hex)


def shared_cache(provided: Provided) -> SharedCache:
    """The caches that all requests share."""
    settings = provided.settings().cache
    return SharedCache(provided.product_queries(), provided.catalogue(), provided.clock(), settings)


def recommend_products(provided: Provided, settings: Settings | None = None) -> RecommendProducts:
    """Recommend products, with the settings given or those of the container."""
    settings = settings or provided.settings()
    return RecommendProducts(
        provided.customer_queries(),
        provided.shared_cache(),
        RecommendationService(settings.recommendations, settings.rating_prior, settings.fold.profile),
        settings.fold.profile.affinity_half_life_ms,
        Random(),  # noqa: S311 - which new product is shown is no secret
    )


def run_experiment(provided: Provided) -> RunExperiment:
    """Recommend with the settings of each customer's variant."""
    settings = provided.settings()
    variants = {
        name: recommend_products(provided, attrs.evolve(settings, recommendations=variant.recommendations))
        for name, variant in settings.experiment.variants.items()
    }
    return RunExperiment(provided.customer_queries(), settings.experiment, variants, provided.recommend_products())


def explain_empty_list(provided: Provided) -> ExplainEmptyList:
    """Explain an empty list; the log is opened at the first call."""
    settings = provided.settings()
    return ExplainEmptyList(
        provided.log,
        provided.customer_queries(),
        provided.product_queries(),
        provided.shared_cache(),
        settings.recommendations,
        settings.experiment,
    )


def run_sink(provided: Provided) -> RunSink:
    """Delivering events to a sink."""
    return RunSink(provided.log(), provided.log_reader(), provided.decoder(), find_document)


def show_customer(provided: Provided) -> ShowCustomer:
    """Read a profile."""
    profile = provided.settings().fold.profile
    return ShowCustomer(
        provided.customer_queries(), provided.shared_cache(), profile.affinity_half_life_ms, profile.recent_products_max
    )


def rebuild_store(provided: Provided) -> RebuildStore:
    """Reset the store."""
    cells, views, outputs = provided.cells(), provided.views(), provided.outputs()
    return RebuildStore(provided.log(), cells, views, outputs, provided.snapshots(), provided.window_results())


def restore_outputs(provided: Provided) -> RestoreOutputs:
    """Restore the positions of outputs that the consumer group has lost.

    Raises:
        InvalidSettings: the outputs are not in Kafka; their positions are stored with them.
    """
    settings = provided.settings()
    group_outputs = COMBINATIONS[settings.log, settings.store].group_outputs
    if group_outputs is None:
        raise InvalidSettings(f"outputs restore is for log = kafka: log {settings.log} loses no positions")
    return RestoreOutputs(provided.log(), provided.relay(), group_outputs(provided))


def forget_customer(provided: Provided) -> ForgetCustomer:
    """Erase a customer."""
    settings = provided.settings()
    retained = [LOGS[settings.log].retention(settings)]
    if STORES[settings.store].outbox_is_stored:
        retained.append(Retained(RetainedCode.OUTBOX, for_ms=settings.worker.outbox_retention_ms))
    customers, products, outputs = provided.customer_queries(), provided.product_queries(), provided.outputs()
    follow = FollowForgetting(provided.log, customers, products, outputs)
    return ForgetCustomer(
        provided.publish_events(), customers, outputs, follow, provided.clock(), retained, provided.snapshots()
    )


def handle_dead_letters(provided: Provided) -> HandleDeadLetters:
    """Read, replay and resolve dead letters."""
    decoder, skew_ms = provided.decoder(), provided.settings().fold.max_future_skew_ms
    return HandleDeadLetters(
        provided.dead_letters(), decoder, decoder.route, encode_event, encode_replay, provided.clock(), skew_ms
    )


def trace_event(provided: Provided) -> TraceEvent:
    """Trace an event; it folds records as the worker does."""
    settings, decoder, log = provided.settings(), provided.decoder(), provided.log()
    return TraceEvent(
        log,
        provided.log_reader(),
        provided.customer_queries(),
        provided.dead_letters(),
        fold_records(provided),
        find_event_id,
        decoder.default_event_id,
        settings.folding,
        LOGS[settings.log].name(settings),
    )
