"""What holds for every history, on every embedded store."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec
from dependency_injector import providers
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog
from tests.laws.strategies import PRODUCTS, has_id_and_owner, histories, is_of_catalogue
from tests.support.histories import KINDS, SMALL, Kind, append, differences, embedded, in_pieces, opened, state

PRODUCT_IDS = [ProductId(name) for name in PRODUCTS]


@contextmanager
def pipeline_of(kind: Kind, round_records_max: int = 5_000) -> Iterator[Pipeline]:
    settings = attrs.evolve(SMALL, worker=WorkerSettings(round_records_max=round_records_max, cached_customers_max=2))
    with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder), settings)) as pipeline:
        yield pipeline


def records_in(pipeline: Pipeline) -> int:
    return sum(end for _, end in pipeline.container.log().bounds(range(SMALL.partitions)).values())


def state_after(kind: Kind, pieces: Sequence[Sequence[bytes]], round_records_max: int = 5_000) -> dict[str, object]:
    with pipeline_of(kind, round_records_max) as pipeline:
        for piece in pieces:
            append(pipeline, piece)
            pipeline.process()
        return state(pipeline)


@KINDS
@given(history=histories())
def test_the_store_is_what_the_oracle_makes_of_the_log(kind: Kind, history: list[bytes]) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        counts = pipeline.process()
        assert sum(counts.values()) == records_in(pipeline) >= len(history)
        assert differences(pipeline) == []


@KINDS
@given(
    history=histories(sign_ins=False),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    round_records_max=st.integers(1, 7),
)
def test_the_state_does_not_depend_on_how_the_log_is_cut(
    kind: Kind, history: list[bytes], cuts: list[int], round_records_max: int
) -> None:
    whole = state_after(kind, [history])
    assert state_after(kind, in_pieces(history, cuts), round_records_max) == whole


@given(history=histories(sign_ins=False), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_memory_sqlite_and_redis_end_equal(history: list[bytes], cuts: list[int]) -> None:
    in_memory = state_after("memory", in_pieces(history, cuts))
    assert in_memory == state_after("sqlite", [history])
    assert in_memory == state_after("redis", [history])


@given(history=histories(sign_ins=False), turns=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=8))
def test_the_state_does_not_depend_on_how_partitions_take_turns(history: list[bytes], turns: list[int]) -> None:
    """Two workers, one a partition, in any order; each claims its cell again whenever it is its turn."""
    in_one_go = state_after("memory", [history])
    with pipeline_of("memory", round_records_max=3) as pipeline:
        container = pipeline.container
        append(pipeline, history)
        for turn in [*turns, 0, 1]:
            container.log.override(providers.Object(MemoryEventLog(container.memory_log(), [turn])))
            container.process_events.reset()
            worker = container.process_events()
            if turn == turns[-1]:
                container.worker().catch_up()
            else:
                worker(0)
        for turn in (0, 1):
            container.log.override(providers.Object(MemoryEventLog(container.memory_log(), [turn])))
            container.process_events.reset()
            container.worker().catch_up()
        assert state(pipeline) == in_one_go


@KINDS
@given(history=histories(garbage=False), suffix=st.integers(0, 40))
def test_publishing_any_suffix_again_changes_no_customer(kind: Kind, history: list[bytes], suffix: int) -> None:
    """Events with an id and a customer; what nobody owns cannot be told from news."""
    owned = [value for value in history if has_id_and_owner(value)]
    with pipeline_of(kind) as pipeline:
        append(pipeline, owned)
        pipeline.process()
        before = state(pipeline)
        again = owned[suffix % (len(owned) + 1) :]
        append(pipeline, again)
        pipeline.process()
        after = state(pipeline)
    for name in ("customers", "sessions", "reviews", "products", "lists", "trending", "top_rated", "interactions"):
        assert after[name] == before[name], name
    refused = (RecordClass.DUPLICATE, RecordClass.FORGOTTEN, RecordClass.DEAD_LETTER, RecordClass.IGNORED)
    grown = sum(after["counts"].get(name, 0) - before["counts"].get(name, 0) for name in refused)
    assert grown == len(again)


@KINDS
@given(history=histories(garbage=False), suffix=st.integers(0, 40))
def test_catalogue_events_that_come_again_change_nothing(kind: Kind, history: list[bytes], suffix: int) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        pipeline.process()
        before = state(pipeline)
        stated = [value for value in history if is_of_catalogue(value)]
        append(pipeline, stated[suffix % (len(stated) + 1) :])
        pipeline.process()
        after = state(pipeline)
        assert differences(pipeline) == []
    for name in ("customers", "products", "listings", "lists", "trending", "top_rated", "interactions"):
        assert after[name] == before[name], name


@KINDS
@given(history=histories(), back_to=st.integers(0, 20))
def test_reading_the_log_again_changes_nothing(kind: Kind, history: list[bytes], back_to: int) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        pipeline.process()
        before = state(pipeline)
        log = pipeline.container.log()
        log.seek({p: min(back_to, end) for p, (_, end) in log.bounds(range(2)).items()})
        pipeline.process()
        assert state(pipeline) == before


@KINDS
@given(history=histories(sign_ins=False), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_a_worker_that_takes_over_goes_on_exactly_where_the_last_one_stood(
    kind: Kind, history: list[bytes], cuts: list[int]
) -> None:
    with pipeline_of(kind) as pipeline:
        for piece in in_pieces(history, cuts):
            append(pipeline, piece)
            pipeline.container.log.reset()
            pipeline.container.process_events.reset()
            pipeline.process()
        assert differences(pipeline) == []


@KINDS
@given(history=histories(), again=histories(first=100))
def test_a_store_that_is_built_again_is_the_same(kind: Kind, history: list[bytes], again: list[bytes]) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        pipeline.process()
        before = state(pipeline)
        assert pipeline.rebuild() == records_in(pipeline)
        assert state(pipeline)["customers"] == {}
        pipeline.process()
        assert state(pipeline) == before
        append(pipeline, again)
        pipeline.process()
        assert differences(pipeline) == []


@KINDS
@given(history=histories(garbage=False))
def test_nothing_of_a_forgotten_customer_is_left(kind: Kind, history: list[bytes]) -> None:
    with pipeline_of(kind) as pipeline:
        append(pipeline, history)
        pipeline.process()
        keys = {
            key
            for customer in pipeline.container.customer_queries().scan()
            if customer.customer_id == "ada"
            for key in [*customer.visits.closed_sessions, *(session.key for session in customer.visits.open_sessions)]
        }
        pipeline.forget("ada")
        pipeline.process()
        assert "ada" not in state(pipeline)["customers"]
        assert pipeline.container.customer_queries().session_summaries(keys) == {}
        assert pipeline.container.customer_queries().reviews("ada") == []  # type: ignore[arg-type]
        append(pipeline, history)  # a replay of everything must not bring them back
        pipeline.process()
        assert "ada" not in state(pipeline)["customers"]


def model_of(pipeline: Pipeline) -> dict[ProductId, list[tuple[int, object]]]:
    """What neighbours are found by: the sessions listed for each product that are there, whatever their numbers."""
    model: dict[ProductId, list[tuple[int, object]]] = {}
    for product_id, entries in pipeline.container.product_queries().sessions_of(PRODUCT_IDS, 1_000).items():
        trails = pipeline.container.customer_queries().session_summaries(entries.keys())
        model[product_id] = sorted(((at_ms, trails[key]) for key, at_ms in entries.items() if key in trails), key=repr)
    return model


@KINDS
@given(history=histories(garbage=False, sign_ins=False), round_records_max=st.integers(1, 50))
def test_after_a_forgetting_the_model_is_that_of_a_shop_which_never_saw_the_customer(
    kind: Kind, history: list[bytes], round_records_max: int
) -> None:
    settings = Settings(partitions=2, worker=WorkerSettings(round_records_max=round_records_max))
    others = [value for value in history if msgspec.json.decode(value).get("user_id") != "ada"]
    models = []
    for events in (history, others):
        with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder), settings)) as pipeline:
            append(pipeline, events)
            if events is history and round_records_max % 2:  # else all of it is folded in one go
                pipeline.process()
            forgetting = pipeline.forget("ada")
            pipeline.process()
            assert pipeline.receipt(forgetting).is_done
            assert differences(pipeline) == []
            models.append(model_of(pipeline))
    assert models[0] == models[1]
