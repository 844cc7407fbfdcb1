"""However often, in whatever order and by however many programs dead letters are handled, each counts once."""

from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.maintenance.handle_dead_letters import Replay
from realtime_pipeline.domain.shop.events import ProductId
from tests.laws.strategies import histories
from tests.laws.test_pipeline_laws import pipeline_of
from tests.support.histories import NOW_MS, SMALL, append, differences, event

MENDED = ProductId("mended")


@given(history=histories(largest=8), turns=st.lists(st.sets(st.integers(0, 15)), max_size=3), resolved=st.booleans())
def test_a_letter_is_published_once(history: list[bytes], turns: list[set[int]], resolved: bool) -> None:
    """What is published in place of a letter is of nobody, so that no memory but the marks tells repeats."""
    with pipeline_of("memory") as pipeline:
        append(pipeline, [*history, *history])
        pipeline.process()
        ids = [letter.id for letter in pipeline.dead_letters(10_000)]
        repair = event(None, user=None, product=MENDED, at_ms=NOW_MS - 1)
        handled: set[str] = set()
        for turn in [*turns, *turns]:
            chosen = {ids[number] for number in turn if number < len(ids)}
            came = pipeline.replay_dead_letters(repairs=dict.fromkeys(chosen, repair))
            assert came == Replay(len(chosen - handled), len(chosen & handled))
            handled |= chosen
        open_ids = {letter.id for letter in pipeline.dead_letters(10_000)}
        assert open_ids == set(ids) - handled
        if resolved and open_ids:
            assert pipeline.resolve_dead_letters(open_ids) == len(open_ids)
            assert pipeline.replay_dead_letters(repairs=dict.fromkeys(ids, repair)) == Replay(handled=len(ids))
        pipeline.process()
        assert pipeline.container.product_queries().interactions_of([MENDED]) == (
            {MENDED: len(handled)} if handled else {}
        )
        assert differences(pipeline) == []
        ends = pipeline.container.log().bounds(range(SMALL.partitions))
        assert sum(pipeline.container.customer_queries().counts().values()) == sum(end for _, end in ends.values())
