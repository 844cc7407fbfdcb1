"""Panes: which keys are kept, which chunks a commit writes, and that panes add up in any order."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate, Key
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Chunk, Result
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.panes import OTHERS, ChunkId, Pane, hash_of
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import Amount

PART_KEY = tuple[int, Key | None]
MEASURES = {
    "n": Measure("count"),
    "sum": Measure("sum", "price"),
    "customers": Measure("distinct", "customer_id", entries_max=2),
    "top": Measure("top", "category", limit=1, entries_max=2),
    "highest": Measure("max", "price"),
    "first": Measure("first", "category"),
    "prices": Measure("quantiles", "price"),
}


def compiled(keys_max: int = 2, measures: Mapping[str, Measure] | None = None) -> CompiledAggregate:
    chosen = dict(MEASURES if measures is None else measures)
    return CompiledAggregate(WindowedAggregate("mine", Window(10_000), chosen, key=("product_id",), keys_max=keys_max))


def view(
    event_id: str, product: str | None, price: int | None = 1, customer: str = "ada", category: str | None = None
) -> Event:
    return Event(
        event_id,
        EventKind.PRODUCT_VIEWED,
        CustomerId(customer),
        1_000,
        product_id=None if product is None else ProductId(product),
        category=category,
        price=None if price is None else Amount(price),
    )


def by_hash(names: str) -> list[str]:
    """One-letter keys in the order of their hashes, which are those of "1:a," and so on."""
    return sorted(names, key=lambda name: blake2b(f"1:{name},".encode(), digest_size=8).digest())


class Added(NamedTuple):
    first_ms: int
    event: Event


def counted(aggregate: CompiledAggregate, events: Sequence[Added]) -> Pane:
    pane = Pane(aggregate)
    for first_ms, event in events:
        pane.add(first_ms, aggregate.key_of(event), event)
    return pane


def results(pane: Pane) -> dict[PART_KEY, list[Result]]:
    return {key: [found.result() for found in accumulators] for key, accumulators in pane.parts().items()}


def write(stored: dict[ChunkId, Chunk], changes: Mapping[ChunkId, Chunk | None]) -> None:
    for chunk_id, chunk in changes.items():
        if chunk is None:
            stored.pop(chunk_id, None)
        else:
            stored[chunk_id] = chunk


def loaded(aggregate: CompiledAggregate, stored: Mapping[ChunkId, Chunk]) -> Pane:
    pane = Pane(aggregate)
    pane.load(dict(stored))
    return pane


EVENTS = st.lists(
    st.builds(
        Added,
        st.sampled_from([0, 5_000]),
        st.builds(
            view,
            st.uuids(version=4).map(str),
            st.sampled_from([*"abcdef", None]),
            st.one_of(st.none(), st.integers(0, 50_000)),
            st.sampled_from(["ada", "bob", "cyd", "dan"]),
            st.sampled_from(["kitchen", "books", "outdoor", None]),
        ),
    ),
    max_size=30,
)
COUNT = {"n": Measure("count")}


def counts(pane: Pane) -> dict[PART_KEY, Result]:
    return {key: values[0] for key, values in results(pane).items()}


def test_the_keys_with_the_smallest_hashes_are_kept_and_all_others_together() -> None:
    first, second, third, fourth = by_hash("abcd")
    aggregate = compiled(2, COUNT)
    events = [
        view(f"{name}{number}", name) for number, name in enumerate((fourth, third, fourth, first, second, third))
    ]
    expected: dict[PART_KEY, Result] = {(0, (first,)): 1, (0, (second,)): 1, (0, OTHERS): 4}
    assert counts(counted(aggregate, [Added(0, event) for event in events])) == expected
    assert counts(counted(aggregate, [Added(0, event) for event in reversed(events)])) == expected


def test_as_many_keys_as_may_be_are_kept_and_there_are_no_others() -> None:
    pane = counted(compiled(2, COUNT), [Added(0, view(name, name)) for name in "abab"])
    assert counts(pane) == {(0, ("a",)): 2, (0, ("b",)): 2}
    assert pane.size == 2


def test_keys_are_kept_by_first_window() -> None:
    first, second, third, _ = by_hash("abcd")
    events = [Added(0, view("1", third)), Added(0, view("2", second)), Added(5_000, view("3", third))]
    assert counts(counted(compiled(1, COUNT), [*events, Added(5_000, view("4", third))])) == {
        (0, (second,)): 1,
        (0, OTHERS): 1,
        (5_000, (third,)): 2,
    }
    assert counts(counted(compiled(1, COUNT), [*events, Added(5_000, view("4", first))])) == {
        (0, (second,)): 1,
        (0, OTHERS): 1,
        (5_000, (first,)): 1,
        (5_000, OTHERS): 1,
    }


def test_an_absent_value_is_a_key_and_not_the_others() -> None:
    pane = counted(compiled(5, COUNT), [Added(0, view("1", None)), Added(0, view("2", "a"))])
    assert counts(pane) == {(0, (None,)): 1, (0, ("a",)): 1}


def test_keys_of_several_fields_are_told_apart() -> None:
    keys: list[Key] = [
        (),
        (None,),
        ("",),
        ("-",),
        ("a", "b"),
        ("a,1:b",),
        ("ab", ""),
        ("", "ab"),
        (None, "a"),
        ("a", None),
    ]
    assert len({hash_of(key) for key in keys}) == len(keys)
    assert hash_of(("a", "bc")) == int.from_bytes(blake2b(b"1:a,2:bc,", digest_size=8).digest(), "big")
    assert hash_of(("\ud800",)) != hash_of(("\ud801",))


def test_an_event_of_which_nothing_is_measured_makes_no_key() -> None:
    aggregate = compiled(1, {"sum": Measure("sum", "price")})
    pane = counted(aggregate, [Added(0, view("1", "a", None))])
    assert (pane.size, pane.changes()) == (0, {})
    pane = counted(
        aggregate, [Added(0, view("1", "a", 3)), Added(0, view("2", "b", None)), Added(0, view("3", "a", None))]
    )
    assert results(pane) == {(0, ("a",)): [3]}


def test_only_changed_chunks_are_written() -> None:
    aggregate = compiled(
        5, {"n": Measure("count"), "sum": Measure("sum", "price"), "users": Measure("distinct", "customer_id")}
    )
    pane = counted(aggregate, [Added(0, view("1", "a", 5)), Added(0, view("2", "b", 7))])
    assert {(id_.key, id_.measure): chunk for id_, chunk in pane.changes().items()} == {
        (("a",), 0): 1,
        (("a",), 1): 5,
        (("a",), 2): 1,
        (("b",), 0): 1,
        (("b",), 1): 7,
        (("b",), 2): 1,
    }
    assert pane.changes() == {}
    pane.add(0, ("a",), view("3", "a", None))  # a known customer, and no price
    assert pane.changes() == {ChunkId(0, ("a",), 0, "n"): 2}
    pane.add(5_000, ("a",), view("4", "a", None, "bob"))
    assert {(id_.first_ms, id_.key, id_.measure) for id_ in pane.changes()} == {(5_000, ("a",), 0), (5_000, ("a",), 2)}


def test_a_key_that_makes_room_is_deleted_from_the_store_and_counted_with_the_others() -> None:
    first, second, third, _ = by_hash("abcd")
    pane = counted(compiled(2, COUNT), [Added(0, view("1", third)), Added(0, view("2", second))])
    pane.changes()
    pane.add(0, (first,), view("3", first))
    assert pane.changes() == {
        ChunkId(0, (third,), 0, "n"): None,
        ChunkId(0, (first,), 0, "n"): 1,
        ChunkId(0, OTHERS, 0, "n"): 1,
    }
    pane.add(0, (third,), view("4", third))
    assert pane.changes() == {ChunkId(0, OTHERS, 0, "n"): 2}


def test_nothing_is_deleted_that_was_never_stored() -> None:
    first, second, third, _ = by_hash("abcd")
    events = [Added(0, view(name, name)) for name in (third, second, first)]
    assert counted(compiled(2, COUNT), events).changes() == {
        ChunkId(0, (first,), 0, "n"): 1,
        ChunkId(0, (second,), 0, "n"): 1,
        ChunkId(0, OTHERS, 0, "n"): 1,
    }


def test_a_key_that_was_loaded_can_make_room() -> None:
    first, second, _, _ = by_hash("abcd")
    aggregate = compiled(1, COUNT)
    pane = loaded(aggregate, {ChunkId(0, (second,), 0, "n"): 4})
    assert pane.changes() == {}
    pane.add(0, (first,), view("1", first))
    assert pane.changes() == {
        ChunkId(0, (second,), 0, "n"): None,
        ChunkId(0, (first,), 0, "n"): 1,
        ChunkId(0, OTHERS, 0, "n"): 4,
    }


@given(pieces=st.lists(EVENTS, max_size=4), keys_max=st.integers(1, 7))
def test_what_is_written_piece_by_piece_is_what_was_counted(pieces: list[list[Added]], keys_max: int) -> None:
    """With a restart after each piece, and without one."""
    aggregate = compiled(keys_max)
    at_once = counted(aggregate, [added for piece in pieces for added in piece])
    kept, restarted = dict[ChunkId, Chunk](), dict[ChunkId, Chunk]()
    pane = Pane(aggregate)
    for piece in pieces:
        again = loaded(aggregate, restarted)
        for first_ms, event in piece:
            for counting in (pane, again):
                counting.add(first_ms, aggregate.key_of(event), event)
        write(kept, pane.changes())
        write(restarted, again.changes())
    assert kept == restarted == {id_: chunk for id_, chunk in at_once.changes().items() if chunk is not None}
    assert results(loaded(aggregate, kept)) == results(pane) == results(at_once)
    assert loaded(aggregate, kept).changes() == {}


@given(
    events=st.lists(st.tuples(st.integers(0, 3), EVENTS.map(lambda some: some[:1])), max_size=30),
    order=st.permutations(range(4)),
    keys_max=st.integers(1, 7),
)
def test_panes_merged_in_any_order_are_all_events_counted_at_once(
    events: list[tuple[int, list[Added]]], order: list[int], keys_max: int
) -> None:
    aggregate = compiled(keys_max)
    at_once = counted(aggregate, [added for _, some in events for added in some])
    total = Pane(aggregate)
    for number in order:
        of_one = [added for of, some in events if of == number for added in some]
        for (first_ms, key), accumulators in counted(aggregate, of_one).parts().items():
            total.merge(first_ms, key, accumulators)
    assert results(total) == results(at_once)


@given(events=EVENTS, seed=st.randoms(use_true_random=False), keys_max=st.integers(1, 7))
def test_a_pane_does_not_depend_on_the_order_of_events(events: list[Added], seed: object, keys_max: int) -> None:
    aggregate = compiled(keys_max)
    shuffled = list(events)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert results(counted(aggregate, shuffled)) == results(counted(aggregate, events))


@given(events=EVENTS, keys_max=st.integers(1, 7))
def test_no_event_is_lost_and_no_window_has_too_many_keys(events: list[Added], keys_max: int) -> None:
    pane = counted(compiled(keys_max, COUNT), events)
    found = counts(pane)
    for first_ms in (0, 5_000):
        names = {aggregate_key for first, aggregate_key in found if first == first_ms}
        keys = {(event.product_id,) for first, event in events if first == first_ms}
        assert sum(int(str(found[first_ms, name])) for name in names) == sum(first == first_ms for first, _ in events)
        assert names - {OTHERS} == set(sorted(keys, key=hash_of)[:keys_max])
        assert (OTHERS in names) == (len(keys) > keys_max)
