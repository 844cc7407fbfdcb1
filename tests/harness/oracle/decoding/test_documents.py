"""Bytes that are a JSON object, and bytes that are not."""

import pytest

from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.records import Ignored
from tests.harness.support.decoding import decoded, event_of, is_rejected, view


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{",
        b'\xef\xbb\xbf{"event_type":"view","user_id":"a","timestamp":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1} x',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":NaN}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":-Infinity}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":1e400}',
        b'{"event_type":"view","user_id":"\\ud800","timestamp":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"\\uDC00":1}',
        b'{"event_type":"view","user_id":"a","timestamp":1,"x":"\\ud83d","x":1}',
        b'{"event_type":"view","user_id":"a\x01","timestamp":1}',
        b'{"event_type":"view","user_id":"\xc3","timestamp":1}',
        '{"event_type":"view","user_id":"a","timestamp":1}'.encode("utf-16"),
        b'{"event_type":"view","user_id":"a","timestamp":' + b"9" * 5_000 + b"}",
        b'{"event_type":"song","x":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 60_000,
        b'{"event_type":"view","x":"' + b"[" * 60_000,
    ],
    ids=lambda value: repr(value[:60]),
)
def test_bytes_that_are_no_event(value: bytes) -> None:
    assert is_rejected(value)


def test_what_json_allows() -> None:
    made = event_of(b' {"event_type":"cart","event_type":"view","user_id":"\\ud83d\\ude00","timestamp":1} \n')
    assert (made.kind, made.customer_id) == (EventKind.PRODUCT_VIEWED, "\N{GRINNING FACE}")
    made = event_of(rb'{"event_type":"view","user_id":"\\ud800","timestamp":1}')
    assert made.customer_id == "\\ud800"  # a backslash and letters
    assert decoded(b'{"event_type":"song","x":' + b"[" * 63 + b"]" * 63 + b"}") == Ignored("song")
    assert event_of(view({"product_id": "mug", "note": "[" * 900})).properties == {"note": "[" * 900}
