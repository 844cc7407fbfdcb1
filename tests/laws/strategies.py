"""Histories of every kind: disorder, repeats, cancellations, forgetting, strangers, garbage."""

import msgspec
from hypothesis import strategies as st

from tests.histories import NOW_MS, event

USERS = ("ada", "bob", "cyd")
SESSIONS = ("s1", "s2", "s3")
PRODUCTS = ("mug", "jug", "pan", "tent")
CATEGORIES = ("kitchen", "outdoor", "books")
COUNTRIES = ("DE", "de", "FR", "nowhere", 7)
"""In capitals or not; what is no country is nothing."""

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


@st.composite
def shop_events(draw: st.DrawFn, number: int, sign_ins: bool) -> bytes:
    """One event; its id says which, so that what repeats repeats whole."""
    kind = draw(
        st.sampled_from(
            ["view"] * 5
            + ["cart", "remove_from_cart", "purchase", "purchase", "cancellation", "review", "exposure", "forget"]
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
    if kind == "review":
        properties |= {"rating": draw(st.integers(1, 5)), "text": draw(st.sampled_from(["", "fine"]))}
    at_ms = NOW_MS - 60_000 + draw(st.integers(0, 40)) * 500
    document = event(f"e{number}", kind, user, at_ms, session, **properties)
    country = draw(st.sampled_from((*COUNTRIES, None, None)))
    if country is not None:
        document["context"] = {"country": country}
    return msgspec.json.encode(document)


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
