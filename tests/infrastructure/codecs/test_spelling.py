"""Misspelt and unknown fields are named in the reason of the dead letter."""

import pytest

from tests.support.decoding import AT_MS, an_event, event_of, reason_of

ACTIONS = ("view", "add_to_cart", "remove_from_cart", "purchase", "refund")


@pytest.mark.parametrize("kind", [*ACTIONS, "review"])
def test_an_event_without_customer_and_product_names_its_unknown_fields(kind: str) -> None:
    document = {"event_type": kind, "userId": "ada", "sku": 7, "timestamp": AT_MS, "properties": {"productId": "mug"}}
    assert reason_of(document) == (
        "incomplete_event: it has no user_id, session_id or product_id; "
        "unknown here: userId (user_id?), sku, productId (product_id?)"
    )
    assert reason_of({"event_type": kind, "timestamp": AT_MS}) == (
        "incomplete_event: it has no user_id, session_id or product_id"
    )


def test_at_most_8_unknown_fields_are_named() -> None:
    document = {"event_type": "view", "timestamp": 1} | {f"field\n{number}" * 20: 1 for number in range(30)}
    reason = reason_of(document)
    assert reason.endswith(" and 22 more")
    assert len(reason) < 600
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (an_event("view", {"user_id": None, "userId": "ada"}, product_id="mug"), ("userId", "user_id")),
        (an_event("view", productId="mug"), ("productId", "product_id")),
        (an_event("view", {"product-id": "mug"}), ("product-id", "product_id")),
        (an_event("purchase", {"metadata": {"PRICE": 3}}), ("PRICE", "price")),
        (an_event("purchase", {"Amount": 3}), ("Amount", "amount")),
        (an_event("review", productID="mug", rating=5), ("productID", "product_id")),
        (an_event("forget", {"user_id": None, "User-Id": "ada"}), ("User-Id", "user_id")),
        (an_event("sign_in", {"sessionId": "s1"}), ("sessionId", "session_id")),
        (an_event("view", {"timestamp": None, "timeStamp": AT_MS}), ("timeStamp", "timestamp")),
        (an_event("view", {"event_id": "", "eventId": "e2"}), ("eventId", "event_id")),
        (an_event("view", {"event_type": None, "eventType": "view"}), ("eventType", "event_type")),
        (an_event("view", {"Properties": {"product_id": "mug"}}), ("Properties", "properties")),
    ],
    ids=str,
)
def test_a_misspelt_field_is_named_with_its_right_spelling(document: object, names: tuple[str, str]) -> None:
    assert reason_of(document) == f"misspelt_field: {names[0]} is unknown here; it is written {names[1]}"


@pytest.mark.parametrize(
    "document",
    [
        an_event("view", {"userId": "eve"}, product_id="mug"),  # the field itself is there
        an_event("view", {"productId": None}, product_id=None),
        an_event("view", productId=""),
        an_event("view", {"Rating": 5}, product_id="mug"),  # has no meaning for a view
        an_event("view", {"product": "mug"}),
        an_event("view", {"name": "Page viewed"}, product_id="mug"),  # spelt right, but not a top-level field
    ],
    ids=str,
)
def test_fields_that_are_not_misspelt_are_ignored(document: object) -> None:
    assert event_of(document).customer_id == "ada"
