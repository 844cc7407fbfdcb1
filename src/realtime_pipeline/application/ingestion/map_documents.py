"""MapDocuments: make events of a caller's documents by a mapping."""

from collections.abc import Mapping, Sequence

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.domain.mapping.compiled import CompiledMapping, Unmappable


class MapDocuments:
    """Makes the events of documents. Those of types that the mapping ignores become none."""

    def __init__(self, mapping: CompiledMapping) -> None:
        self._mapping = mapping

    def __call__(self, documents: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
        """Map documents; events whose documents have no id get none.

        Raises:
            InvalidEvents: a document cannot be mapped; the message gives its number, from 1, and the reason.
        """
        if isinstance(documents, Mapping) or not isinstance(documents, Sequence):
            raise InvalidEvents("events must be a list: put a single event into a list")
        events = list[Mapping[str, object]]()
        for number, document in enumerate(documents, 1):
            if not isinstance(document, Mapping):
                raise InvalidEvents(f"event {number} of {len(documents)}: it is no mapping from names to values")
            try:
                events += self._mapping(document).events
            except Unmappable as error:
                raise InvalidEvents(f"event {number} of {len(documents)}: {error}") from None
        return events
