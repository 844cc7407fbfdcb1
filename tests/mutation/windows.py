"""Safeguards of windows: lateness, panes, keys, what counts and what does not."""

from tests.mutation.mutation import Mutation

LAWS = ("tests/test_windows.py",)

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
        "        time_ms = min(times_ms, default=BEFORE_ALL_TIME)\n",
        "        time_ms = max(times_ms, default=BEFORE_ALL_TIME)\n",
        LAWS,
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
