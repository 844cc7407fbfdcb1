"""Calls of librdkafka that do not return in time."""

import sys
from threading import Event

import pytest

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import call_with_timeout


def test_a_client_call_that_does_not_return_is_abandoned() -> None:
    ended = Event()
    with pytest.raises(Unreachable, match="the offsets: Kafka's client did not return"):
        call_with_timeout(0.05, lambda: ended.wait(30), "the offsets")
    ended.set()
    call_with_timeout(5, ended.is_set, "the offsets")
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 // 0, "the offsets")
    with pytest.raises(SystemExit):  # no thread dies unseen, whatever of
        call_with_timeout(5, lambda: sys.exit(3), "the offsets")
