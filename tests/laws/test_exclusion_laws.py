"""Events of bots and staff: what is excluded follows from the log and the settings alone, on every embedded store."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Pipeline
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.composition.settings import QualitySettings
from realtime_pipeline.domain.profile.exclusion import Exclusion
from tests.laws.strategies import EXCLUSIONS, SESSIONS, USERS, histories
from tests.support.histories import KINDS, SMALL, Kind, append, differences, embedded, in_pieces, opened, state

EVERYBODY = Exclusion(user_agents=("mozilla",), ids=(*USERS, *SESSIONS))


@contextmanager
def pipeline_of(kind: Kind, exclude: Exclusion, round_records_max: int = 5_000) -> Iterator[Pipeline]:
    worker = WorkerSettings(round_records_max=round_records_max, cached_customers_max=2)
    settings = attrs.evolve(SMALL, worker=worker, quality=QualitySettings(exclude))
    with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder), settings)) as pipeline:
        yield pipeline


def state_after(
    kind: Kind, exclude: Exclusion, pieces: Sequence[Sequence[bytes]], round_records_max: int = 5_000
) -> dict[str, object]:
    with pipeline_of(kind, exclude, round_records_max) as pipeline:
        for piece in pieces:
            append(pipeline, piece)
            pipeline.process()
        return state(pipeline)


@KINDS
@given(history=histories(), exclude=EXCLUSIONS, is_twice=st.booleans(), cuts=st.lists(st.integers(0, 40), max_size=2))
def test_the_store_is_what_the_oracle_makes_of_the_log(
    kind: Kind, history: list[bytes], exclude: Exclusion, is_twice: bool, cuts: list[int]
) -> None:
    with pipeline_of(kind, exclude) as pipeline:
        for piece in in_pieces(history * (2 if is_twice else 1), cuts):
            append(pipeline, piece)
            pipeline.process()
        assert differences(pipeline) == []


@KINDS
@given(
    history=histories(sign_ins=False),
    exclude=EXCLUSIONS,
    cuts=st.lists(st.integers(0, 40), max_size=3),
    round_records_max=st.integers(1, 7),
)
def test_the_state_does_not_depend_on_how_the_log_is_cut(
    kind: Kind, history: list[bytes], exclude: Exclusion, cuts: list[int], round_records_max: int
) -> None:
    whole = state_after(kind, exclude, [history])
    assert state_after(kind, exclude, in_pieces(history, cuts), round_records_max) == whole


@KINDS
@given(history=histories(), exclude=EXCLUSIONS)
def test_a_store_that_is_built_again_is_the_same(kind: Kind, history: list[bytes], exclude: Exclusion) -> None:
    with pipeline_of(kind, exclude) as pipeline:
        append(pipeline, history)
        pipeline.process()
        before = state(pipeline)
        pipeline.rebuild()
        pipeline.process()
        assert state(pipeline) == before


@given(history=histories(), before=EXCLUSIONS, after=EXCLUSIONS)
def test_a_store_that_is_built_again_under_another_filter_never_takes_out_what_it_has_not_added(
    history: list[bytes], before: Exclusion, after: Exclusion
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for exclude in (before, after):
            settings = attrs.evolve(SMALL, quality=QualitySettings(exclude))
            with opened(embedded("sqlite", Path(folder), settings)) as pipeline:
                if exclude is before:
                    append(pipeline, history)
                else:
                    pipeline.rebuild()
                pipeline.process()
                after_all = state(pipeline)
                assert differences(pipeline) == []
    assert all(product.interactions >= 0 for product in after_all["products"].values())


@KINDS
@given(history=histories(sign_ins=False))
def test_a_shop_of_staff_alone_has_profiles_and_nothing_that_customers_share(kind: Kind, history: list[bytes]) -> None:
    with pipeline_of(kind, EVERYBODY) as pipeline:
        owned = [value for value in history if _has_owner(value)]
        append(pipeline, owned)
        pipeline.process()
        after = state(pipeline)
    for product in after["products"].values():  # the catalogue's own events are facts, whoever states them
        assert (product.interactions, product.ratings, product.rating_sum) == (0, 0, 0)
    for name in ("trending", "trending in Germany", "top_rated", "sessions"):
        assert not after[name], name
    assert not any(after["reviews"].values())
    assert not any(after["lists"].values())
    for customer in after["customers"].values():
        assert customer["visits"].excluded == sum(customer["visits"].counts.values())


def _has_owner(value: bytes) -> bool:
    try:
        document = msgspec.json.decode(value)
    except ValueError:
        return False
    return isinstance(document, dict) and bool(document.get("user_id") or document.get("session_id"))
