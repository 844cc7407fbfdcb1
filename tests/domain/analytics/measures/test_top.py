"""The most frequent values, of a bounded number that are counted."""

from collections import Counter
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.top import Top

MEASURE = Measure("top", field="product", limit=2, entries_max=3)


def of(*texts: str, measure: Measure = MEASURE) -> Top:
    top = Top(measure)
    for text in texts:
        top.add(text, 0, "e")
    return top


def by_hash(texts: set[str]) -> list[str]:
    return sorted(texts, key=lambda text: int(blake2b(text.encode(), digest_size=8).hexdigest(), 16))


def test_the_largest_counts_are_listed() -> None:
    # b 3, a 2, c 2: of equal counts the smaller value is listed; all three are counted, so nothing is in "(other)"
    assert of(*"abcabcb").result() == [("b", 3), ("a", 2)]


def test_without_events() -> None:
    assert of().result() is None


def test_the_chunks() -> None:
    top = of("mug", "mug", "other")
    assert top.changes() == {"=mug": 2, "=other": 1}
    top.add("mug", 0, "e")
    assert top.changes() == {"=mug": 3}


def test_a_value_with_a_larger_hash_is_refused() -> None:
    *counted, refused = by_hash(set("abcd"))
    top = of(*counted, refused, refused, *counted)
    assert top.changes() == {f"={text}": 2 for text in counted} | {"other": 2}
    result = top.result()
    assert isinstance(result, list)
    assert result == [(text, 2) for text in sorted(counted)[:2]] + [("(other)", 2)]


def test_a_value_with_a_smaller_hash_evicts_the_largest() -> None:
    smallest, middle, large, largest = by_hash(set("abcd"))
    top = of(middle, large, largest, largest)
    assert top.changes() == {f"={middle}": 1, f"={large}": 1, f"={largest}": 2}
    top.add(smallest, 0, "e")
    assert top.changes() == {f"={smallest}": 1, f"={largest}": None, "other": 2}
    top.add(largest, 0, "e")  # it never returns
    assert top.changes() == {"other": 3}


def test_a_value_that_was_evicted_before_it_was_stored_is_not_deleted() -> None:
    smallest, *others = by_hash(set("abcd"))
    changes = of(*others, smallest).changes()
    assert None not in changes.values()
    assert len(changes) == 4  # three values, and the others


def test_a_merge_trims_the_union() -> None:
    values = by_hash(set("abcdef"))
    # the three smallest hashes of six stay; the counts 1 + 2 + 1 of the other three are in "(other)"
    even, odd = of(*values[::2] * 2), of(*values[1::2])
    for target, source in ((of(*values[::2] * 2), odd), (of(*values[1::2]), even)):
        target.merge(source)
        assert target.counts == {values[0]: 2, values[1]: 1, values[2]: 2}
        assert target.other == 1 + 2 + 1


@given(st.lists(st.sampled_from("abcdefghijkl") | st.text(max_size=2)), st.integers(1, 4), st.integers(0, 8))
def test_the_counts_are_exact(texts: list[str], limit: int, more: int) -> None:
    measure = Measure("top", field="product", limit=limit, entries_max=limit + more)
    counts = Counter(texts)
    counted = by_hash(set(texts))[: limit + more]
    listed = sorted(((text, counts[text]) for text in counted), key=lambda entry: (-entry[1], entry[0]))[:limit]
    other = len(texts) - sum(counts[text] for text in counted)
    expected = listed + [("(other)", other)] * (other > 0)
    assert of(*texts, measure=measure).result() == (expected or None)


def test_numbers_of_entries_are_bounded() -> None:
    top = of(*(f"product-{number}" for number in range(1_000)))
    assert len(top.changes()) == 3 + 1
    assert top.other == 997
