"""What every store of windows must do: the owner's side (CellStore) and the readers' side (WindowQueries)."""

from collections.abc import Collection, Mapping

import attrs
import pytest

from realtime_pipeline.application.errors import Fenced
from realtime_pipeline.application.ports.cell_store import CellStore, Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.window_queries import CellPanes, WindowQueries
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, TIME, Notes
from realtime_pipeline.domain.analytics.panes import ChunkChanges, ChunkId, Chunks, PaneId
from realtime_pipeline.domain.streams.watermark import Watermark
from tests.contracts.cell_store import effects

LOG = LogIdentity("a", 2, "consistent")
SALES, VIEWS = "0123456789abcdef", "fedcba9876543210"
NOTES, PANE, LATER = PaneId(SALES, NOTES_MS), PaneId(SALES, 0), PaneId(SALES, 60_000)
COUNTED = ChunkId(0, ("mug", None), 0, "n")
OTHERS = ChunkId(0, None, 0, "n")
TIME_CHUNK = ChunkId(0, (), 0, "time_ms")
UNKNOWN = CellPanes(-1, None, {})
"""What a cell has of a definition that it has never counted, before its first event."""


def stored(notes: Notes) -> Chunks:
    return {chunk_id: chunk for chunk_id, chunk in notes.chunks().items() if chunk is not None}


class WindowsContract:
    """A fresh store, bound to no log."""

    cells: CellStore
    windows: WindowQueries

    def commit(self, panes: Mapping[PaneId, ChunkChanges], at: int = 0, partition: int = 0, epoch: int = 1) -> None:
        """Commit [at, at + 1) as the cell's (at + 1)-th commit."""
        changed = attrs.evolve(effects(), panes=panes)
        with self.cells.transaction():
            self.cells.commit([Commit(partition, epoch, at + 1, at, at + 1, Watermark(), changed)])

    def begin(self) -> None:
        """Bind the store to a log of two partitions, and claim both."""
        self.cells.bind(LOG)
        for partition in (0, 1):
            self.cells.claim(partition, 1)

    def starts(self, fingerprint: str) -> set[int]:
        """The starts of panes of both partitions."""
        return {start_ms for starts in self.windows.starts(fingerprint).values() for start_ms in starts}

    def read(self, fingerprint: str, starts_ms: Collection[int] = ()) -> Mapping[int, CellPanes]:
        """Read panes of both partitions."""
        return self.windows.read(fingerprint, {0: starts_ms, 1: starts_ms})

    def test_what_was_never_stored_is_empty(self) -> None:
        self.begin()
        assert self.cells.load_panes({}) == {}
        assert self.cells.load_panes({0: [TIME, NOTES, PANE], 1: [LATER]}) == {
            0: {TIME: {}, NOTES: {}, PANE: {}},
            1: {LATER: {}},
        }
        assert set(self.starts(SALES)) == set()
        assert self.read(SALES) == self.read(SALES, [0, 60_000]) == {0: UNKNOWN, 1: UNKNOWN}

    def test_a_store_without_a_log_is_read_as_empty(self) -> None:
        assert set(self.starts(SALES)) == set()
        assert all(found == UNKNOWN for found in self.read(SALES, [0]).values())
        self.begin()
        assert self.read(SALES, [0]) == {0: UNKNOWN, 1: UNKNOWN}

    def test_a_commit_writes_panes_for_the_owner_and_for_readers(self) -> None:
        self.begin()
        self.commit(
            {PANE: {COUNTED: 2, OTHERS: 1}, LATER: {COUNTED: 5}, NOTES: Notes(7, 3).chunks(), TIME: {TIME_CHUNK: 9}}
        )
        assert self.cells.load_panes({0: [PANE, LATER, NOTES, TIME]}) == {
            0: {
                PANE: {COUNTED: 2, OTHERS: 1},
                LATER: {COUNTED: 5},
                NOTES: stored(Notes(7, 3)),
                TIME: {TIME_CHUNK: 9},
            }
        }
        assert set(self.starts(SALES)) == {0, 60_000}
        assert self.read(SALES, [0, 60_000, 120_000])[0] == CellPanes(
            9, Notes(7, 3), {0: {COUNTED: 2, OTHERS: 1}, 60_000: {COUNTED: 5}}
        )

    def test_only_panes_asked_for_are_read(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2}, LATER: {COUNTED: 5}, NOTES: Notes(7).chunks()})
        assert self.cells.load_panes({0: [LATER]}) == {0: {LATER: {COUNTED: 5}}}
        assert self.read(SALES, [60_000])[0].panes == {60_000: {COUNTED: 5}}
        assert self.read(SALES)[0] == CellPanes(-1, Notes(7), {})

    def test_a_later_commit_changes_only_the_chunks_that_it_has(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2, OTHERS: 1}, NOTES: Notes(7).chunks(), TIME: {TIME_CHUNK: 9}})
        self.commit({PANE: {COUNTED: 3}, TIME: {TIME_CHUNK: 11}}, at=1)
        self.commit({}, at=2)
        assert self.read(SALES, [0])[0] == CellPanes(11, Notes(7), {0: {COUNTED: 3, OTHERS: 1}})

    def test_chunks_are_deleted(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2, OTHERS: 1}, LATER: {COUNTED: 5}})
        self.commit({PANE: {COUNTED: None, OTHERS: 3}}, at=1)
        assert self.cells.load_panes({0: [PANE, LATER]}) == {0: {PANE: {OTHERS: 3}, LATER: {COUNTED: 5}}}
        self.commit({PANE: {OTHERS: None, ChunkId(0, ("never",), 0, "n"): None}}, at=2)
        assert self.cells.load_panes({0: [PANE, LATER]}) == {0: {PANE: {}, LATER: {COUNTED: 5}}}
        assert self.read(SALES, [0, 60_000])[0].panes == {60_000: {COUNTED: 5}}
        self.commit({PANE: {COUNTED: 8}}, at=3)
        assert self.read(SALES, [0])[0].panes == {0: {COUNTED: 8}}

    @pytest.mark.parametrize("chunk", [0, -1, 2**63 - 1, -(2**63), 2**64, -(2**200), 10**300])
    def test_whole_numbers_of_any_size_are_exact(self, chunk: int) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: chunk}})
        assert self.cells.load_panes({0: [PANE]}) == {0: {PANE: {COUNTED: chunk}}}
        assert self.read(SALES, [0])[0].panes == {0: {COUNTED: chunk}}

    @pytest.mark.parametrize("chunk", [b"", b"i5", b"b", bytes(range(256)), b"\0" * 64])
    def test_bytes_are_stored_as_they_are(self, chunk: bytes) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: chunk}})
        assert self.cells.load_panes({0: [PANE]}) == {0: {PANE: {COUNTED: chunk}}}
        assert self.read(SALES, [0])[0].panes == {0: {COUNTED: chunk}}

    def test_a_chunk_may_become_another_kind(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 7, OTHERS: b"7"}})
        self.commit({PANE: {COUNTED: b"7", OTHERS: 7}}, at=1)
        assert self.cells.load_panes({0: [PANE]}) == {0: {PANE: {COUNTED: b"7", OTHERS: 7}}}

    def test_chunks_are_told_apart_by_each_part_of_their_id(self) -> None:
        ids = [
            *(ChunkId(first_ms, ("a",), 0, "n") for first_ms in (0, 1, -60_000, 2**53)),
            *(ChunkId(0, key, 0, "n") for key in (None, (), (None,), ("",), ("a", "b"), ("a,b",), ("Straße\n\0😀",))),
            *(ChunkId(0, ("a",), measure, "n") for measure in (1, 31)),
            *(ChunkId(0, ("a",), 0, name) for name in ("", "r1", "N")),
        ]
        chunks = {chunk_id: number for number, chunk_id in enumerate(ids)}
        self.begin()
        self.commit({PANE: chunks})
        assert self.cells.load_panes({0: [PANE]}) == {0: {PANE: chunks}}
        assert self.read(SALES, [0])[0].panes == {0: chunks}

    def test_definitions_are_apart(self) -> None:
        self.begin()
        self.commit(
            {
                PANE: {COUNTED: 2},
                PaneId(VIEWS, 0): {COUNTED: 3},
                PaneId(VIEWS, 120_000): {COUNTED: 4},
                NOTES: Notes(7, 1).chunks(),
                PaneId(VIEWS, NOTES_MS): Notes(8, 2).chunks(),
                TIME: {TIME_CHUNK: 9},
            }
        )
        assert (set(self.starts(SALES)), set(self.starts(VIEWS))) == ({0}, {0, 120_000})
        assert self.read(SALES, [0, 120_000])[0] == CellPanes(9, Notes(7, 1), {0: {COUNTED: 2}})
        assert self.read(VIEWS, [0])[0] == CellPanes(9, Notes(8, 2), {0: {COUNTED: 3}})
        assert self.cells.load_panes({0: [NOTES, PaneId(VIEWS, NOTES_MS), TIME]}) == {
            0: {NOTES: stored(Notes(7, 1)), PaneId(VIEWS, NOTES_MS): stored(Notes(8, 2)), TIME: {TIME_CHUNK: 9}}
        }

    def test_a_definition_never_counted_has_a_time_and_no_notes(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2}, NOTES: Notes(7).chunks(), TIME: {TIME_CHUNK: 9}})
        assert set(self.starts(VIEWS)) == set()
        assert self.read(VIEWS, [0]) == {0: CellPanes(9, None, {}), 1: UNKNOWN}

    def test_partitions_are_apart(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2}, TIME: {TIME_CHUNK: 9}})
        self.commit({PANE: {COUNTED: 3}, LATER: {OTHERS: 4}, NOTES: Notes(5).chunks()}, partition=1)
        self.commit({PANE: {COUNTED: None}}, at=1, partition=1)
        assert self.cells.load_panes({0: [PANE, LATER], 1: [PANE, LATER]}) == {
            0: {PANE: {COUNTED: 2}, LATER: {}},
            1: {PANE: {}, LATER: {OTHERS: 4}},
        }
        assert {0, 60_000} <= set(self.starts(SALES))
        assert self.read(SALES, [0, 60_000]) == {
            0: CellPanes(9, None, {0: {COUNTED: 2}}),
            1: CellPanes(-1, Notes(5), {60_000: {OTHERS: 4}}),
        }

    @pytest.mark.parametrize(("at", "epoch"), [(1, 1), (0, 2), (2, 2), (1, 3)])
    def test_a_fenced_commit_changes_nothing(self, at: int, epoch: int) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2, OTHERS: 1}, NOTES: Notes(7).chunks(), TIME: {TIME_CHUNK: 9}})
        self.cells.claim(0, 2)
        stale: dict[PaneId, ChunkChanges] = {
            PANE: {COUNTED: 5, OTHERS: None},
            LATER: {COUNTED: 1},
            NOTES: Notes(8).chunks(),
            TIME: {TIME_CHUNK: 10},
        }
        with pytest.raises(Fenced):
            self.commit(stale, at=at, epoch=epoch)
        assert set(self.starts(SALES)) == {0}
        assert self.read(SALES, [0, 60_000])[0] == CellPanes(9, Notes(7), {0: {COUNTED: 2, OTHERS: 1}})

    def test_what_is_erased_is_as_if_it_had_never_been(self) -> None:
        self.begin()
        for partition in (0, 1):
            self.commit({PANE: {COUNTED: 2}, NOTES: Notes(7).chunks(), TIME: {TIME_CHUNK: 9}}, partition=partition)
        self.cells.erase()
        assert set(self.starts(SALES)) == set()
        assert self.read(SALES, [0]) == {0: UNKNOWN, 1: UNKNOWN}
        assert self.cells.load_panes({0: [PANE, NOTES, TIME]}) == {0: {PANE: {}, NOTES: {}, TIME: {}}}

    def test_many_panes_are_read_by_one_call(self) -> None:
        self.begin()
        panes = {PaneId(SALES, number * 60_000): {COUNTED: number} for number in range(300)}
        self.commit(panes)
        starts = [pane_id.start_ms for pane_id in panes]
        assert sorted(self.starts(SALES)) == starts
        assert self.read(SALES, starts)[0].panes == {start: panes[PaneId(SALES, start)] for start in starts}
        assert self.cells.load_panes({0: list(panes)}) == {0: panes}

    def test_panes_are_purged_and_the_notes_say_so(self) -> None:
        self.begin()
        self.commit(
            {PANE: {COUNTED: 2, OTHERS: 1}, LATER: {COUNTED: 5}, NOTES: Notes(7).chunks(), TIME: {TIME_CHUNK: 9}}
        )
        self.cells.purge_panes(0, 1, SALES, [0, 120_000], 61_000)
        assert self.starts(SALES) == {60_000}
        noted = attrs.evolve(Notes(7), purged_ms=61_000)
        assert self.read(SALES, [0, 60_000])[0] == CellPanes(9, noted, {60_000: {COUNTED: 5}})
        self.commit({LATER: {COUNTED: 6}, NOTES: Notes(8).chunks(), TIME: {TIME_CHUNK: 10}}, at=1)
        assert self.windows.notes([SALES])[0].definitions == {SALES: attrs.evolve(Notes(8), purged_ms=61_000)}
        self.cells.purge_panes(0, 1, SALES, [], 62_000)
        assert self.read(SALES, [60_000])[0].panes == {60_000: {COUNTED: 6}}

    def test_panes_of_other_definitions_and_partitions_are_not_purged(self) -> None:
        self.begin()
        for partition in (0, 1):
            self.commit({PANE: {COUNTED: 2}, PaneId(VIEWS, 0): {COUNTED: 3}}, partition=partition)
        self.cells.purge_panes(0, 1, SALES, [0], 61_000)
        assert self.windows.starts(SALES) == {0: set(), 1: {0}}
        assert self.windows.starts(VIEWS) == {0: {0}, 1: {0}}
        assert {number: cell.panes for number, cell in self.read(VIEWS, [0]).items()} == {
            0: {0: {COUNTED: 3}},
            1: {0: {COUNTED: 3}},
        }

    def test_only_the_owner_purges(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2}, NOTES: Notes(7).chunks()})
        self.cells.claim(0, 2)
        for epoch in (1, 3):
            with pytest.raises(Fenced):
                self.cells.purge_panes(0, epoch, SALES, [0], 61_000)
        assert self.read(SALES, [0])[0] == CellPanes(-1, Notes(7), {0: {COUNTED: 2}})

    def test_notes_are_read_of_all_partitions(self) -> None:
        self.begin()
        self.commit({NOTES: Notes(7).chunks(), PaneId(VIEWS, NOTES_MS): Notes(8).chunks(), TIME: {TIME_CHUNK: 9}})
        self.commit({PANE: {COUNTED: 2}}, partition=1)
        found = self.windows.notes([SALES])
        assert {number: notes.counted.time_ms for number, notes in found.items()} == {0: 9, 1: -1}
        assert {number: notes.definitions for number, notes in found.items()} == {0: {SALES: Notes(7)}, 1: {}}
        assert self.windows.notes([SALES, VIEWS])[0].definitions == {SALES: Notes(7), VIEWS: Notes(8)}
        assert self.windows.notes([])[0].definitions == {}

    def test_what_was_loaded_is_a_copy(self) -> None:
        self.begin()
        self.commit({PANE: {COUNTED: 2}})
        loaded = self.cells.load_panes({0: [PANE]})[0][PANE]
        read = self.read(SALES, [0])[0].panes[0]
        self.commit({PANE: {COUNTED: 3}}, at=1)
        assert loaded == read == {COUNTED: 2}
