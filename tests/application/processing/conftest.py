"""Outputs that buffer emissions for long."""

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs


class LingeringOutputs(MemoryOutputs):
    """Outputs that may be buffered for days, so that nothing is emitted before something asks for it."""

    linger_ms = 10**9


@pytest.fixture
def lingering_outputs(pipeline: Pipeline) -> MemoryOutputs:
    """The pipeline's outputs, which buffer emissions for days."""
    outputs = LingeringOutputs(pipeline.container.publisher())
    pipeline.container.outputs.override(providers.Object(outputs))
    return outputs
