"""Safeguards of the fold, the use cases and SQLite."""

from tests.mutation.mutation import Mutation

EMBEDDED = [
    Mutation(
        "one verdict for a whole batch",
        "domain/streams/fold.py",
        "            if recorded.verdict is not Verdict.APPLIED:\n",
        "            self.verdict = getattr(self, 'verdict', recorded.verdict)\n"
        "            if self.verdict is not Verdict.APPLIED:\n"
        "                recorded = type(recorded)(self.verdict)\n",
        ("tests/laws/test_pipeline_laws.py::test_the_state_does_not_depend_on_how_the_log_is_cut[memory]",),
    ),
    Mutation(
        "no duplicate check",
        "domain/shop/event_memory.py",
        "        return found >= 0\n\n    def remember(",
        "        return False\n\n    def remember(",
    ),
    Mutation(
        "nothing is too old",
        "domain/shop/event_memory.py",
        "        if event.occurred_at_ms <= self.floor_ms:\n",
        "        if False:\n",
    ),
    Mutation(
        "a repair that is published again counts again",
        "domain/shop/event_memory.py",
        "        repairs.remember(digest, event.occurred_at_ms, rules.remembered_repairs, ",
        "        EventMemory().remember(digest, event.occurred_at_ms, rules.remembered_repairs, ",
    ),
    Mutation(
        "forwarded events are judged by the customer's memory",
        "domain/shop/event_memory.py",
        "            self.add_merged(digest, rules)\n",
        "            self.remember(digest, event.occurred_at_ms, rules.remembered_events, 9)\n",
        ("tests/application/test_sign_in.py",),
    ),
    Mutation(
        "what comes again across a sign-in counts twice",
        "domain/shop/repeats.py",
        "    return [one for one in history.contributions if customer.seen.knows(one.digest)]\n",
        "    return []\n",
        ("tests/test_reported_cases.py::test_a_purchase_that_is_sent_again_after_the_sign_in_counts_once",),
    ),
    Mutation(
        "a refund before its purchase is lost",
        "domain/shop/customer.py",
        "            self.hold(event.product_id, -event.quantity, event.occurred_at_ms, rules)\n",
        "            self.purchases.pop(event.product_id, None)\n",
    ),
    Mutation(
        "a history said again counts again",
        "domain/shop/sign_in.py",
        "        return position <= customer.seen.forwarded_up_to.get(partition, -1)\n",
        "        return False\n",
        ("tests/application/test_histories.py",),
    ),
    Mutation(
        "the tombstone refuses nothing",
        "domain/shop/customer.py",
        "        if event.occurred_at_ms <= self.forgotten_at_ms:\n",
        "        if False:\n",
        ("tests/application/test_sign_in.py::test_with_the_customer_their_visitors_are_forgotten",),
    ),
    Mutation(
        "products trimmed by arrival",
        "domain/shop/customer.py",
        "        del times[min([product for product, at_ms in times.items() if at_ms == first_ms])]\n",
        "        del times[next(iter(times))]\n",
        ("tests/domain/test_customer.py",),
    ),
    Mutation(
        "sessions listed by arrival, in memory",
        "infrastructure/memory/views.py",
        "                del listed[min(listed, key=lambda one: (listed[one], one))]\n",
        "                del listed[next(iter(listed))]\n",
        ("tests/infrastructure/test_memory.py",),
    ),
    Mutation(
        "sessions listed by arrival, in SQLite",
        "infrastructure/sqlite/views.py",
        'WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)"',
        'WHERE product = ?1 ORDER BY session_key DESC LIMIT ?2)"',
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "no fence, in memory",
        "infrastructure/memory/cells.py",
        "        if (commit.epoch, commit.from_position, commit.number) != ",
        "        if False and () != ",
        ("tests/infrastructure/test_memory.py",),
    ),
    Mutation(
        "no fence, in SQLite",
        "infrastructure/sqlite/cells.py",
        "            if moved.rowcount != 1:\n",
        "            if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "an earlier owner may merge",
        "infrastructure/sqlite/views.py",
        "        if any(stands.get(one.partition, (0, 0))[0] != one.epoch for one in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "a merge may be repeated",
        "infrastructure/sqlite/views.py",
        "        if any(stands[one.partition][1] != one.from_position for one in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "a round is not one transaction",
        "infrastructure/sqlite/cells.py",
        "        with self._database.transaction():\n            yield\n",
        "        yield\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "records are folded again when they are read again",
        "application/fold_records.py",
        "            if cell is not None and record.position >= cell.position:\n",
        "            if cell is not None:\n",
        ("tests/application/test_recovery.py::test_records_that_come_again_are_not_folded_again",),
    ),
    Mutation(
        "misrouted records are folded",
        "application/fold_records.py",
        "            if belongs != record.partition:\n",
        "            if False:\n",
        ("tests/application/test_process_events.py",),
    ),
    Mutation(
        "memory survives a refusal",
        "application/process_events.py",
        "        self._held.clear()\n        self._sound = False\n",
        "        self._known = {n: c.customers for n, c in self._held.items()} or getattr(self, '_known', {})\n"
        "        self._held.clear()\n        self._sound = False\n"
        "        claimed, self._claimed = type(self)._claimed, lambda them: (\n"
        "            places := claimed(self, them),\n"
        "            [self._held[n].customers.update(self._known.get(n, {})) for n in places],\n"
        "        )[0]\n",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "kept entries are not delivered",
        "application/claim_cells.py",
        "            self._readers.merge({cell.partition: cell}, self._clock.now_ms())\n",
        "",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "another log's records are folded",
        "application/process_events.py",
        "                    self._log.vouch()\n",
        "                    pass\n",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "who has caught up may owe something",
        "application/process_events.py",
        "                if any(cell.unmerged or cell.owed for cell in self._held.values()):\n",
        "                if False:\n",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "batches are not cut where a reader stands",
        "application/cells.py",
        "        return min(ahead, default=to_position)\n",
        "        return to_position\n",
        (
            "tests/application/test_recovery.py::test_views_that_are_ahead_of_a_store_which_lost_commits_are_not_told_twice",
        ),
    ),
    Mutation(
        "an acknowledged publish is undone",
        "infrastructure/sqlite/log.py",
        "            self._stages.reached(Stage.APPENDED, len(records))\n",
        "            self._stages.reached(Stage.APPENDED, len(records))\n"
        '            connection.execute("ROLLBACK"); connection.execute("BEGIN")\n',
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "an acknowledged publish is not synced",
        "infrastructure/sqlite/database.py",
        "'FULL' if durable else 'NORMAL'",
        "'OFF'",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "an interrupted poll is not read again",
        "application/process_events.py",
        "        self._sound = False  # until",
        "        # until",
        (
            "tests/application/test_process_events.py::test_after_an_error_from_elsewhere_nothing_is_lost_or_counted_twice",
        ),
    ),
    Mutation(
        "a worker whose file was taken over goes on",
        "infrastructure/sqlite/log.py",
        "        if self._subscriber is not None and token != self._token:\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "one event of a clock that was ahead moves the shop's time",
        "domain/streams/fold.py",
        "            self._newest_ms, self._largest_ms = self._largest_ms, at_ms\n",
        "            self._newest_ms = self._largest_ms = at_ms\n",
        ("tests/application/test_clocks_ahead.py",),
    ),
    Mutation(
        "the shop's time may be later than the reader's clock",
        "domain/streams/watermark.py",
        "    return min(times[-2:][0], now_ms) if times else BEGINNING_OF_TIME\n",
        "    return times[-2:][0] if times else BEGINNING_OF_TIME\n",
        ("tests/domain", "tests/infrastructure/test_memory.py"),
    ),
    Mutation(
        "what a clock that was ahead said of a product holds",
        "domain/shop/product.py",
        "    if (one[1] > latest_ms) != (other[1] > latest_ms):\n",
        "    if False:\n",
        ("tests/application/test_clocks_ahead.py",),
    ),
    Mutation(
        "a forgetting is done before its record is",
        "application/follow_forgetting.py",
        "        if stands_at <= position:\n",
        "        if False:\n",
        ("tests/application/test_forgetting.py",),
    ),
    Mutation(
        "a forgetting is done before those of its visitors are",
        "application/follow_forgetting.py",
        "HOPS: Final = 3\n",
        "HOPS: Final = 0\n",
        ("tests/application/test_forgetting.py",),
    ),
    Mutation(
        "a thread that fails is not noticed",
        "background.py",
        "                self._failure = error\n",
        "                pass\n",
        ("tests/test_pipeline.py",),
    ),
]
