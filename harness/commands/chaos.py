"""`chaos`: rounds of faults, and what came of each."""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from harness.chaos.cluster_under_test import ClusterUnderTest, Servers, servers
from harness.chaos.rounds import KINDS, OUTBOX_RETENTION_MS, Outcome
from harness.support.console import console, heading, percentile
from harness.support.errors import HarnessError
from realtime_pipeline import PipelineError

SHORT_KEPT_MS = 500
FAILURES = (HarnessError, PipelineError, OSError)
"""What fails a round, and leaves the next one to be played."""


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Play rounds, one kind after the other, beginning anywhere; each has dice of its own."""
    names = list(KINDS) if options.kind is None else [options.kind]
    failed: list[dict[str, object]] = []
    outcomes: list[tuple[str, Outcome]] = []
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder,
        servers(Path(folder)) as running,
    ):
        for number in range(options.first, options.first + options.rounds):
            name = names[(options.seed + number) % len(names)]
            began_s = time.monotonic()
            outcome, found = _play(Path(folder), running, options.seed, number, name)
            verdict = "as it must be"
            if found:
                verdict = f"FAILED (--seed {options.seed} --first {number} --rounds 1 --kind '{name}')"
                failed.append({"round": number, "kind": name, "found": found})
            if outcome is not None:
                outcomes.append((name, outcome))
                if outcome.recovery_s is not None:
                    verdict += f", back in {outcome.recovery_s:.1f} s"
            console.print(f"  {number:>4} {name:<22} {verdict}, {time.monotonic() - began_s:.0f} s in all")
            for line in found:
                console.print(f"         {line}")
    return _figures(options, outcomes, failed)


def _play(folder: Path, running: Servers, seed: int, number: int, name: str) -> tuple[Outcome | None, list[str]]:
    """Play a round; say what came of it, and what was wrong: also where servers do not answer, or cannot be cleared."""
    dice, mark = Random(f"{seed}:{number}"), f"chaos-{seed}-{number}"
    outcome: Outcome | None = None
    found: list[str] = []
    try:
        arena = ClusterUnderTest(
            folder / f"round-{number}", running, mark, dice, OUTBOX_RETENTION_MS.get(name, SHORT_KEPT_MS)
        )
    except FAILURES as error:
        return None, [f"the round could not begin: {error}"]
    try:
        outcome = KINDS[name](arena)
        found = arena.differences() if outcome.is_compared else []
    except FAILURES as error:
        found = [str(error), *arena.said()]
    finally:
        try:
            arena.close()
        except FAILURES as error:
            found.append(f"the round could not be cleared away: {error}")
    return outcome, found


def _figures(
    options: argparse.Namespace, outcomes: list[tuple[str, Outcome]], failed: list[dict[str, object]]
) -> Mapping[str, object]:
    recovered = [outcome.recovery_s for _, outcome in outcomes if outcome.recovery_s is not None]
    late = [
        f"{name}: {outcome.recovery_s:.1f} s, should be at most {outcome.bound_s:.0f}"
        for name, outcome in outcomes
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
