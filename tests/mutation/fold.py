"""Safeguards of the fold."""

from tests.mutation.mutation import Mutation

MUTATIONS = [
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
        "what comes again across a sign-in counts twice for its product",
        "domain/streams/sign_in.py",
        "    effects.deltas.retract(retracted)\n",
        "",
        ("tests/test_reported_cases.py::test_a_purchase_that_is_sent_again_after_the_sign_in_counts_once",),
    ),
    Mutation(
        "one event of a clock that was ahead moves the shop's time",
        "domain/streams/watermark.py",
        "            self.newest_ms, self.largest_ms = self.largest_ms, at_ms\n",
        "            self.newest_ms = self.largest_ms = at_ms\n",
        ("tests/application/processing/test_clocks_ahead.py",),
    ),
    Mutation(
        "the shop's time may be later than the reader's clock",
        "domain/streams/watermark.py",
        "    return min(times[-2:][0], now_ms) if times else BEGINNING_OF_TIME\n",
        "    return times[-2:][0] if times else BEGINNING_OF_TIME\n",
        ("tests/domain", "tests/infrastructure/memory/test_memory.py"),
    ),
    Mutation(
        "a visitor's later events are the visitor's",
        "domain/streams/fold.py",
        "            if alias_of is not None:\n",
        "            if False:\n",
        ("tests/application/processing/test_sign_in.py",),
    ),
]
