"""`chaos`: runs rounds of faults on real servers, and compares the stores after each."""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from harness.chaos.cluster_under_test import ClusterUnderTest
from harness.chaos.rounds import OUTBOX_RETENTION_MS, ROUNDS, SHORT_RETENTION_MS
from harness.chaos.servers import Servers, servers
from harness.chaos.steps import Outcome
from harness.support.console import console, heading, percentile
from harness.support.errors import HarnessError
from realtime_pipeline import PipelineError

ROUND_ERRORS = (HarnessError, PipelineError, OSError)
"""Errors that fail a round; the next round is run all the same."""


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Run rounds, one kind after the other. Each round has random numbers of its own, by the seed and its number."""
    kinds = list(ROUNDS) if options.kind is None else [options.kind]
    failed: list[dict[str, object]] = []
    outcomes: list[tuple[str, Outcome]] = []
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder,
        servers(Path(folder)) as running,
    ):
        for number in range(options.first, options.first + options.rounds):
            kind = kinds[(options.seed + number) % len(kinds)]
            began_s = time.monotonic()
            outcome, problems = _run_round(Path(folder), running, options.seed, number, kind)
            verdict = "passed"
            if problems:
                verdict = f"FAILED (--seed {options.seed} --first {number} --rounds 1 --kind '{kind}')"
                failed.append({"round": number, "kind": kind, "found": problems})
            if outcome is not None:
                outcomes.append((kind, outcome))
                if outcome.recovery_s is not None:
                    verdict += f", recovered in {outcome.recovery_s:.1f} s"
            console.print(f"  {number:>4} {kind:<22} {verdict}, {time.monotonic() - began_s:.0f} s in all")
            for line in problems:
                console.print(f"         {line}")
    return _figures(options, outcomes, failed)


def _run_round(folder: Path, running: Servers, seed: int, number: int, kind: str) -> tuple[Outcome | None, list[str]]:
    """Run a round; return its outcome and a line for each problem, also where servers do not answer."""
    rng, name = Random(f"{seed}:{number}"), f"chaos-{seed}-{number}"
    outcome: Outcome | None = None
    problems: list[str] = []
    try:
        cluster = ClusterUnderTest(
            folder / f"round-{number}", running, name, rng, OUTBOX_RETENTION_MS.get(kind, SHORT_RETENTION_MS)
        )
    except ROUND_ERRORS as error:
        return None, [f"the round could not begin: {error}"]
    try:
        outcome = ROUNDS[kind](cluster)
        problems = cluster.differences() if outcome.is_compared else []
    except ROUND_ERRORS as error:
        problems = [str(error), *cluster.worker_outputs()]
    finally:
        try:
            cluster.close()
        except ROUND_ERRORS as error:
            problems.append(f"the round could not be cleaned up: {error}")
    return outcome, problems


def _figures(
    options: argparse.Namespace, outcomes: list[tuple[str, Outcome]], failed: list[dict[str, object]]
) -> Mapping[str, object]:
    recovered = [outcome.recovery_s for _, outcome in outcomes if outcome.recovery_s is not None]
    late = [
        f"{kind}: {outcome.recovery_s:.1f} s, should be at most {outcome.bound_s:.0f}"
        for kind, outcome in outcomes
        if outcome.recovery_s is not None and outcome.bound_s is not None and outcome.recovery_s > outcome.bound_s
    ]
    heading(f"{options.rounds} rounds, seed {options.seed}: {len(failed)} failed")
    figures: dict[str, object] = {
        "rounds": options.rounds,
        "seed": options.seed,
        "failed": failed,
        "ok": not failed and not late,
    }
    if recovered:
        p50, p99 = percentile(recovered, 0.5), percentile(recovered, 0.99)
        console.print(f"  recovery  {p50:.1f} s (p50), {p99:.1f} s (p99) of {len(recovered)} rounds")
        figures["recovery_s"] = {"p50": p50, "p99": p99, "late": late}
    for line in late:
        console.print(f"  late      {line}")
    return figures
