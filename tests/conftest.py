"""Hypothesis profiles: quick by default, long with HYPOTHESIS_PROFILE=thorough. Servers that must be there, in CI."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where servers are required, a test that was skipped for want of one has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("REALTIME_PIPELINE_SERVERS") == "required" and reporter is not None:
        reasons = {str(report.longrepr) for report in reporter.stats.get("skipped", ())}
        if any("there is no Kafka" in reason or "there is no Redis" in reason for reason in reasons):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
