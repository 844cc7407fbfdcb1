"""Which ids of users, sessions and products are valid."""

from typing import Any

import msgspec
import pytest

from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits
from tests.support.decoding import an_event, decode, decoded, event_of, reason_of


@pytest.mark.parametrize("id_", ["👩\u200d💻", "❤️\u200d🔥", "👩🏽\u200d🚀", "🙂\u200d↔️", "☎︎", "Zoë", "天"])
def test_emoji_are_valid_in_ids(id_: str) -> None:
    result = event_of(an_event("purchase", {"user_id": id_, "session_id": id_}, product_id=id_, order_id=id_))
    assert (result.customer_id, result.session_id, result.product_id, result.order_id) == (id_,) * 4
    assert decode.routing_key(msgspec.json.encode(an_event("view", {"user_id": id_}))) == id_


@pytest.mark.parametrize("id_", ["a\u200db", "\u200d", "👩\u200d", "\u200d💻", "a\nb", "a\u200bb", "\u202e", "\x7f"])
def test_invisible_characters_in_ids_are_refused(id_: str) -> None:
    assert reason_of(an_event("view", {"user_id": id_}, product_id="mug")).startswith("invalid_id")
    assert reason_of(an_event("view", product_id=id_)).startswith("invalid_id")
    assert reason_of(an_event("exposure", products=["mug", id_])).startswith("invalid_id")


@pytest.mark.parametrize("id_", ["", "undefined", "null", "None", "NaN", "[object Object]"])
@pytest.mark.parametrize("more", [{}, {"context": {"a": 1}, "page": 2}])
def test_placeholder_user_ids_are_refused(id_: str, more: dict[str, Any]) -> None:
    for kind in ("view", "sign_in", "forget"):
        reason = reason_of(an_event(kind, {"user_id": id_, "session_id": "s1"} | more, product_id="mug"))
        assert reason.startswith("invalid_user_id: ")


def test_placeholder_session_ids_identify_no_visitor() -> None:
    beside = event_of(an_event("view", {"session_id": "undefined"}, product_id="mug"))
    assert (beside.customer_id, beside.session_id) == ("ada", None)
    alone = an_event("view", {"user_id": None, "session_id": "undefined"}, product_id="mug")
    assert reason_of(alone).startswith("invalid_session_id: ")
    assert reason_of(an_event("sign_in", {"session_id": "null"})).startswith("incomplete_sign_in: ")
    assert event_of(an_event("view", {"user_id": None, "session_id": ""}, product_id="mug")).customer_id is None


def test_a_shop_configures_its_refused_user_ids() -> None:
    own = EventDecoder(EventLimits(refused_user_ids=("guest",)), {})
    assert reason_of(an_event("view", {"user_id": "guest"}), own).startswith("invalid_user_id: ")
    result = decoded(an_event("view", {"user_id": "undefined"}), own)
    assert isinstance(result, Event)
    empty = decoded(an_event("view", {"user_id": "", "session_id": "s1"}), own)
    assert isinstance(empty, Event)
    assert empty.customer_id == "anonymous:s1"
