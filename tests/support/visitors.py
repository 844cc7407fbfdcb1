"""Visitors who view products and sign in."""

from typing import Any

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import NOW_MS, append, differences, event

SETTINGS = Settings(partitions=3)
VISITOR = "anonymous:s1"


def looks(*products: str, at_ms: int = NOW_MS - 90_000, session: str = "s1") -> list[dict[str, Any]]:
    return [
        event(f"{session}-{name}-{at_ms}", user=None, session=session, product=name, category="kitchen", at_ms=at_ms)
        for name in products
    ]


def login(user: str = "ada", session: str = "s1", at_ms: int = NOW_MS - 50_000) -> dict[str, Any]:
    return event(f"login-{user}-{session}-{at_ms}", "login", user=user, session=session, at_ms=at_ms)


def processed(pipeline: Pipeline, *events: dict[str, Any]) -> dict[RecordClass, int]:
    append(pipeline, events)
    counts = dict(pipeline.process())
    assert differences(pipeline) == []
    return counts
