"""What every log keeps its word on when a source's records are written to it."""

import pytest

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source_publisher import SourcePublisher


def records(*values: str) -> list[Outgoing]:
    return [Outgoing(b"ada", value.encode(), f"{value}.jsonl:1") for value in values]


class SourcePublisherContract:
    """A log without records."""

    def publisher(self, source: str) -> SourcePublisher:
        """A publisher of a source, as a process opens it."""
        raise NotImplementedError

    def values(self) -> list[str]:
        """The values of all records of the log, in the order of their partition."""
        raise NotImplementedError

    def test_a_source_has_no_positions_at_first(self) -> None:
        assert self.publisher("shop").claim() == {}

    def test_records_and_positions_are_stored_together(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        publisher.publish(records("a", "b"), {"file-1": "2"})
        publisher.publish(records("c"), {"file-1": "3", "file-2": "1"})
        publisher.close()
        assert self.values() == ["a", "b", "c"]
        assert self.publisher("shop").claim() == {"file-1": "3", "file-2": "1"}

    def test_positions_move_without_records(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        publisher.publish([], {"file-1": "9"})
        assert (self.values(), self.publisher("shop").claim()) == ([], {"file-1": "9"})

    def test_sources_do_not_see_each_other(self) -> None:
        first, second = self.publisher("shop"), self.publisher("till")
        assert (first.claim(), second.claim()) == ({}, {})
        first.publish(records("a"), {"part": "1"})
        second.publish(records("b"), {"part": "7"})
        first.publish(records("c"), {"part": "2"})
        assert (self.publisher("shop").claim(), self.publisher("till").claim()) == ({"part": "2"}, {"part": "7"})
        assert sorted(self.values()) == ["a", "b", "c"]

    def test_a_later_claim_ends_an_earlier_one(self) -> None:
        first, second = self.publisher("shop"), self.publisher("shop")
        first.claim()
        first.publish(records("a"), {"part": "1"})
        assert second.claim() == {"part": "1"}
        with pytest.raises(UnrecoverableState, match="another process reads shop now: let only one run"):
            first.publish(records("b"), {"part": "2"})
        second.publish(records("c"), {"part": "2"})
        assert (self.values(), self.publisher("shop").claim()) == (["a", "c"], {"part": "2"})

    def test_a_publisher_may_claim_again(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        publisher.publish(records("a"), {"part": "1"})
        assert publisher.claim() == {"part": "1"}
        publisher.publish(records("b"), {"part": "2"})
        assert (self.values(), publisher.claim()) == (["a", "b"], {"part": "2"})

    def test_positions_are_any_text(self) -> None:
        publisher, part, position = self.publisher('folder/ä "x"'), "日本 :\n", '{"line": 3, "seen": ["ü"]}'
        publisher.claim()
        publisher.publish([], {part: position})
        assert self.publisher('folder/ä "x"').claim() == {part: position}
