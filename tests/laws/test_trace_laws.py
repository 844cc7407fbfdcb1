"""What a trace says of each record adds up to what the store has counted."""

from collections import Counter

from hypothesis import given

from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.dead_letters import find_event_id
from tests.laws.strategies import histories
from tests.laws.test_pipeline_laws import pipeline_of
from tests.support.histories import SMALL, append


@given(history=histories(largest=12))
def test_every_record_is_traced_to_the_class_it_was_counted_in(history: list[bytes]) -> None:
    with pipeline_of("memory") as pipeline:
        append(pipeline, history)
        append(pipeline, history)  # so that each has a copy
        counts = pipeline.process()
        log, name_of = pipeline.container.memory_log(), pipeline.container.decoder().default_event_id
        ids = {
            find_event_id(record.value) or name_of(record.partition, record.position)
            for partition in range(SMALL.partitions)
            for record in log.records[partition]
        }
        places: dict[tuple[int, int], RecordClass | None] = {}
        for event_id in ids:
            for copy in pipeline.trace(event_id).copies:
                assert (copy.partition, copy.position) not in places
                places[copy.partition, copy.position] = copy.record_class
        assert Counter(places.values()) == {name: count for name, count in counts.items() if count}
