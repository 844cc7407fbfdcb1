"""Where fields are read from, and which names are misspelt."""

import pytest

from realtime_pipeline.domain.streams.records import Rejected
from tests.harness.support.decoding import decoded, event_of, is_rejected, purchase, review, view


@pytest.mark.parametrize("name", ["properties", "metadata"])
def test_properties_are_an_object(name: str) -> None:
    assert event_of(view() | {name: []}).properties == {}
    assert all(is_rejected(view() | {name: written}) for written in ([1], "x", 7, True))


def test_an_invalid_context_is_dropped() -> None:
    for written in ([], [1], "mobile", 7, None):
        assert event_of(view(context=written)).context == {}


def test_countries() -> None:
    assert [event_of(view(context={"country": code})).country for code in ("DE", "de")] == ["DE", "DE"]
    for written in ("nowhere", "D", 7, "D1", "ÄÖ", ["DE"], ""):
        found = event_of(view(context={"country": written, "device": "tv"}))
        assert found.country is None
        assert found.context == {"country": written, "device": "tv"}  # windows may be by the text


@pytest.mark.parametrize(
    ("document", "absent"),
    [
        (view(user_id=None, session_id="s1", userId="ada"), "user_id"),
        (view(user_id=None, session_id="s1", UserID="ada"), "user_id"),
        (view({"product-id": "mug"}), "product_id"),
        (view({"productId": 7}), "product_id"),
        (view({}, productId="mug"), "product_id"),
        (view({"userId": "ada"}, user_id=None, session_id="s1"), "user_id"),
        (view(metadata={"Product_ID": "mug"}), "product_id"),
        (purchase({"PRICE": 0}), "price"),
        (view(sessionId="s1"), "session_id"),
        (view(event_id=None, eventId="e1"), "event_id"),
        (view(REPLAYED=True), "replayed"),
        (view(Properties={"product_id": "mug"}), "properties"),
        (view(Metadata={"product_id": "mug"}), "metadata"),
        (review(Text="fine"), "text"),
        (view({"Products": ["a"]}, event_type="exposure"), "products"),
        (view(event_type="forget", user_id=None, session_id="s1", userId="ada"), "user_id"),
        (view(event_type="forget", user_id=None, SessionID="s1"), "session_id"),
    ],
    ids=str,
)
def test_misspelt_fields(document: object, absent: str) -> None:
    found = decoded(document)
    assert isinstance(found, Rejected)
    assert found.reason.startswith("misspelt_field: ")
    assert found.reason.endswith(absent)


@pytest.mark.parametrize(
    "document",
    [
        view(userId="bob"),
        view({"productId": ""}),
        view({"productId": None}),
        view({"productId": []}),
        view({"Quantity": 3}),
        view({"Products": ["a"]}),
        view({"item": "mug"}),
        view({}, Metadata={"product_id": "mug"}),
        view({}, product_id="mug"),
        view({"user_id": "bob"}, user_id=None, session_id="s1"),
        view(event_type="forget", productId="mug"),
        view(event_type="forget", sessionId="s1"),
    ],
    ids=str,
)
def test_fields_that_are_not_misspelt(document: object) -> None:
    assert not is_rejected(document)
