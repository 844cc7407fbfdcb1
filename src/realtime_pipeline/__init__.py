"""A shop's event stream turned into live customer profiles and recommendations, each event counted exactly once."""

from realtime_pipeline.application.errors import PipelineError
from realtime_pipeline.application.request import Request
from realtime_pipeline.container import Container
from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.pipeline import Pipeline
from realtime_pipeline.settings import Settings
from realtime_pipeline.settings_file import load_settings

__all__ = ["Container", "ListRules", "Pipeline", "PipelineError", "Request", "Settings", "load_settings"]
