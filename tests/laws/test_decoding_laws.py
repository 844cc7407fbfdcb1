"""Two decoders, written from one schema by two people, read every record alike."""

import json
from typing import Any, Final

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.visitor_profile import MergeMessage, OracleDecoded
from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.profile.interests import Interests
from realtime_pipeline.domain.profile.purchases import Purchases
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Decoded, Record, Rejected, Tick, WatermarkTick
from realtime_pipeline.infrastructure.codecs.customer_map import map_of
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits, kind_named
from realtime_pipeline.infrastructure.codecs.messages import encode_message
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS, TICK_KEY

AT_MS: Final = 1_700_000_000_000
EMOJI: Final = "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"
LAST_MS: Final = 253_402_127_999_999
"""The end of 9999-12-29: whatever their zones, both decoders take it for a time before the year 10000."""
OWN_TYPES: Final = {"video_play": "view", "order_placed": "purchase"}
CUSTOM: Final = ("song_play", "sensor_reading")
LIMITS: Final = (EventLimits(custom=CUSTOM), EventLimits(4_000, 4, 6, 3, 2, 100, 1_000, ("guest", "7"), CUSTOM[:1]))
DECODERS: Final = [
    (
        EventDecoder(limits, {own: kind for own, known in OWN_TYPES.items() if (kind := kind_named(known))}),
        OracleDecoder(EventSchema(limits, OWN_TYPES)),
    )
    for limits in LIMITS
]

TYPES: Final = (
    *("view", "product_viewed", "video_play", "cart", "remove_from_cart", "review", "exposure", "login", "forget"),
    *("purchase", "transaction", "order_placed", "refund", "cancellation"),
    *("View", "song_play", "song_play", "sensor_reading", "click"),
)

wrong_types = st.sampled_from([True, False, [], {}, [1], {"a": 1}, "", "x", 0, -1, 1.5, 2.0, "2", None])
odd_texts = st.sampled_from(
    [
        *(
            "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
            "\N{HEAVY BLACK HEART}\ufe0f\u200d\N{FIRE}",
            "caf\u00e9",
            "cafe\u0301",
        ),
        *("a\u00a0b", "a\u200bb", "a\nb", "\0", "\ufeff", "\u202e", " ", "\U0010ffff", "\u0600", "x" * 128, "x" * 129),
        *("\U0001f600" * 128, "undefined", "null", "None", "NaN", "[object Object]", "anonymous:s1", "\\ud800", '"'),
    ]
)
big_numbers = st.sampled_from([2**53 + 1, 2**63, 2**64, 2**70, 10**127, 10**128, -(10**126), 1e15, 1e16, 1e22, 1e300])
numbers = st.one_of(
    st.integers(-3, 10),
    st.floats(0, 2_000, allow_nan=False),
    big_numbers,
)


def mostly(good: st.SearchStrategy[Any], other: st.SearchStrategy[Any], of: int = 12) -> st.SearchStrategy[Any]:
    """The other one about once in `of` times."""
    return st.integers(0, of - 1).flatmap(lambda drawn: other if drawn == 1 else good)


def field(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A field's value, most often a good one."""
    return mostly(good, st.one_of(st.none(), st.just(""), wrong_types, odd_texts, numbers))


GOOD_IDS: Final = ("ada", "s1", "mug", "o1", 7, 2.0, "7", EMOJI)
ids_or_null = st.sampled_from((*GOOD_IDS, None))
ids = field(st.sampled_from(GOOD_IDS))
times = mostly(
    st.just(AT_MS),
    st.one_of(
        wrong_types,
        st.integers(0, 10**9 - 1),
        st.integers(10**10 + 1, LAST_MS),
        st.sampled_from(
            [
                *(AT_MS, AT_MS + 0.9, 1_760_000_000, 1_760_000_000.5, 253_402_300_800_000, str(AT_MS)),
                *("2023-11-14T22:13:20", "2023-11-14T22:13:20Z", "2023-11-15T00:13:20.5+02:00", "2023-11-14"),
                *("2023-11-14 22:13:20.123456", "2023-11-14T22:13:20,5Z", "2023-11-14T22:13:20.123456789+0000"),
                *("2016-12-31T23:59:60Z", "2017-01-01T01:59:60+02:00", "2024-03-31T24:00:00Z", "2024-03-31T24:00:01Z"),
                *("2024-02-30T00:00:00", "9999-12-29T23:59:59.999Z", "9999-12-31T24:00:00", "1969-12-31T23:59:59"),
                *("9999-12-31T23:59:59.998Z", "9999-12-31T23:59:59.999Z", "2024-03-10T10:00.5", "2024-03-10x10:00:00"),
                *("2024-03-31T10:00:00+02:00[Europe/Berlin]", "2024-03-31 10:00:00 UTC", "yesterday", "2024-13-01"),
            ]
        ),
    ),
    of=3,
)
money = field(
    st.one_of(
        st.integers(0, 1_200),
        st.floats(0, 1_200, allow_nan=False),
        st.integers(0, 10**7).map(lambda units: units / 100_000),
        st.integers(0, 10**6).map(lambda units: (2 * units + 1) / 20_000),  # ties of ten-thousandths
    )
)
labels = field(st.sampled_from(["ware", "kitchen ware", 1984, 2.0, 2.5, "\U0001f600" * 5, "x" * 300]))
replayed: st.SearchStrategy[object] = st.sampled_from([None, True, False] * 5 + [1, "true", []])
others = st.sampled_from(
    [None, 0, "", "x", 1.5, 2**70, [], {}, {"b": None}, [[[[1]]]], [{"a": [{"b": 1}]}]] * 3 + [[[[[[1]]]]]]
)

PROPERTIES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "product_id": ids,
    "category": labels,
    "name": labels,
    "price": money,
    "quantity": field(st.sampled_from([1, 2, 3.0, 13_004])),
    "amount": money,
    "order_id": ids,
    "rating": field(st.sampled_from([1, 4, 5.0])),
    "text": labels,
    "products": field(st.lists(ids, max_size=3)),
    "content_id": ids,
}
RECORD: Final[dict[str, st.SearchStrategy[Any]]] = {
    "event_id": ids,
    "user_id": ids,
    "session_id": ids,
    "timestamp": times,
    "replayed": replayed,
    "amount": money,
    "product_id": ids,
    "order_id": ids,
    "price": money,
    "quantity": PROPERTIES["quantity"],
    "content_id": ids,
    "not_an_event": st.sampled_from(["unknown_rate: none", "x", "", None, 7]),
    "forwarded": mostly(
        st.tuples(st.integers(0, 4_095), st.integers(0, 2**40)),
        st.sampled_from([[1], [1, 2, 3], [-1, 0], [0, -1], [True, 0], ["0", 0], [1.0, 2], "x", {}, None]),
    ),
}
CATALOGUE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "product_id": ids,
    "content_id": ids,
    "name": labels,
    "category": labels,
    "text": labels,
    "price": money,
    "image_url": st.sampled_from(["https://shop.example/mug.png", "u" * 2_001, "", None, 7, []]),
    "stock": st.sampled_from([0, 5, 7.0, -3, 1.5, "5", "", None, True, [], 10**12, 10**12 + 1, 1e300]),
    "in_stock": st.sampled_from(
        [True, False, 1, 0, 2, "In Stock", "https://schema.org/OutOfStock", "pre-order", "", None, 1.0, [], "perhaps"]
    ),
    "colour": st.sampled_from(["red", None, "", {"a": {"b": {"c": {"d": {"e": 1}}}}}]),
}
written_ids: st.SearchStrategy[object] = st.sampled_from(["ada", "s1", "", None, 7, "a\nb", "x" * 129, []])
HISTORY: Final[dict[str, st.SearchStrategy[Any]]] = {
    "event_id": written_ids,
    "user_id": written_ids,
    "session_id": written_ids,
    "timestamp": st.sampled_from([AT_MS, None, "x"]),
    "signed_in": RECORD["forwarded"],
    "history": st.sampled_from(["?", "AAAA", "", None, 7]),
}
MISSPELT: Final = {
    "event_id": "eventId",
    "user_id": "userId",
    "session_id": "SESSION-ID",
    "product_id": "productID",
    "price": "Price",
    "quantity": "QUANTITY",
    "amount": "Amount",
    "order_id": "order-id",
    "rating": "Rating",
    "category": "Category",
    "text": "TEXT",
    "products": "Products",
    "replayed": "Replayed",
    "stock": "Stock",
    "in_stock": "inStock",
    "image_url": "imageUrl",
}


@st.composite
def objects(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]], misspelt: bool) -> dict[str, Any]:
    """Some of these fields. Where `misspelt`, some names are written in another way."""
    found = {}
    for name in draw(st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=7)):
        written = MISSPELT.get(name, name) if misspelt and draw(st.integers(0, 4)) == 0 else name
        found[written] = draw(fields[name])
    return found


@st.composite
def catalogue_documents(draw: st.DrawFn) -> dict[str, Any]:
    """A catalogue event, its fields at the top level or in either object, with something wrong in it now and then."""
    misspelt = draw(st.integers(0, 3)) == 0
    document: dict[str, Any] = {
        "event_type": draw(st.sampled_from(["product_updated", "product_updated", "product_removed", "stock_set"])),
        "timestamp": AT_MS,
        "product_id": "mug",
    }
    document |= draw(objects(RECORD | CATALOGUE, misspelt))
    for name in draw(st.sampled_from([("properties",), ("metadata",), ("properties", "metadata"), ()])):
        document[name] = draw(mostly(objects(CATALOGUE, misspelt), wrong_types))
    return document


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """An event in any of the three schemas, or in several at once, with something wrong in it now and then."""
    misspelt = draw(st.integers(0, 3)) == 0
    type_ = draw(st.sampled_from(TYPES))
    document: dict[str, Any] = {"event_type": type_, "user_id": "ada", "timestamp": AT_MS}
    if draw(st.booleans()):
        document = {draw(st.sampled_from(["event_type", "event_type", "action", "type"])): type_, "timestamp": AT_MS}
    document |= draw(objects(RECORD, misspelt))
    for name in draw(st.sampled_from([("properties",), ("metadata",), ("properties", "metadata"), ()])):
        properties = draw(objects(PROPERTIES, misspelt))
        properties |= {name: draw(others) for name in draw(st.lists(st.sampled_from("abcde"), max_size=4))}
        document[name] = draw(mostly(st.just(properties), wrong_types))
    if draw(st.booleans()):
        countries = st.sampled_from(["DE", "de", "Germany", 7, None, "D1"])
        context = {"country": draw(countries)} | {name: draw(others) for name in draw(st.lists(st.sampled_from("ab")))}
        document["context"] = draw(mostly(st.just(context), wrong_types))
    return document


def compared(decoded: Decoded | OracleDecoded) -> object:
    """What both decoders must say: every field of an event, tick or history, of others the class alone.

    What is null in a context, and a country that is none, says nothing, whether it is kept or dropped.
    """
    if isinstance(decoded, ProfileMerged):
        profile = decoded.profile
        flat = msgspec.structs.asdict(map_of(profile)) | {
            "excluded": profile.visits.excluded,  # both are absent from the map of a profile without excluded events
            "excluded_contributions": profile.aliases.excluded_contributions,
        }
        del flat["minute"]  # it does not go along
        return attrs.asdict(decoded, recurse=False) | {"profile": flat}
    if isinstance(decoded, MergeMessage):
        return attrs.asdict(decoded, recurse=False) | {"profile": attrs.asdict(decoded.profile, recurse=False)}
    if isinstance(decoded, Tick | WatermarkTick):
        return decoded
    if not isinstance(decoded, Event):
        return type(decoded).__name__
    context = {name: value for name, value in decoded.context.items() if name != "country" and value is not None}
    return {**decoded._replace(context=context)._asdict(), "country": decoded.country}


def history(visitor: str = "anonymous:s1", counted: int = 0, excluded: int = 0) -> dict[str, Any]:
    """The record by which a worker hands on what a visitor had done; so many events are known one by one."""
    viewed = Contribution(b"12345678", EventKind.PRODUCT_VIEWED, 5)
    had_done = Customer(
        CustomerId(visitor),
        Visits(excluded=excluded),
        interests=Interests(recent={ProductId("mug"): AT_MS}),
        purchases=Purchases(spend=5),
        aliases=Aliases(contributions=(viewed,) * counted, excluded_contributions=(viewed,) * excluded),
    )
    message = Message(
        CustomerId("ada"), f"{visitor}/e9", AT_MS, had_done.customer_id, profile=had_done, signed_in=(1, 7)
    )
    document: dict[str, Any] = json.loads(encode_message(message).value)
    return document


ONCE_READ_DIFFERENTLY: Final[list[dict[str, Any]]] = [
    {
        "event_type": "view",
        "user_id": "ada",
        "timestamp": 1,
        "properties": {"category": ""},
        "metadata": {"category": "ware"},
    },
    {"event_type": "view", "user_id": "ada", "timestamp": "2024-03-10T10:00.5"},
    {"event_type": "view", "user_id": "ada", "timestamp": 253_402_300_799_999},
    {"event_type": "purchase", "user_id": "ada", "timestamp": 1, "product_id": "mug", "price": 2, "quantity": 3},
    {"event_type": "view", "user_id": "ada", "timestamp": 1, "properties": {"amount": 0, "content_id": ""}},
    {
        "event_type": "view",
        "user_id": "ada",
        "timestamp": 1,
        "properties": {"content_id": ""},
        "metadata": {"content_id": "m"},
    },
    history(f"anonymous:{EMOJI}"),
    history(counted=2),
    history(counted=1, excluded=2),
]


@pytest.mark.parametrize("document", ONCE_READ_DIFFERENTLY)
def test_what_the_decoders_once_read_differently(document: dict[str, Any]) -> None:
    check_alike(json.dumps(document).encode())


def check_alike(value: bytes, key: bytes | None = None) -> None:
    record = Record(2, 17, key, value, AT_MS)
    for decode, oracle in DECODERS:
        assert compared(decode(record)) == compared(oracle(record))


@given(documents())
def test_both_decoders_read_an_event_alike(document: dict[str, Any]) -> None:
    check_alike(json.dumps(document).encode())
    check_alike(json.dumps(document, ensure_ascii=False).encode())


@given(catalogue_documents())
def test_both_decoders_read_a_catalogue_event_alike(document: dict[str, Any]) -> None:
    check_alike(json.dumps(document).encode())


@given(documents(), ids_or_null, ids_or_null)
def test_both_decoders_name_the_same_owner_of_a_rejected_record(
    document: dict[str, Any], user_id: object, session_id: object
) -> None:
    value = json.dumps(document | {"user_id": user_id, "session_id": session_id}).encode()
    for decode, oracle in DECODERS:
        found, expected = (decoder(Record(2, 17, None, value, AT_MS)) for decoder in (decode, oracle))
        if isinstance(found, Rejected) and isinstance(expected, Rejected):
            assert found.customer_id == expected.customer_id


@given(documents(), st.data())
def test_both_decoders_read_damaged_bytes_alike(document: dict[str, Any], data: st.DataObject) -> None:
    value = json.dumps(document).encode()
    at = data.draw(st.integers(0, len(value)))
    put = data.draw(
        st.sampled_from([b"", b"NaN", b"\\ud800", b"\xff", b"\0", b"\xef\xbb\xbf", b" ", b"1e400", b"[" * 70, b"{}"])
    )
    check_alike(data.draw(st.sampled_from([value[:at], value[:at] + put, value[:at] + put + value[at:]])))


@given(objects(HISTORY, misspelt=False))
def test_both_decoders_read_histories_alike(changes: dict[str, Any]) -> None:
    check_alike(json.dumps(history() | changes).encode())


@given(st.binary(max_size=20))
def test_both_decoders_read_any_bytes_alike(value: bytes) -> None:
    check_alike(value)


@given(st.one_of(st.integers(0, 10**18).map(str), st.sampled_from(["", "five", "5.0", "{}"])))
def test_both_decoders_read_ticks_of_the_watermark_alike(floor: str) -> None:
    check_alike(floor.encode(), KEY_OF_TICKS)


_TIMES = st.one_of(st.none(), st.integers(-2, 300_000_000_000_000), st.sampled_from(["1", 1.0, True, [], {}]))


@given(
    st.one_of(
        st.dictionaries(st.sampled_from(["elapsed_ms", "seen_ms", "floor_ms", "more"]), _TIMES).map(
            msgspec.json.encode
        ),
        st.sampled_from([b"", b"[]", b"{", b"5"]),
    )
)
def test_both_decoders_read_ticks_alike(value: bytes) -> None:
    check_alike(value, TICK_KEY)
