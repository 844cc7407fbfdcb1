"""Histories whose outcome was worked out by hand, for the oracle and for the comparison with it."""

from harness.oracle.decoding.schema import EventSchema
from harness.oracle.expected import Expected, expect
from harness.oracle.profile import ExpectedCustomer
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.events import EventLimits, encode_event
from realtime_pipeline.infrastructure.codecs.ticks import KEY_OF_TICKS

HOUR = 472_222
AT = HOUR * 3_600_000
MINUTE = 60_000
APPENDED = AT + 10 * 86_400_000
ANNA, BOB, CLEO = CustomerId("anna"), CustomerId("bob"), CustomerId("cleo")
TEA, CUP = ProductId("tea"), ProductId("cup")
SCHEMA = EventSchema(EventLimits())
RULES = FoldSettings(profile=ProfileSettings(affinity_half_life_ms=MINUTE))

Line = tuple[bytes | None, bytes]


def event(
    kind: str, user: str | None, minute: float, id_: str, session: str | None = None, **properties: object
) -> Line:
    document: dict[str, object] = {"event_type": kind, "timestamp": AT + int(minute * MINUTE), "event_id": id_}
    document |= {} if user is None else {"user_id": user}
    document |= {} if session is None else {"session_id": session}
    return None, encode_event({**document, "properties": properties})


def log(*partitions: list[Line]) -> list[list[Record]]:
    return [
        [Record(partition, position, key, value, APPENDED) for position, (key, value) in enumerate(lines)]
        for partition, lines in enumerate(partitions)
    ]


def expected_of(partitions: list[list[Record]], settings: FoldSettings = RULES) -> Expected:
    records = [record for records in partitions for record in records]
    return expect(records, SCHEMA, settings, len(partitions))


def anna(lines: list[Line], **profile: int) -> tuple[Expected, ExpectedCustomer]:
    expected = expected_of(log(lines), FoldSettings(profile=ProfileSettings(**profile)))
    return expected, expected.customers[ANNA]


def small_shop() -> list[list[Record]]:
    """Everything that can happen to a record, once. CRC-32 puts bob and cleo into partition 0 of 2, anna into 1."""
    tea = {"product_id": "tea", "category": "drinks", "price": 4.0}
    return log(
        [
            event("view", "bob", 1, "b1", product_id="tea"),
            event("purchase", "bob", 20, "b2", product_id="cup", price=3.0),
            event("forget", "bob", 30, "b3"),
            event("view", "bob", 25, "b4", product_id="tea"),
            event("view", "bob", 40, "b5", product_id="cup"),
            event("view", "cleo", 5, "c1", product_id="tea"),
            event("forget", "cleo", 6, "c2"),
        ],
        [
            event("view", "anna", 0, "a1", "s1", **tea, name="Tea"),
            event("cart", "anna", 1, "a2", "s1", **tea),
            event("purchase", "anna", 2, "a3", "s1", **tea, quantity=2, order_id="o1"),
            event("purchase", "anna", 2, "a3", "s1", **tea, quantity=2, order_id="o1"),
            event("view", "anna", -1, "a4", "s1", product_id="cup", category="ware"),
            event("cancellation", "anna", 60, "a5", product_id="tea", price=4.0, order_id="o1"),
            event("review", "anna", 120, "a6", product_id="tea", rating=2, text="weak"),
            event("review", "anna", 180, "a7", product_id="tea", rating=5, text="better"),
            event("review", "anna", 90, "a8", product_id="tea", rating=1, text="too late"),
            (None, b"garbage"),
            event("zoom", "anna", 3, "a9"),
            event("view", "bob", 3, "b6", product_id="tea"),
            event("view", "anna", 10 * 24 * 60 + 6, "a10", product_id="tea"),
            (KEY_OF_TICKS, b""),
            event("view", None, 10, "n1", product_id="cup"),
        ],
    )
