"""Safeguards of publishing, of erasure, of rebuilds and of other maintenance."""

from tests.mutation.mutation import Mutation

LOST = ("tests/application/processing/test_output_positions.py",)

MUTATIONS = [
    Mutation(
        "a forgetting is done before its record is",
        "application/maintenance/follow_forgetting.py",
        "        if cell_position <= position:\n",
        "        if False:\n",
        ("tests/application/maintenance/test_forget_customer.py",),
    ),
    Mutation(
        "a forgetting is done before those of its visitors are",
        "application/maintenance/follow_forgetting.py",
        "HOPS: Final = 3\n",
        "HOPS: Final = 0\n",
        ("tests/application/maintenance/test_forget_customer.py",),
    ),
    Mutation(
        "a forgetting as of a time that is forgotten already leaves dead letters",
        "application/ports/cell_store.py",
        "self.effects.letters_forgotten,",
        "frozenset(self.effects.tombstones),",
        (
            "tests/application/maintenance/test_forget_customer.py::test_a_second_receipt_says_done_though_the_clock_was_set_back",
        ),
    ),
    Mutation(
        "a store is set back without its snapshot",
        "application/maintenance/rebuild_store.py",
        "            if any(starts.values()):\n",
        "            if False:\n",
        (
            "tests/infrastructure/sqlite/test_rebuild.py::test_a_store_is_rebuilt_from_the_snapshot_and_the_remaining_log",
        ),
    ),
    Mutation(
        "the snapshot from before outlives a rebuild of the whole log",
        "application/maintenance/rebuild_store.py",
        "                self._snapshots.erase()  #",
        "                pass  #",
        ("tests/infrastructure/sqlite/test_rebuild.py::test_a_rebuild_from_the_whole_log_deletes_the_old_snapshot",),
    ),
    Mutation(
        "a store is erased of which no snapshot has the beginning",
        "application/maintenance/rebuild_store.py",
        "        if lacking:\n",
        "        if False:\n",
        ("tests/infrastructure/sqlite/test_rebuild.py::test_a_rebuild_without_a_usable_snapshot_is_refused",),
    ),
    Mutation(
        "a letter is replaced by the repair of another log's letter",
        "application/maintenance/match_repairs.py",
        "if appended_at in (None, _appended_at(letter)))\n",
        "if True)\n",
        ("tests/interfaces/cli/test_dead_letters.py",),
    ),
    Mutation(
        "a sink's position stops at what is no event",
        "application/delivery/run_sink.py",
        "                if self._positions[partition] < read:\n",
        "                if False:\n",
        ("tests/application/delivery/test_run_sink.py::test_the_position_passes_over_what_is_no_event",),
    ),
    Mutation(
        "a store is emptied that alone knows how far outputs were",
        "application/maintenance/rebuild_store.py",
        "            if known is None and positions[partition] > 0:\n",
        "            if False:\n",
        LOST,
    ),
    Mutation(
        "a store that is built again forgets how far outputs were",
        "application/maintenance/rebuild_store.py",
        "{partition: OwnerNotes(position) for partition, position in emitted.items()}",
        "{}",
        LOST,
    ),
]
