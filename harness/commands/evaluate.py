"""`evaluate`: compares models on visits that were held back for testing."""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final, Self

import attrs

from harness.evaluation.baselines import AssociationRules, Popularity, SequentialRules
from harness.evaluation.session_neighbours import STAN, VSKNN_RETAILROCKET, VSTAN, Stan, Vsknn, VsknnSettings
from harness.evaluation.visit_files import read_visits
from harness.support.console import console, heading, progress
from harness.support.errors import HarnessError
from realtime_pipeline import Settings, load_settings
from realtime_pipeline.application.evaluation.metrics import METRICS, Scorecard
from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.protocols import PROTOCOLS, touch_counts
from realtime_pipeline.application.evaluation.served import ServedModel
from realtime_pipeline.application.evaluation.visits import Visit, split
from realtime_pipeline.domain.shop.events import ProductId

MODELS: Final[Mapping[str, Callable[[Settings], Model]]] = {
    "served": lambda settings: ServedModel(settings.recommendations.neighbours, settings.fold.profile),
    "vsknn": lambda _: Vsknn(VsknnSettings()),
    "vsknn-retailrocket": lambda _: Vsknn(VSKNN_RETAILROCKET),
    "stan": lambda _: Stan(STAN),
    "vstan": lambda _: Stan(VSTAN),
    "ar": lambda _: AssociationRules(),
    "sr": lambda _: SequentialRules(),
    "popularity": lambda _: Popularity(),
}


WITH_INTERVAL: Final = ("HR", "MRR")
"""Metrics that the table shows with their intervals; the figures have the intervals of all metrics."""


@attrs.frozen
class Result:
    """The figures of one model."""

    predictions: int
    means: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    coverage: float
    popularity: float
    cpu_ms: float

    @classmethod
    def of(cls, card: Scorecard, counts: Mapping[ProductId, int], rng: Random, cpu_s: float) -> Self:
        """Summarise a scorecard; `cpu_s` is the CPU time of training and of all predictions."""
        return cls(
            card.predictions,
            card.means(),
            card.intervals(rng),
            card.coverage(len(counts)),
            card.popularity(counts),
            1000 * cpu_s / card.predictions,
        )


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Train and test each model, and show the figures side by side."""
    settings = load_settings(options.settings)
    training, test = _visits(options, settings)
    counts = touch_counts([*training, *test] if options.protocol == "prequential" else training)
    heading(
        f"{len(training):,} visits to train on, {len(test):,} to test on, {len(counts):,} products; "
        f"protocol {options.protocol}, lists of {options.k}"
    )
    results: dict[str, Result] = {}
    with progress() as bars:
        for name in options.models:
            bar = bars.add_task(name, total=None)
            began_s = time.process_time()
            card = PROTOCOLS[options.protocol](
                MODELS[name](settings), training, test, options.k, partial(bars.advance, bar)
            )
            cpu_s = time.process_time() - began_s
            bars.update(bar, total=card.predictions)
            if not card.predictions:
                raise HarnessError("nothing can be predicted: no test visit has two products that the training set has")
            results[name] = Result.of(card, counts, Random(options.seed), cpu_s)
    _show(results, options.k)
    models = {name: attrs.asdict(result) for name, result in results.items()}
    return {"protocol": options.protocol, "k": options.k, "models": models}


def _visits(options: argparse.Namespace, settings: Settings) -> tuple[list[Visit], list[Visit]]:
    """Read the training set and the test set."""
    if (options.train is None) != (options.test is None) or (options.train is None) == (options.data is None):
        raise HarnessError("name either --train and --test, or --data, to be split by time")
    if options.data is not None:
        try:
            return split(read_visits(options.data, options.format, settings), options.tested)
        except ValueError as error:
            raise HarnessError(str(error)) from None
    training, test = (read_visits(files, options.format, settings) for files in (options.train, options.test))
    shared = {visit.key for visit in training} & {visit.key for visit in test}
    if shared:
        raise HarnessError(
            f"{len(shared)} visits are in --train and --test, for example {min(shared)}: leave them out of one"
        )
    return training, test


def _show(results: Mapping[str, Result], length: int) -> None:
    names = [f"{metric}@{length}" for metric in METRICS]
    widths = [14 if metric in WITH_INTERVAL else 8 for metric in METRICS]
    heads = "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    console.print(f"{'model':<20}{heads}{'cover':>7}{'pop':>6}{'CPU ms':>8}")
    for name, result in results.items():
        cells = ""
        for metric, width in zip(METRICS, widths, strict=True):
            cell = _short(result.means[metric])
            if metric in WITH_INTERVAL:
                low, high = result.intervals[metric]
                cell += f" ±{_short((high - low) / 2)}"
            cells += f"{cell:>{width}}"
        rest = f"{result.coverage:>7.0%}{result.popularity:>6.2f}{result.cpu_ms:>8.2f}"
        console.print(f"{name:<20}{cells}{rest}")
    predictions = next(iter(results.values())).predictions
    console.print(f"\n{predictions:,} lists a model; ± is half of a 95 % bootstrap interval over visits")
    console.print("cover: share of the products ever recommended; pop: their mean popularity, 1 is the most popular")


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
