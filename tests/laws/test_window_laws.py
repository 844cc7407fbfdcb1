"""Windows: what every store holds is what the oracle computes from the log, however the log is cut."""

import copy
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import attrs
from dependency_injector import providers
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Pipeline
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.composition.settings import AnalyticsSettings, QualitySettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.infrastructure.memory.window_results import MemoryWindowResults
from tests.laws.strategies import EXCLUSIONS, histories
from tests.support.histories import (
    KINDS,
    NOW_MS,
    SMALL,
    Kind,
    SetClock,
    append,
    differences,
    embedded,
    in_pieces,
    opened,
)
from tests.support.windows import Imported, TickAt, append_history

SALES = ("product_purchased", "purchase_cancelled")
ALL_MEASURES = {
    "n": Measure("count"),
    "views": Measure("ratio", of_which={"event_type": "product_viewed"}),
    "gross": Measure("sum", "amount", where={"event_type": "product_purchased"}),
    "net": Measure("sum", "net_amount"),
    "cheapest": Measure("min", "price"),
    "highest": Measure("max", "price"),
    "units": Measure("mean", "quantity"),
    "spread": Measure("variance", "price"),
    "first": Measure("first", "product_id"),
    "last": Measure("last", "category"),
    "top": Measure("top", "product_id", limit=2, entries_max=3),
    "customers": Measure("distinct", "customer_id"),
    "prices": Measure("quantiles", "price"),
}
DEFINITIONS = (
    WindowedAggregate("everything", Window(5_000), ALL_MEASURES, bound_ms=1_000, lateness_ms=2_000),
    WindowedAggregate(
        "by_product",
        Window(4_000, 1_000),
        {"n": Measure("count"), "customers": Measure("distinct", "customer_id", entries_max=1)},
        key=("product_id", "country"),
        where={"event_type": FieldTest(prefix="product_")},
        bound_ms=0,
        lateness_ms=1_000,
        keys_max=3,
    ),
    WindowedAggregate(
        "by_day",
        Window(calendar="day", timezone="Europe/Berlin"),
        {"spent": Measure("sum", "spent"), "orders": Measure("distinct", "order_id")},
        key=("category", "hour"),
        where={"event_type": SALES, "price": FieldTest(at_least=1)},
        derive={"spent": Derived(product=("price", "quantity")), "hour": Derived(hour_of_day="Europe/Berlin")},
    ),
    WindowedAggregate("minutes", Window(60_000), {"types": Measure("top", "event_type")}, lateness_ms=0, bound_ms=0),
)


NOBODY = Exclusion()


@st.composite
def ticks(draw: st.DrawFn) -> TickAt:
    """A tick of one of the two partitions, whose time and floor are near those of the events."""
    floor_ms = draw(st.one_of(st.none(), st.integers(NOW_MS - 40_000, NOW_MS + 20_000)))
    after_ms, elapsed_ms = draw(st.integers(0, 9_000)), draw(st.integers(0, 9_000))
    return TickAt(draw(st.integers(0, 1)), after_ms, elapsed_ms, floor_ms, draw(st.booleans()))


@st.composite
def ticked_histories(draw: st.DrawFn) -> list[bytes | Imported | TickAt]:
    """A history with ticks between its events, also of partitions without events; some events come from files."""
    events, are_imported = draw(histories()), draw(st.lists(st.booleans(), max_size=40))
    pairs = zip_longest(events, are_imported[: len(events)], fillvalue=False)
    found: list[bytes | Imported | TickAt] = [
        Imported(value) if is_imported else value for value, is_imported in pairs if isinstance(value, bytes)
    ]
    for tick in draw(st.lists(ticks(), max_size=6)):
        found.insert(draw(st.integers(0, len(found))), tick)
    return found


@contextmanager
def pipeline_of(
    kind: Kind, exclude: Exclusion = NOBODY, round_records_max: int = 5_000, clock: SetClock | None = None
) -> Iterator[Pipeline]:
    worker = WorkerSettings(round_records_max=round_records_max, cached_customers_max=2)
    settings = attrs.evolve(
        SMALL, worker=worker, quality=QualitySettings(exclude), analytics=AnalyticsSettings(DEFINITIONS)
    )
    with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder), settings), clock) as pipeline:
        yield pipeline


def windows_after(
    kind: Kind, pieces: Sequence[Sequence[bytes]], round_records_max: int = 5_000
) -> list[dict[str, object]]:
    with pipeline_of(kind, round_records_max=round_records_max) as pipeline:
        for piece in pieces:
            append(pipeline, piece)
            pipeline.process()
        return read(pipeline)


def read(pipeline: Pipeline) -> list[dict[str, object]]:
    return [pipeline.windows(definition.name).as_dict() for definition in DEFINITIONS]


@KINDS
@given(
    history=ticked_histories(),
    exclude=EXCLUSIONS,
    is_twice=st.booleans(),
    cuts=st.lists(st.integers(0, 40), max_size=2),
)
def test_the_windows_are_what_the_oracle_makes_of_the_log(
    kind: Kind, history: list[bytes | Imported | TickAt], exclude: Exclusion, is_twice: bool, cuts: list[int]
) -> None:
    clock = SetClock()
    with pipeline_of(kind, exclude, clock=clock) as pipeline:
        for piece in in_pieces(history * (2 if is_twice else 1), cuts):
            append_history(pipeline, clock, piece)
            pipeline.process()
        assert differences(pipeline) == []


@KINDS
@given(
    history=histories(sign_ins=False),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    round_records_max=st.integers(1, 7),
)
def test_windows_do_not_depend_on_how_the_log_is_cut(
    kind: Kind, history: list[bytes], cuts: list[int], round_records_max: int
) -> None:
    assert windows_after(kind, in_pieces(history, cuts), round_records_max) == windows_after(kind, [history])


Final = dict[tuple[str, int, tuple[str | None, ...] | None], WindowResult]


def checked_final(pipeline: Pipeline, before: Final) -> Final:
    """The windows that are final; those that were so before are as they were."""
    found = {
        (definition.name, item.start_ms, item.key): item
        for definition in DEFINITIONS
        for item in pipeline.windows(definition.name).items
    }
    assert {window: found.get(window) for window in before} == before
    return {window: item for window, item in found.items() if item.state.value == "final"}


@KINDS
@given(history=ticked_histories(), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_a_final_window_never_changes(kind: Kind, history: list[bytes | Imported | TickAt], cuts: list[int]) -> None:
    clock = SetClock()
    with pipeline_of(kind, clock=clock) as pipeline:
        final: Final = {}
        for piece in in_pieces(history, cuts):
            append_history(pipeline, clock, piece)
            pipeline.process()
            final = checked_final(pipeline, final)


@KINDS
@given(history=histories())
def test_a_store_that_is_built_again_has_the_same_windows(kind: Kind, history: list[bytes]) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        pipeline.process()
        before = read(pipeline)
        pipeline.rebuild()
        pipeline.process()
        assert read(pipeline) == before


@given(
    history=ticked_histories(),
    cuts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    lost=st.integers(0, 3),
    waits_ms=st.lists(st.integers(0, 70_000), min_size=5, max_size=5),
)
def test_what_was_final_stays_so_when_a_failover_loses_commits(
    history: list[bytes | Imported | TickAt], cuts: list[int], lost: int, waits_ms: list[int]
) -> None:
    """The cells go back to an earlier moment, as a replica that takes over may; or the results do; or both."""
    clock = SetClock()
    with pipeline_of("memory", clock=clock) as pipeline:
        container, final = pipeline.container, Final()
        cells, results = container.cells(), MemoryWindowResults(is_lossless=False)
        container.window_results.override(providers.Object(results))
        pieces = in_pieces(history, cuts)
        replica: tuple[dict[str, object], dict[str, object]] | None = None
        for number, (piece, wait_ms) in enumerate(zip(pieces, waits_ms, strict=False)):
            append_history(pipeline, clock, piece)
            pipeline.process()
            clock.at_ms += wait_ms
            final = checked_final(pipeline, final)
            if number == lost % len(pieces):
                replica = copy.deepcopy((vars(cells), vars(results)))
            elif replica is not None:
                for store, before, is_back in zip((cells, results), replica, (lost % 3 < 2, lost % 3 > 0), strict=True):
                    vars(store).update(copy.deepcopy(before) if is_back else {})
                replica = None
        pipeline.process()
        checked_final(pipeline, final)
        assert differences(pipeline) == []
