"""Safeguards of windows: lateness, panes, keys, what counts and what does not."""

from tests.mutation.mutation import Mutation

LAWS = ("tests/test_windows.py",)
RESULTS = ("tests/test_window_results.py",)
TICKS = ("tests/test_window_ticks.py",)
LATE_EVENTS = "tests/test_late_events.py"

MUTATIONS = [
    Mutation(
        "windows forget which events were late for them",
        "domain/analytics/results.py",
        "                    if first_ms <= window_ms:\n",
        "                    if True:\n",
        LAWS,
    ),
    Mutation(
        "lateness is judged by the end of the batch",
        "application/processing/fold_records.py",
        "            cell.windows.evict()  # every commit before is written\n",
        "            for record, event in pairs:\n"
        "                if isinstance(event, Event):\n"
        "                    cell.windows.advance(event.occurred_at_ms, record.appended_at_ms)\n",
        LAWS,
    ),
    Mutation(
        "an event counts in windows where it lies and where its copy lies",
        "domain/streams/fold.py",
        "is_counted=not (recorded.excluded or event.forwarded))",
        "is_counted=not recorded.excluded)",
        LAWS,
    ),
    Mutation(
        "events of bots count in windows",
        "domain/streams/fold.py",
        "is_counted=not (recorded.excluded or event.forwarded))",
        "is_counted=not event.forwarded)",
        LAWS,
    ),
    Mutation(
        "late events are counted and not emitted",
        "domain/streams/effects.py",
        "            late_events=tuple(self.late_events),\n",
        "",
        (f"{LATE_EVENTS}::test_an_event_that_is_late_for_every_window_is_a_late_event",),
    ),
    Mutation(
        "a late event is taken for the visitor's customer, whose forgetting does not come to its partition",
        "domain/streams/fold.py",
        "                self.effects.add_late(record, event, missed, windows.time_ms)\n",
        "                self.effects.add_late(record, counted, missed, windows.time_ms)\n",
        (f"{LATE_EVENTS}::test_a_visitors_event_is_late_where_it_lies_and_goes_with_the_customer",),
    ),
    Mutation(
        "late events of a forgotten customer stay in the file",
        "infrastructure/sqlite/outputs.py",
        '    connection.execute("DELETE FROM late_events WHERE partition = ? AND customer_id = ?", outputs_of)\n',
        "",
        ("tests/infrastructure/sqlite/test_sqlite.py::TestSqliteOutputs",),
    ),
    Mutation(
        "late events that wait to be emitted stay when their customer is forgotten",
        "application/processing/owned_cell.py",
        "            late_events = tuple(late for late in late_events if late.customer_id not in entry.forgotten)\n",
        "",
        (f"{LATE_EVENTS}::test_a_late_event_that_waits_to_be_emitted_goes_with_its_customer",),
    ),
    Mutation(
        "keys are kept by the order in which they come",
        "domain/analytics/panes.py",
        "        if own < hashes[0][0]:\n",
        "        if True:\n",
        ("tests/domain/analytics/test_panes.py",),
    ),
    Mutation(
        "what another worker did not count is taken for counted",
        "domain/analytics/pane_table.py",
        "        is_next = stored.number == number\n",
        "        is_next = True\n",
        ("tests/test_window_reading.py",),
    ),
    Mutation(
        "a definition that another worker did not have is taken for counted",
        "domain/analytics/pane_table.py",
        "dict.fromkeys(stored.fingerprints - self._counted.keys(), stored.time_ms)",
        "{}",
        ("tests/test_window_reading.py",),
    ),
    Mutation(
        "chunks follow the order of measures in the settings",
        "domain/analytics/compiled.py",
        "tuple(sorted(definition.measures.items()))",
        "tuple(definition.measures.items())",
        ("tests/test_window_reading.py",),
    ),
    Mutation(
        "a partition that has not come so far does not hold a window open",
        "application/serving/read_windows.py",
        "        time_ms = min((found.counted_ms",
        "        time_ms = max((found.counted_ms",
        LAWS,
    ),
    Mutation(
        "the watermarks of views decide which windows are final",
        "composition/use_cases.py",
        "    return ReadWindows(provided.window_queries(), provided.window_results(),",
        "    queries, watermarks = provided.window_queries(), provided.product_queries().watermarks()\n"
        "    read = queries.notes\n"
        "    def by_views(names):\n"
        "        times = {number: watermark.at_ms for number, watermark in watermarks.items()}\n"
        "        return {\n"
        "            number: attrs.evolve(cell, counted=attrs.evolve(cell.counted, time_ms=times.get(number, -1)))\n"
        "            for number, cell in read(names).items()\n"
        "        }\n"
        "    queries.notes = by_views\n"
        "    return ReadWindows(queries, provided.window_results(),",
        LAWS,
    ),
    Mutation(
        "panes are purged before results are written",
        "application/processing/purge_windows.py",
        "            settled_ms = written[fingerprint].settled_ms\n",
        "            settled_ms = min(found.counted_ms(fingerprint) for found in notes.values())\n",
        RESULTS,
    ),
    Mutation(
        "results are taken for safe as soon as they are written",
        "application/processing/emit_windows.py",
        "        self._settle_ms = 0 if results.is_lossless else settings.settle_ms\n",
        "        self._settle_ms = 0\n",
        RESULTS,
    ),
    Mutation(
        "panes of windows whose results are written are read as if they were whole",
        "application/merged_windows.py",
        "        if final_ms <= purged_ms:\n",
        "        if False:\n",
        RESULTS,
    ),
    Mutation(
        "a list of windows to write outlives a failover that lost results",
        "application/processing/emit_windows.py",
        "        if due is not None and due.written != emitted:\n",
        "        if False:\n",
        RESULTS,
    ),
    Mutation(
        "a rebuild replaces whole results by partial ones",
        "application/processing/emit_windows.py",
        "        return [result for window, results in merged.items() if window not in whole for result in results]\n",
        "        return [result for results in merged.values() for result in results]\n",
        RESULTS,
    ),
    Mutation(
        "a wrong date in a file moves time",
        "domain/analytics/pane_table.py",
        "        if is_imported:\n",
        "        if False:\n",
        LAWS,
    ),
    Mutation(
        "the floor of a tick counts although records came in between",
        "domain/streams/fold.py",
        "                is_next = decoded.seen_ms == clock.appended_at_ms\n",
        "                is_next = True\n",
        TICKS,
    ),
    Mutation(
        "a tick moves time by more than has passed",
        "domain/analytics/pane_table.py",
        "            at_ms += max(0, min(elapsed_ms, appended_at_ms - self._risen_ms))\n",
        "            at_ms += elapsed_ms\n",
        TICKS,
    ),
    Mutation(
        "ticks go on while all producers are silent",
        "application/processing/write_ticks.py",
        "        return newest_ms <= 0 or self._clock.now_ms() - newest_ms > self._settings.silence_ms\n",
        "        return newest_ms <= 0\n",
        TICKS,
    ),
    Mutation(
        "units that are given back are sold",
        "domain/analytics/shipped.py",
        'Measure("sum", "quantity", where=_PURCHASE)',
        'Measure("sum", "quantity")',
        ("tests/test_shipped_windows.py",),
    ),
    Mutation(
        "what is counted does not depend on the settings",
        "composition/settings.py",
        "windows=self.analytics.definitions)",
        "windows=self.analytics.windows)",
        ("tests/composition/test_analytics_settings.py",),
    ),
]
