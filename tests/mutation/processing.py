"""Safeguards of the worker: claims, commits and the relay."""

from tests.mutation.mutation import Mutation

RELAY = ("tests/application/processing/test_outbox_relay.py", "tests/application/processing/test_relay_schedule.py")
CLAIMS = ("tests/application/processing/test_claim_cells.py",)
RECOVERY = ("tests/application/processing/test_recovery.py",)
BACKOFF = ("tests/application/processing/test_backoff.py",)
LOST = ("tests/application/processing/test_output_positions.py",)
LOST_OFFSETS = "tests/integration/test_lost_offsets.py"

MUTATIONS = [
    Mutation(
        "records are folded again when they are read again",
        "application/processing/fold_records.py",
        "            if cell is not None and record.position >= cell.position:\n",
        "            if cell is not None:\n",
        (
            "tests/application/processing/test_process_records.py::test_records_that_are_polled_again_are_not_folded_again",
        ),
    ),
    Mutation(
        "misrouted records are folded",
        "application/processing/fold_records.py",
        "            if belongs != record.partition:\n",
        "            if False:\n",
        ("tests/application/processing/test_fold_records.py",),
    ),
    Mutation(
        "memory survives a refusal",
        "application/processing/ownership.py",
        "        self.cells.clear()\n        self._memory_is_valid = False\n",
        "        self._known = {n: c.customers for n, c in self.cells.items()} or getattr(self, '_known', {})\n"
        "        self.cells.clear()\n"
        "        self._memory_is_valid = False\n"
        "        claimed, self._claim = type(self)._claim, lambda them: (\n"
        "            places := claimed(self, them),\n"
        "            [self.cells[n].customers.update(self._known.get(n, {})) for n in places],\n"
        "        )[0]\n",
        ("tests/application/processing/test_ownership.py",),
    ),
    Mutation(
        "kept entries are not delivered",
        "application/processing/claim_cells.py",
        "            self._relay.merge({cell.partition: cell}, self._clock.now_ms())\n",
        "",
        ("tests/application/processing/test_recovery.py",),
    ),
    Mutation(
        "another log's records are folded",
        "application/processing/process_records.py",
        "                    self._log.verify_identity()\n",
        "                    pass\n",
        ("tests/application/processing/test_process_records.py",),
    ),
    Mutation(
        "who has caught up may owe something",
        "application/processing/worker.py",
        "        if any(cell.unmerged or cell.pending_emission for cell in cells.values()):\n",
        "        if False:\n",
        ("tests/application/processing/test_worker.py",),
    ),
    Mutation(
        "batches are not cut where a reader stands",
        "application/processing/owned_cell.py",
        "        return min(ahead, default=to_position)\n",
        "        return to_position\n",
        (
            "tests/application/processing/test_recovery.py::test_views_ahead_of_cells_that_lost_commits_merge_nothing_twice",
        ),
    ),
    Mutation(
        "an interrupted poll is not read again",
        "application/processing/ownership.py",
        "        self._memory_is_valid = False\n\n    def end_round",
        "        pass\n\n    def end_round",
        (
            "tests/application/processing/test_process_events.py::test_a_round_after_an_unexpected_error_loses_and_doubles_nothing",
        ),
    ),
    Mutation(
        "a snapshot is read on when its worker has ended",
        "application/processing/process_events.py",
        "            self._upkeep.end()  # whoever catches this may never call again\n",
        "",
        (
            "tests/infrastructure/sqlite/test_snapshots.py::test_the_wal_can_be_reset_after_a_worker_ends_during_a_snapshot",
        ),
    ),
    Mutation(
        "entries go before the readers have them",
        "application/processing/outbox_relay.py",
        " and cell.outbox[0].to_position <= min(reported):\n",
        ":\n",
        RELAY,
    ),
    Mutation(
        "entries go at once",
        "application/processing/owned_cell.py",
        "not 0 <= now_ms - self.outbox[0].since_ms < retention_ms",
        "now_ms > 0",
        RECOVERY,
    ),
    Mutation(
        "nobody looks back",
        "application/processing/outbox_relay.py",
        "            if any(found < wanted for found, wanted in zip(reported, expected, strict=True)):\n",
        "            if False:\n",
        RELAY,
    ),
    Mutation(
        "a missing cell is created again",
        "application/processing/claim_cells.py",
        "            if not found:\n",
        "            if False:\n",
        CLAIMS,
    ),
    Mutation(
        "without an answer all is well",
        "application/processing/process_events.py",
        "            self._drop_memory()\n"
        "            self._wait(self._backoff.after_silence(silence, self._clock.now_ms()))\n",
        "            self.ownership.end_round()\n",
        BACKOFF,
    ),
    Mutation(
        "how far outputs were emitted is not noted",
        "application/processing/outbox_relay.py",
        "                self.cells.write_notes(changed)\n",
        "                pass\n",
        LOST,
    ),
    Mutation(
        "outputs that may be out are not looked for",
        "application/processing/output_positions.py",
        "        found = search([_emission(entry) for entry in unconfirmed], _since_ms(unconfirmed[0]))\n",
        "        found = unconfirmed[0].from_position\n",
        LOST,
    ),
    Mutation(
        "outputs that cannot be found are emitted again",
        "application/processing/output_positions.py",
        "        if found is not None:\n",
        "        found = found or 0\n        if True:\n",
        LOST,
    ),
    Mutation(
        "a store that lost commits guesses how far its outputs were",
        "application/processing/output_positions.py",
        "    has_lost_commits = furthest > position  # outputs",
        "    has_lost_commits = False  # outputs",
        LOST,
    ),
    Mutation(
        "marks of transactions that are gone are taken for records",
        "application/processing/claim_cells.py",
        "            if noted.empty_from <= cell.position and first <= noted.empty_to:\n",
        "            if False:\n",
        (f"{LOST_OFFSETS}::test_a_truncated_log_does_not_matter_when_all_its_records_are_processed",),
    ),
]
