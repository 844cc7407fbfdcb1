"""The record that moves a visitor's profile to a customer."""

import base64
from typing import Any

import attrs
import msgspec

from harness.oracle.visitor_profile import MergeMessage, VisitorProfile
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.records import Rejected
from tests.harness.support.decoding import (
    AT_MS,
    decoded,
)


def merged(**changes: object) -> dict[str, Any]:
    visitor = VisitorProfile(CustomerId("anonymous:s1"), spend=5, recent={ProductId("mug"): AT_MS})
    return {
        "event_type": "history_merged",
        "event_id": "e9",
        "user_id": "ada",
        "session_id": "s1",
        "timestamp": AT_MS,
        "history": base64.b64encode(msgspec.msgpack.encode(visitor)).decode(),
    } | changes


def test_merged_profiles() -> None:
    visitor = VisitorProfile(CustomerId("anonymous:s1"), spend=5, recent={ProductId("mug"): AT_MS})
    right = MergeMessage("e9", CustomerId("ada"), visitor.customer_id, AT_MS, visitor)
    assert decoded(merged()) == right
    assert decoded(merged(signed_in=None)) == right
    assert decoded(merged(signed_in=[1, 7])) == attrs.evolve(right, signed_in=(1, 7))
    for changes in ({"history": "?"}, {"history": "AAAA"}, {"history": None}, {"session_id": None}, {"signed_in": 7}):
        assert isinstance(decoded(merged(**changes)), Rejected)
