"""Hypothesis profiles: `quick` by default, `thorough` and `mutation` by HYPOTHESIS_PROFILE. Servers CI must have."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1_000)
settings.register_profile(  # a mutation is noticed by any counterexample: shrinking it would only take time
    "mutation",
    settings.get_profile("quick"),
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    database=None,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where servers are required, a test that was skipped for want of one has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("REALTIME_PIPELINE_SERVERS") == "required" and reporter is not None:
        reasons = {str(report.longrepr) for report in reporter.stats.get("skipped", ())}
        servers = ("Kafka", "Redis", "Kinesis", "Postgres")
        if any(f"there is no {server}" in reason for server in servers for reason in reasons):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
