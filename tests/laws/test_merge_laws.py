"""Merging deltas is commutative and associative: the order of rounds and partitions cannot matter."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState

products = st.sampled_from([ProductId(name) for name in ("mug", "jug", "pan")])
counts = st.integers(-3, 5)
texts = st.none() | st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3))
prices = st.none() | st.tuples(st.integers(0, 9), st.integers(0, 3))
states = st.builds(ProductState, counts, counts, counts, texts, texts, prices)
activities = st.builds(Activity, counts, counts, counts)
keys = st.integers(0, 4).map(SessionKey)
deltas = st.builds(
    Deltas,
    st.dictionaries(products, states),
    st.dictionaries(st.tuples(st.integers(0, 2), products), activities),
    st.dictionaries(st.tuples(products, keys), st.integers(0, 9)),
    st.dictionaries(st.tuples(st.integers(0, 2), st.sampled_from(["DE", "FR"]), products), activities),
    st.dictionaries(st.tuples(st.sampled_from(["returns", "looks"]), products, st.sampled_from(["a", "b"])), counts),
)


def merged(*parts: Deltas) -> Deltas:
    total = Deltas()
    for part in parts:
        total.merge(part)
    return total


@given(deltas, deltas)
def test_merging_commutes(one: Deltas, other: Deltas) -> None:
    assert merged(one, other) == merged(other, one)


@given(deltas, deltas, deltas)
def test_merging_associates(one: Deltas, two: Deltas, three: Deltas) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@given(deltas, deltas)
def test_merging_leaves_what_is_merged_as_it_was(one: Deltas, other: Deltas) -> None:
    before = deepcopy(other)
    total = merged(one, other)
    total.merge(one)
    assert other == before


@given(deltas, st.integers(1, 4))
def test_the_parts_of_all_view_cells_make_the_whole(one: Deltas, view_cells: int) -> None:
    assert merged(*one.parts(view_cells)) == merged(one)
