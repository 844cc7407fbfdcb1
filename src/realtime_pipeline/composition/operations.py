"""The part of the composition root that is for whoever operates a pipeline: dead letters and traces."""

from collections.abc import Callable

from realtime_pipeline.application.maintenance.handle_dead_letters import HandleDeadLetters
from realtime_pipeline.application.maintenance.trace_event import TraceEvent
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.observer import StageObserver
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.processing.fold_records import FoldRecords
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.infrastructure.codecs.dead_letters import encode_replay, find_event_id
from realtime_pipeline.infrastructure.codecs.events import EventDecoder
from realtime_pipeline.infrastructure.codecs.messages import encode_message
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.sqlite.database import Database


def log_reader(settings: Settings, database: Callable[[], Database], memory_log: Callable[[], MemoryLog]) -> LogReader:
    """Looking something up in the log that the settings name."""
    if settings.log == "kafka":
        from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader

        return KafkaLogReader(settings.kafka)
    if settings.log == "memory":
        from realtime_pipeline.infrastructure.memory.log_reader import MemoryLogReader

        return MemoryLogReader(memory_log())
    from realtime_pipeline.infrastructure.sqlite.log_reader import SqliteLogReader

    return SqliteLogReader(database())


def dead_letters(
    settings: Settings, observer: StageObserver, outputs: Outputs, publisher: Callable[[], EventPublisher]
) -> DeadLetters:
    """Marks lie beside the letters; for outputs of somebody else's in memory, as long as the process lives."""
    if settings.log == "kafka":
        from realtime_pipeline.infrastructure.kafka.dead_letters import KafkaDeadLetters
        from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

        if isinstance(outputs, KafkaOutputs):
            return KafkaDeadLetters(settings.kafka, observer)
    from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

    if isinstance(outputs, SqliteOutputs):
        from realtime_pipeline.infrastructure.sqlite.dead_letters import SqliteDeadLetters

        return SqliteDeadLetters(outputs, observer)
    from realtime_pipeline.infrastructure.memory.dead_letters import MemoryDeadLetters

    return MemoryDeadLetters(outputs, publisher(), outlives=settings.log != "memory")


def handle_dead_letters(
    settings: Settings, letters: DeadLetters, decoder: EventDecoder, clock: Clock
) -> HandleDeadLetters:
    """The use case of dead letters."""
    return HandleDeadLetters(letters, decoder, decoder.route, encode_replay, clock, settings.fold.max_future_skew_ms)


def trace_event(
    settings: Settings,
    log: EventLog,
    log_reader: LogReader,
    cells: CellStore,
    letters: DeadLetters,
    decoder: EventDecoder,
    observer: StageObserver,
) -> TraceEvent:
    """The use case of traces; it folds as the worker does."""
    fold_records = FoldRecords(cells, decoder, encode_message, log.identity, settings.fold, observer)
    names = {"kafka": f"topic {settings.kafka.topic}", "sqlite": settings.database, "memory": "memory"}
    return TraceEvent(
        log,
        log_reader,
        cells,
        letters,
        fold_records,
        find_event_id,
        decoder.name_of,
        settings.fold,
        names[settings.log],
    )
