"""What a measure says and stores is decided by its events: not by their order, by stores and loads, or by merges."""

import copy
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.table import ACCUMULATORS

Event = tuple[Value, int, str]

VALUES: dict[Reads, st.SearchStrategy[Value]] = {
    Reads.NOTHING: st.just(1),
    Reads.NUMBER: st.integers(-3, 3) | st.integers() | st.sampled_from((10**400, -(10**400))),
    Reads.TEXT: st.sampled_from("abcde") | st.text(max_size=3),
    Reads.TEST: st.integers(0, 1),
}


def measure_named(name: str) -> Measure:
    """A measure with bounds that a few events cross."""
    return Measure(name, field="value", limit=2, entries_max=3)


class Stored:
    """An accumulator beside its chunks in a store."""

    def __init__(self, measure: Measure) -> None:
        self.measure, self.chunks = measure, dict[str, Chunk]()
        self.accumulator: Accumulator = ACCUMULATORS[measure.measure](measure)

    def commit(self) -> None:
        """Apply the changes to the store; right after that there are none."""
        for name, chunk in self.accumulator.changes().items():
            if chunk is None:
                del self.chunks[name]  # only what is stored can be deleted
            else:
                self.chunks[name] = chunk
        assert self.accumulator.changes() == {}

    def restart(self) -> None:
        """Load from the store, where loading is no change."""
        self.accumulator = ACCUMULATORS[self.measure.measure](self.measure)
        self.accumulator.load(self.chunks)
        assert self.accumulator.changes() == {}

    def maybe_commit(self, dice: Random) -> None:
        if dice.random() < 0.4:
            self.commit()
            if dice.random() < 0.5:
                self.restart()

    def merge(self, other: "Stored") -> None:
        """Merge another accumulator, which must say and store the same as before."""
        before = copy.deepcopy(other.accumulator)
        self.accumulator.merge(other.accumulator)
        assert other.accumulator.result() == before.result()
        assert other.accumulator.changes() == before.changes()


@pytest.mark.parametrize("name", ACCUMULATORS)
@given(data=st.data(), dice=st.randoms(use_true_random=True))
def test_any_split_order_and_merge_gives_the_same(name: str, data: st.DataObject, dice: Random) -> None:
    values = VALUES[ACCUMULATORS[name].reads]
    # Few times and ids, so that there are ties. An empty state that merges another may store zeros: at least 1 event.
    events: list[Event] = data.draw(
        st.lists(st.tuples(values, st.integers(0, 2), st.sampled_from(("e", "e1", ""))), min_size=1, max_size=40)
    )
    at_once = Stored(measure_named(name))
    for event in events:
        at_once.accumulator.add(*event)
    at_once.commit()

    dice.shuffle(events)
    parts = [Stored(measure_named(name)) for _ in range(dice.randint(1, 5))]
    for event in events:
        part = dice.choice(parts)
        part.accumulator.add(*event)
        part.maybe_commit(dice)
    while len(parts) > 1:
        dice.shuffle(parts)
        other = parts.pop()
        parts[-1].merge(other)
        parts[-1].maybe_commit(dice)
    merged = parts[0]
    merged.commit()
    assert merged.accumulator.result() == at_once.accumulator.result()
    assert merged.chunks == at_once.chunks
    merged.restart()
    assert merged.accumulator.result() == at_once.accumulator.result()


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_nothing_is_loaded_of_an_empty_store(name: str) -> None:
    empty, loaded = Stored(measure_named(name)), Stored(measure_named(name))
    loaded.restart()
    assert loaded.accumulator.result() == empty.accumulator.result()
    assert empty.accumulator.changes() == {}


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_a_measure_goes_on_after_loading(name: str) -> None:
    value: Value = "a" if ACCUMULATORS[name].reads is Reads.TEXT else 1
    going_on, at_once = Stored(measure_named(name)), Stored(measure_named(name))
    for at_ms in range(3):
        going_on.accumulator.add(value, at_ms, f"e{at_ms}")
        going_on.commit()
        going_on.restart()
        at_once.accumulator.add(value, at_ms, f"e{at_ms}")
    at_once.commit()
    assert going_on.chunks == at_once.chunks
