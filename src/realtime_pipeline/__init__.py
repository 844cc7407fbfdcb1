"""A shop's event stream turned into live customer profiles and recommendations, each event counted exactly once.

`__all__` is the public interface: docs/library.md says what each name is. Anything else may change with any release.
"""

from realtime_pipeline.application.errors import (
    Damaged,
    InvalidEvents,
    InvalidSettings,
    NewerRelease,
    PipelineError,
    PositionMismatch,
    ProcessingFailed,
    Unavailable,
    UnknownCustomer,
    UnknownEvent,
    UnknownLateEvent,
    UnknownLetter,
    UnknownProduct,
    UnknownWindow,
    UnrecoverableState,
    WrongLog,
)
from realtime_pipeline.application.ingestion.check_events import CheckReport, Example
from realtime_pipeline.application.ingestion.import_catalogue import CatalogueImport
from realtime_pipeline.application.ingestion.run_source import SourceProgress
from realtime_pipeline.application.maintenance.follow_forgetting import Progress
from realtime_pipeline.application.maintenance.forget_customer import Forgetting, Receipt
from realtime_pipeline.application.maintenance.handle_dead_letters import Replay
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.ports.backups import Backup
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink
from realtime_pipeline.application.ports.source import Source, SourceBatch, SourceRecord, Unreadable
from realtime_pipeline.application.serving.read_windows import Windows
from realtime_pipeline.application.serving.request import Request
from realtime_pipeline.application.serving.show_customer import Profile
from realtime_pipeline.application.serving.top_rated import TopRated, TopRatedProducts
from realtime_pipeline.composition.container import Container
from realtime_pipeline.composition.settings import AnalyticsSettings, Settings
from realtime_pipeline.composition.settings_file import load_rules, load_settings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.analytics.results import WindowResult, WindowState
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, ExchangeRate, Field
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.recommendation.recommendations import Recommendation, Recommendations
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterState
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.traces import Change, Copy, Trace
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.sink import FileSink
from realtime_pipeline.infrastructure.files.source import FileSource
from realtime_pipeline.pipeline import Pipeline

__version__ = "0.1.0"
"""The only place where the version is written: the package's metadata and the command read it here."""

__all__ = [
    "Amount",
    "AnalyticsSettings",
    "Backup",
    "Catalogue",
    "CatalogueImport",
    "Change",
    "CheckReport",
    "Clock",
    "Container",
    "Copy",
    "Damaged",
    "Delivery",
    "Derived",
    "EventMapping",
    "EventRule",
    "Example",
    "ExchangeRate",
    "Field",
    "FieldTest",
    "FileFormat",
    "FileSink",
    "FileSource",
    "Forgetting",
    "InvalidEvents",
    "InvalidSettings",
    "LateEvent",
    "Letter",
    "LetterState",
    "ListRules",
    "Measure",
    "MissedWindows",
    "NewerRelease",
    "Pipeline",
    "PipelineError",
    "PositionMismatch",
    "ProcessingFailed",
    "Product",
    "ProductId",
    "Profile",
    "Progress",
    "Reason",
    "ReasonKind",
    "Receipt",
    "Recommendation",
    "Recommendations",
    "RecordClass",
    "Replay",
    "Request",
    "Retained",
    "RetainedCode",
    "RetainedUntil",
    "Review",
    "Row",
    "Settings",
    "Sink",
    "Source",
    "SourceBatch",
    "SourceProgress",
    "SourceRecord",
    "TopRated",
    "TopRatedProducts",
    "Trace",
    "Unavailable",
    "UnknownCustomer",
    "UnknownEvent",
    "UnknownLateEvent",
    "UnknownLetter",
    "UnknownProduct",
    "UnknownWindow",
    "Unreadable",
    "UnrecoverableState",
    "Window",
    "WindowResult",
    "WindowState",
    "WindowedAggregate",
    "Windows",
    "WrongLog",
    "load_rules",
    "load_settings",
]
