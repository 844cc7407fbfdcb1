"""`evaluate`: models side by side on visits that were held back."""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final, Self

import attrs

from harness.evaluation.metrics import MEASURES, Scorecard
from harness.evaluation.models import AssociationRules, Model, Popularity, SequentialRules
from harness.evaluation.protocols import PROTOCOLS, counted
from harness.evaluation.served import Served
from harness.evaluation.session_neighbours import STAN, VSKNN_RETAILROCKET, VSTAN, Stan, Vsknn, VsknnSettings
from harness.evaluation.visits import Visit, split, visits_of
from harness.support.console import console, heading, progress
from harness.support.errors import HarnessError
from realtime_pipeline import Settings, load_settings

MODELS: Final[Mapping[str, Callable[[Settings], Model]]] = {
    "served": lambda settings: Served(settings.recommendations.neighbours, settings.fold.profile),
    "vsknn": lambda _: Vsknn(VsknnSettings()),
    "vsknn-retailrocket": lambda _: Vsknn(VSKNN_RETAILROCKET),
    "stan": lambda _: Stan(STAN),
    "vstan": lambda _: Stan(VSTAN),
    "ar": lambda _: AssociationRules(),
    "sr": lambda _: SequentialRules(),
    "popularity": lambda _: Popularity(),
}


WITH_INTERVAL: Final = ("HR", "MRR")
"""Shown with their intervals; those of the others are among the figures."""


@attrs.frozen
class Result:
    """What one model came to."""

    predictions: int
    means: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    coverage: float
    popularity: float
    cpu_ms: float

    @classmethod
    def of(cls, card: Scorecard, counts: Mapping[str, int], rng: Random, cpu_s: float) -> Self:
        """Sum a scorecard up; `cpu_s` is what learning and answering took."""
        return cls(
            card.predictions,
            card.means(),
            card.intervals(rng),
            card.coverage(len(counts)),
            card.popularity(counts),
            1000 * cpu_s / card.predictions,
        )


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Let each model learn and be asked, and show what came of it."""
    settings = load_settings(options.settings)
    learnt, tested = _visits(options, settings)
    counts = counted([*learnt, *tested] if options.protocol == "prequential" else learnt)
    heading(
        f"{len(learnt):,} visits learnt from, {len(tested):,} tested, {len(counts):,} products; "
        f"protocol {options.protocol}, lists of {options.k}"
    )
    results: dict[str, Result] = {}
    with progress() as bars:
        for name in options.models:
            bar = bars.add_task(name, total=None)
            began_s = time.process_time()
            card = PROTOCOLS[options.protocol](
                MODELS[name](settings), learnt, tested, options.k, partial(bars.advance, bar)
            )
            cpu_s = time.process_time() - began_s
            bars.update(bar, total=card.predictions)
            if not card.predictions:
                raise HarnessError("nothing can be asked: no visit tested has two products that were seen before")
            results[name] = Result.of(card, counts, Random(options.seed), cpu_s)
    _show(results, options.k)
    models = {name: attrs.asdict(result) for name, result in results.items()}
    return {"protocol": options.protocol, "k": options.k, "models": models}


def _visits(options: argparse.Namespace, settings: Settings) -> tuple[list[Visit], list[Visit]]:
    if (options.train is None) != (options.test is None) or (options.train is None) == (options.data is None):
        raise HarnessError("name either --train and --test, or --data, to be split by time")
    if options.data is not None:
        return split(visits_of(options.data, options.format, settings), options.tested)
    learnt, tested = (visits_of(files, options.format, settings) for files in (options.train, options.test))
    both = {visit.key for visit in learnt} & {visit.key for visit in tested}
    if both:
        raise HarnessError(
            f"{len(both)} visits are in --train and --test, {min(both)} for one: what is to be foreseen?"
        )
    return learnt, tested


def _show(results: Mapping[str, Result], length: int) -> None:
    names = [f"{measure}@{length}" for measure in MEASURES]
    widths = [14 if measure in WITH_INTERVAL else 8 for measure in MEASURES]
    heads = "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    console.print(f"{'model':<20}{heads}{'cover':>7}{'pop':>6}{'CPU ms':>8}")
    for name, result in results.items():
        cells = ""
        for measure, width in zip(MEASURES, widths, strict=True):
            cell = _short(result.means[measure])
            if measure in WITH_INTERVAL:
                low, high = result.intervals[measure]
                cell += f" ±{_short((high - low) / 2)}"
            cells += f"{cell:>{width}}"
        rest = f"{result.coverage:>7.0%}{result.popularity:>6.2f}{result.cpu_ms:>8.2f}"
        console.print(f"{name:<20}{cells}{rest}")
    predictions = next(iter(results.values())).predictions
    console.print(f"\n{predictions:,} lists a model; ± is half of a 95 % bootstrap interval over visits")
    console.print("cover: share of the products ever recommended; pop: how popular those are, 1 is the most popular")


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
