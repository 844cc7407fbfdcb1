"""Times of events, the size limit, and decoding time."""

import time
from collections.abc import Callable

import msgspec
import pytest

from realtime_pipeline.application.processing.process_events import gc_paused
from realtime_pipeline.domain.shop.events import CustomerId, Event
from realtime_pipeline.domain.streams.records import Rejected
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits
from tests.support.decoding import an_event, decoded, event_of, reason_of


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2016-12-31T23:59:60.250+00:00", 1_483_228_800_250),
        ("2017-01-01T05:29:60+05:30", 1_483_228_800_000),
        ("20161231T235960Z", 1_483_228_800_000),
        ("2024-03-31T24:00:00Z", 1_711_929_600_000),
        ("2024-03-31T24:00", 1_711_929_600_000),
        ("2024-03-31 24:00:00.000+02:00", 1_711_922_400_000),
        ("20240331T240000Z", 1_711_929_600_000),
    ],
)
def test_leap_seconds_and_24_00_are_valid_times(text: str, at_ms: int) -> None:
    assert event_of(an_event("view", {"timestamp": text})).occurred_at_ms == at_ms


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-31T24:00:01",
        "2024-03-31T24:01",
        "2024-03-31T24:00:00.5",
        "2024-03-31T25:00",
        "2024-03-31T23:59:61",
        "2024-03-31T10:60:00",
        "9999-12-31T24:00:00Z",
        "24:00:00",
        "2024-03-31T10:00:00." + "0" * 60_000,
        "2024-03-31T10:00:00+02:00[Europe/Berlin]",
        "2024-03-31 10:00:00 UTC",
        "1700000000000",
    ],
    ids=lambda text: text[:40],
)
def test_times_that_do_not_exist_are_refused(text: str) -> None:
    assert reason_of(an_event("view", {"timestamp": text})).startswith("invalid_timestamp: ")


def test_a_record_that_is_too_large_still_names_its_customer() -> None:
    value = msgspec.json.encode(an_event("view", {"page": "x" * 70_000}))
    assert decoded(value) == Rejected(f"too_large: {len(value)} bytes are more than 65536", CustomerId("ada"))
    assert reason_of(b"[" * 70_000) == "too_large: 70000 bytes are more than 65536"
    assert reason_of(an_event("view", {"page": "history_merged", "more": "x" * 70_000})).startswith("too_large: ")


def test_the_event_of_a_visitor_has_a_lower_size_limit() -> None:
    assert isinstance(decoded(an_event("view", {"page": "x" * 66_000})), Event)
    assert reason_of(an_event("view", {"user_id": None, "session_id": "s1", "page": "x" * 66_000})).startswith("too_la")


HEAD = b'{"event_type":"view","user_id":"ada","timestamp":1,"properties":{"product_id":"mug","v":[' + b"[]," * 70


ADVERSARIAL: dict[str, Callable[[int], bytes]] = {
    "cut off amid quotes": lambda size: HEAD + b'"' + b'<p class=\\"d\\">' * (size // 16),
    "cut off after a backslash": lambda size: HEAD + b'"' + b'\\"' * (size // 2) + b"\\",
    "backslashes": lambda size: HEAD + b'"' + b"\\" * size,
    "brackets": lambda size: HEAD + b"[]," * (size // 3),
    "quotes": lambda size: HEAD + b'"",' * (size // 3),
    "opening": lambda size: b"[" * size,
    "digits": lambda size: b'{"event_type":"view","timestamp":' + b"9" * size + b"}",
    "a fraction": lambda size: b'{"event_type":"view","timestamp":1.' + b"9" * size + b"}",
    "a long time": lambda size: b'{"event_type":"view","timestamp":"' + b"2024-" * (size // 5) + b'"}',
    "joiners": lambda size: b'{"event_type":"view","user_id":"' + "💻\u200d".encode() * (size // 7) + b'"}',
    "names": lambda size: (
        b'{"event_type":"view","timestamp":1' + b"".join(b',"n-%d":1' % n for n in range(size // 10)) + b"}"
    ),
    "a long name": lambda size: b'{"event_type":"view","timestamp":1,"' + b"userId" * (size // 6) + b'":1}',
    "spaces": lambda size: b" " * size,
}


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of five calls, the least of three; without garbage collection, as in the worker."""
    times = []
    with gc_paused():
        for _ in range(3):
            began_s = time.process_time()
            for _ in range(5):
                call()
            times.append(time.process_time() - began_s)
    return max(min(times), 1e-4)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_decoding_time_is_linear_in_the_bytes(name: str) -> None:
    """In quadratic time, eight times the bytes would take 64 times as long."""
    wide = EventDecoder(EventLimits(record_bytes_max=10**7), {})
    small, large = (ADVERSARIAL[name](size) for size in (40_000, 320_000))
    for call in (lambda value: decoded(value, wide), wide.routing_key, decoded):
        assert seconds(lambda: call(large)) <= 3 * 8 * seconds(lambda: call(small))  # noqa: B023
