"""Histories of every kind: disorder, repeats, cancellations, forgetting, strangers, garbage, fields in every shape."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from realtime_pipeline.domain.profile.exclusion import Exclusion
from tests.support.histories import NOW_MS, event

USERS = ("ada", "bob", "cyd")
SESSIONS = ("s1", "s2", "s3")
PRODUCTS = ("mug", "jug", "pan", "tent")
CATEGORIES = ("kitchen", "outdoor", "books")
COUNTRIES = ("DE", "de", "FR", "nowhere", 7)
"""In capitals or not; what is no country is nothing."""
USER_AGENTS = ("Mozilla/5.0", "ShopBOT/2.1 (+https://bot.example)", "Straße", 7)
"""Of people and of bots; what is no text is nothing."""
EXCLUSIONS = st.builds(
    Exclusion,
    user_agents=st.lists(st.sampled_from(["shopbot", "STRASSE", "curl"]), max_size=2).map(tuple),
    ids=st.lists(st.sampled_from([*USERS, *SESSIONS]), max_size=2).map(tuple),
    events_per_minute_max=st.integers(0, 3),
)
"""What a shop excludes: its own people, bots by their user agents, and programs by their rate."""

GARBAGE = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"{}",
            b"[1]",
            b'{"event_type": "view"}',
            b'{"event_type": 3, "timestamp": 1}',
            b'{"event_type": "review", "user_id": "ada", "timestamp": 1, "properties": {"rating": 9}}',
            b'{"event_type": "video_play", "user_id": "ada", "timestamp": 1}',
            msgspec.json.encode(event("too soon", at_ms=NOW_MS + 10_000)),
        ]
    ),
)


MISSPELT = {
    "event_id": "eventId",
    "event_type": "eventType",
    "user_id": "userid",
    "session_id": "sessionID",
    "timestamp": "time_stamp",
    "product_id": "content_id",
    "category": "categroy",
    "price": "Price",
    "quantity": "qty",
    "order_id": "orderId",
    "rating": "ratings",
    "text": "txt",
    "products": "product_ids",
}
"""How a producer that does not know the schema writes a field."""


@st.composite
def in_one_of_four_shapes(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The event with one field absent, null, empty or under another name; most often as it is."""
    if draw(st.integers(0, 3)) > 0:
        return document
    properties = dict(document.get("properties") or {})
    changed = document | ({"properties": properties} if properties else {})
    holder, name = draw(
        st.sampled_from([(changed, name) for name in document] + [(properties, name) for name in properties])
    )
    value = holder.pop(name)
    shape = draw(st.sampled_from(["absent", "null", "empty", "misspelt"]))
    if shape == "misspelt":
        holder[MISSPELT.get(name, name.upper())] = value
    elif shape != "absent":
        holder[name] = None if shape == "null" else ""
    return changed


CATALOGUE_TYPES = ("product_updated", "product_removed", "stock_set")


def is_of_catalogue(value: bytes) -> bool:
    """Whether the record states facts of a product. A repetition of it is applied, and changes nothing."""
    return msgspec.json.decode(value).get("event_type") in CATALOGUE_TYPES


def has_id_and_owner(value: bytes) -> bool:
    """Whether the record can be told from its repetition: by an id of its own, by a memory of its customer's."""
    document = msgspec.json.decode(value)
    if is_of_catalogue(value):
        return False
    return bool(document.get("event_id")) and bool(document.get("user_id") or document.get("session_id"))


@st.composite
def catalogue_facts(draw: st.DrawFn, kind: str) -> dict[str, object]:
    """What a catalogue event states; sometimes what cannot be."""
    facts: dict[str, object] = {"product": draw(st.sampled_from(PRODUCTS))}
    if kind == "stock_set" or draw(st.booleans()):
        facts["stock"] = draw(st.sampled_from([0, 1, 2, 5, 7.0, -3, 1.5]))
    if kind == "product_updated":
        facts |= {"name": draw(st.sampled_from(["A mug", 7, ""])), "text": draw(st.sampled_from(["fine", None]))}
        facts["in_stock"] = draw(st.sampled_from([True, "out of stock", "perhaps", None, None]))
    return facts


@st.composite
def shop_events(draw: st.DrawFn, number: int, sign_ins: bool) -> bytes:
    """One event in one of two minutes; its id says which event, so that what repeats repeats whole."""
    kind = draw(
        st.sampled_from(
            ["view"] * 5
            + ["cart", "remove_from_cart", "purchase", "purchase", "cancellation", "review", "exposure", "forget"]
            + ["video_done", "video_done", "click"]
            + [*CATALOGUE_TYPES, "stock_set"]
            + ["login"] * (2 if sign_ins else 0)
        )
    )
    user = draw(st.sampled_from((*USERS, None)))
    session = draw(st.sampled_from((*SESSIONS, None)))
    if kind == "login":
        user, session = user or USERS[0], session or SESSIONS[0]
    properties: dict[str, object] = {}
    if draw(st.booleans()) or kind == "review":
        properties["product"] = draw(st.sampled_from(PRODUCTS))
    if draw(st.booleans()):
        properties["category"] = draw(st.sampled_from(CATEGORIES))
    if kind in ("purchase", "cancellation") or draw(st.booleans()):
        properties["price"] = draw(st.sampled_from([0, 1, 2.5, 19.99]))
        properties["quantity"] = draw(st.integers(1, 3))
        properties["order_id"] = draw(st.sampled_from(["o1", "o2", "o3", None]))
    if kind == "exposure":
        properties["products"] = draw(st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=3))
    if kind in CATALOGUE_TYPES:
        properties |= draw(catalogue_facts(kind))
    if kind == "review":
        properties |= {"rating": draw(st.integers(1, 5)), "text": draw(st.sampled_from(["", "fine"]))}
    at_ms = NOW_MS - 30_000 + draw(st.integers(0, 40)) * 500
    document = event(f"e{number}", kind, user, at_ms, session, **properties)
    country = draw(st.sampled_from((*COUNTRIES, None, None)))
    agent = draw(st.sampled_from((*USER_AGENTS, None, None)))
    context = {"country": country, "user_agent": agent}
    if country is not None or agent is not None:
        document["context"] = {name: value for name, value in context.items() if value is not None}
    return msgspec.json.encode(draw(in_one_of_four_shapes(document)))


@st.composite
def histories(
    draw: st.DrawFn, largest: int = 40, garbage: bool = True, sign_ins: bool = True, first: int = 0
) -> list[bytes]:
    """Records in the order of publishing. Some come twice. `first` is the number in the id of the first event.

    With sign-ins, workers put records into the log, and where they come to lie depends on when the others were read.
    """
    records: list[bytes] = []
    for number in range(first, first + draw(st.integers(1, largest))):
        what = draw(st.integers(0, 9))
        if what == 0 and records:
            records.append(draw(st.sampled_from(records)))
        elif what == 1 and garbage:
            records.append(draw(GARBAGE))
        else:
            records.append(draw(shop_events(number, sign_ins)))
    return records
