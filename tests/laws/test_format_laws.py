"""Whatever a newer release adds to what is stored stays there; whatever is cut off or garbled is said to be so."""

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey, SessionSummary
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.infrastructure.codecs.formats import CATALOGUE_ENTRY, PLAIN_CUSTOMER
from realtime_pipeline.infrastructure.codecs.outbox import decode_entry, encode_entry
from realtime_pipeline.infrastructure.codecs.state import (
    decode_customer,
    decode_review,
    decode_session_summaries,
    decode_session_summary,
    encode_customer,
)
from realtime_pipeline.infrastructure.codecs.unknown_fields import names_in
from realtime_pipeline.infrastructure.redis.rows import decode_listing, decode_row, interactions_in
from tests.laws.stored_values import (
    ADA,
    BOT,
    ENTRY,
    LISTING,
    REVIEW,
    STORED,
    WITH_CATALOGUE,
    WITH_LATE_EVENTS,
    WITH_SUMS,
    CustomerOfFirstRelease,
    Stored,
    additions,
    customers,
    excluding_customers,
    in_first_release,
)

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
each_stored = pytest.mark.parametrize("stored", STORED.values(), ids=list(STORED))


def written_by_newer(value: bytes, **more: object) -> bytes:
    """A value as a newer release writes it, which older ones may read."""
    return pack({"format": [2, 1], **{name: part for name, part in unpack(value).items() if name != "format"}, **more})


@given(customers)
def test_customers_are_read_as_they_were_written(customer: Customer) -> None:
    value = encode_customer(customer)
    assert decode_customer(value) == customer
    assert decode_customer(value).unknown is None
    flat = in_first_release(customer)
    assert (
        msgspec.msgpack.Decoder(CustomerOfFirstRelease).decode(value) == flat
    )  # so the release before formats reads it
    before_formats = pack(flat)
    assert decode_customer(before_formats) == customer
    assert decode_customer(before_formats).unknown is None
    head = b"\xde\x00\x17" + pack("format") + pack([1, 1])
    assert value == head + before_formats[3:]  # to the byte as the first release with formats wrote it


@given(excluding_customers)
def test_customers_with_excluded_events_are_read_as_they_were_written(customer: Customer) -> None:
    value = encode_customer(customer)
    assert decode_customer(value) == customer
    assert decode_customer(value).unknown is None
    assert unpack(value, type=dict[str, Any])["format"] == [2, 2]
    with pytest.raises(NewerRelease):  # releases that would count the visitor's events for everybody stop
        PLAIN_CUSTOMER.check([2, 2])


@given(customers, st.data())
def test_the_order_of_fields_in_a_stored_customer_means_nothing(customer: Customer, data: st.DataObject) -> None:
    fields = unpack(encode_customer(customer), type=dict[str, Any])
    value = pack({name: fields[name] for name in data.draw(st.permutations(list(fields)))})
    assert decode_customer(value) == customer
    assert decode_customer(value).unknown is None


@given(customers, additions, st.data(), st.booleans())
def test_what_a_newer_release_adds_is_written_back(
    customer: Customer, top: dict[str, Any], data: st.DataObject, is_marked: bool
) -> None:
    fields = unpack(encode_customer(customer)) | top
    maps = [fields["seen"], *fields["orders"].values(), *fields["open_sessions"]]
    maps += [fields["seen"]["repairs"]] if fields["seen"]["repairs"] else []
    for part in maps:
        part.update(data.draw(additions | st.just({})))
    if is_marked:
        fields["format"] = [3, 1]
    read = decode_customer(pack(fields))
    assert {name: read.unknown[name] for name in top} == top if read.unknown else False
    assert unpack(encode_customer(read)) == fields | {"format": [1, 1]}
    assert attrs.evolve(read, unknown=None) == customer


@given(additions, additions, additions)
def test_what_a_newer_release_adds_outlives_a_fold(
    top: dict[str, Any], in_order: dict[str, Any], in_session: dict[str, Any]
) -> None:
    fields = unpack(encode_customer(ADA)) | top
    fields["orders"]["o1"].update(in_order)
    fields["open_sessions"][0].update(in_session)
    customer = decode_customer(pack(fields))
    event = Event(
        "e", EventKind.PRODUCT_PURCHASED, customer.customer_id, 10, "s", ProductId("jug"), amount=5, order_id="o1"
    )
    customer.record(event, SessionKey(8192), ProfileSettings(), Changes())
    after = unpack(encode_customer(customer))
    assert after["spend"] == 125_005
    assert top.items() <= after.items()
    assert in_order.items() <= after["orders"]["o1"].items()
    assert in_session.items() <= after["open_sessions"][0].items()


def test_kinds_of_events_that_only_a_newer_release_knows_are_kept() -> None:
    fields = unpack(encode_customer(ADA))
    fields["counts"]["product_rented"] = 7
    fields["contributions"] = [[b"12345678", "product_rented", 5, None, None, 0, 1, None, None, None, []]]
    customer = decode_customer(pack(fields))
    assert customer.visits.counts == {"product_viewed": 3, "product_rented": 7}
    assert [kind.is_known for kind in customer.visits.counts] == [True, False]
    assert unpack(encode_customer(customer)) == fields


@each_stored
def test_what_is_cut_off_is_said_to_be_damaged(stored: Stored) -> None:
    value, decode = stored
    for end in range(len(value)):
        with pytest.raises(Damaged, match=r"is damaged .* rebuild it from the log"):
            decode(value[:end])


@given(st.sampled_from(sorted(STORED)), st.integers(0, 10_000), st.integers(1, 255))
def test_what_is_garbled_is_said_to_be_so_or_is_all_read(kind: str, at: int, change: int) -> None:
    """A byte may make another value of it; but no field has a default where it was written."""
    value, decode = STORED[kind]
    at %= len(value)
    garbled = value[:at] + bytes([value[at] ^ change]) + value[at + 1 :]
    try:
        read = decode(garbled)
    except (Damaged, NewerRelease):
        return
    assert names_in(_again(read)) - names_in(unpack(garbled)) <= {"format"}


def _again(read: object) -> Any:
    if isinstance(read, Customer):
        return unpack(encode_customer(read))
    if isinstance(read, OutboxEntry):
        return unpack(encode_entry(read))
    if isinstance(read, Listing):
        return [read.facts, read.sold]
    return unpack(pack(read))


@pytest.mark.parametrize("kind", ["customer", "review", "entry", "entry with sums", "entry with a catalogue"])
def test_a_map_of_a_format_that_is_not_read_is_a_newer_releases(kind: str) -> None:
    value, decode = STORED[kind]
    fields = unpack(value, type=dict[str, Any])
    for of_newer in (fields | {"format": [6, 5]}, {"format": [6, 5], "everything": "is otherwise"}):
        with pytest.raises(NewerRelease, match=r"written by a newer release .*: upgrade this program"):
            decode(pack(of_newer))


@pytest.mark.parametrize("format_", ["x", [0, 0], [1], [1, 2], 7, [1, 1, 1], [None, 1], {}])
def test_a_format_that_is_none_is_damage(format_: object) -> None:
    for kind in ("customer", "review", "entry"):
        value, decode = STORED[kind]
        with pytest.raises(Damaged, match="where its format should be"):
            decode(pack(unpack(value) | {"format": format_}))


@pytest.mark.parametrize("kind", ["trail", "trails", "row", "listing"])
def test_a_map_where_an_array_was_is_a_newer_releases(kind: str) -> None:
    decode = STORED[kind][1]
    with pytest.raises(NewerRelease, match="upgrade this program"):
        decode(pack({"format": [2, 2], "products": {}}))


def test_elements_that_a_newer_release_adds_to_arrays_are_passed_over() -> None:
    trail, row = (unpack(STORED[kind][0]) for kind in ("trail", "row"))
    longer = pack([*trail, {"dwell": 5}])
    assert decode_session_summary(longer) == SessionSummary(9, {ProductId("mug"): 1})
    assert decode_session_summaries([longer, None, STORED["trail"][0]]) == [
        SessionSummary(9, {ProductId("mug"): 1}),
        None,
        SessionSummary(*trail),
    ]
    assert decode_row(pack([*row, "brand", 5])).name == "Mug"
    assert interactions_in(pack([*row, "brand", 5])) == 3
    assert decode_listing(pack([*unpack(STORED["listing"][0]), "supplier"])) == LISTING


def test_an_entry_that_says_more_than_is_read_is_refused() -> None:
    """Brought to the readers without that and then trimmed, it would be lost."""
    assert decode_entry(STORED["entry"][0]) == ENTRY
    before_formats = pack({name: part for name, part in unpack(STORED["entry"][0]).items() if name != "format"})
    assert decode_entry(before_formats) == ENTRY
    fields = unpack(STORED["entry"][0], type=dict[str, Any])
    for more in (fields | {"windows": [1]}, fields | {"format": [2, 1], "windows": [1]}):
        with pytest.raises(NewerRelease, match=r"records 3 to 5 has windows.*, which this release would lose"):
            decode_entry(pack(more))


def test_a_review_of_a_newer_release_is_read() -> None:
    assert decode_review(written_by_newer(STORED["review"][0], photos=["a.jpg"])) == REVIEW


@pytest.mark.parametrize("name", [name for name in unpack(encode_customer(BOT)) if name != "format"])
def test_a_customer_that_lacks_a_field_is_damaged(name: str) -> None:
    fields = unpack(encode_customer(BOT if "excluded" in name or name == "minute" else ADA))
    del fields[name]
    with pytest.raises(Damaged, match=f"it lacks {name}"):
        decode_customer(pack(fields))


def test_a_customer_before_formats_may_lack_fields_but_not_its_id() -> None:
    fields = {name: value for name, value in unpack(encode_customer(ADA)).items() if name not in ("format", "shown")}
    assert decode_customer(pack(fields)) == ADA
    del fields["customer_id"]
    with pytest.raises(Damaged, match="it lacks customer_id"):
        decode_customer(pack(fields))


def test_an_entry_without_sums_has_the_bytes_that_releases_without_sums_write() -> None:
    @attrs.define
    class DeltasOfFirstRelease:
        products: dict[Any, Any]
        activity: dict[Any, Any]
        index: dict[Any, Any]
        by_country: dict[Any, Any]

    deltas = ENTRY.deltas
    tables = DeltasOfFirstRelease(deltas.products, deltas.activity, deltas.index, deltas.by_country)
    fields = unpack(pack(attrs.evolve(ENTRY, deltas=tables)), type=dict[str, Any])  # type: ignore[arg-type]
    assert fields.pop("late_events") == []
    bare = pack(fields)
    assert encode_entry(ENTRY) == b"\x8a" + pack("format") + pack([1, 1]) + bare[1:]
    assert decode_entry(bare) == ENTRY  # as the release before formats wrote it


def test_an_entry_with_sums_stops_releases_that_would_lose_them() -> None:
    value = encode_entry(WITH_SUMS)
    assert decode_entry(value) == WITH_SUMS
    assert unpack(value, type=dict[str, Any])["format"] == [2, 2]


def test_an_entry_with_sales_or_facts_stops_releases_that_would_lose_them() -> None:
    value = encode_entry(WITH_CATALOGUE)
    assert decode_entry(value) == WITH_CATALOGUE
    assert unpack(value, type=dict[str, Any])["format"] == [3, 3]
    only_sales = attrs.evolve(ENTRY, deltas=attrs.evolve(ENTRY.deltas, sales={(ProductId("mug"), 8): 2}))
    assert decode_entry(encode_entry(only_sales)) == only_sales
    assert unpack(encode_entry(only_sales), type=dict[str, Any])["format"] == [3, 3]


@pytest.mark.parametrize("entry", [ENTRY, WITH_SUMS, WITH_CATALOGUE])
def test_an_entry_with_late_events_stops_releases_that_would_lose_them(entry: OutboxEntry) -> None:
    late = attrs.evolve(entry, late_events=WITH_LATE_EVENTS.late_events)
    value = encode_entry(late)
    assert decode_entry(value) == late
    assert unpack(value, type=dict[str, Any])["format"] == [4, 4]
    with pytest.raises(NewerRelease):  # releases that would lose them stop
        CATALOGUE_ENTRY.check([4, 4])


@pytest.mark.parametrize("kind", ["entry", "entry with sums", "entry with a catalogue", "entry with late events"])
def test_an_entry_that_lacks_a_field_is_damaged(kind: str) -> None:
    fields = unpack(STORED[kind][0], type=dict[str, Any])
    for name in fields.keys() - {"format", "late_events"}:
        with pytest.raises(Damaged, match=f"lacks {name}|required field `{name}`"):
            decode_entry(pack({known: part for known, part in fields.items() if known != name}))
    for name in fields["deltas"].keys() - {"sums", "listings", "sales"}:
        deltas = {known: part for known, part in fields["deltas"].items() if known != name}
        with pytest.raises(Damaged, match=f"lacks deltas.{name}"):
            decode_entry(pack(fields | {"deltas": deltas}))
