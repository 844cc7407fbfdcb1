"""`experiment`: what came of the lists that were shown, by variant, read off the log."""

import argparse
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import attrs

from harness.support.console import console, heading
from harness.support.errors import HarnessError
from harness.support.log_io import read_log
from realtime_pipeline import Pipeline, Settings, load_settings
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.streams.records import Record

RESAMPLES: Final = 1_000
MISMATCH_Z: Final = 3.3
"""A share of customers this many standard deviations off: by chance once in a thousand times."""
CLICKS: Final = (EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED)
MEASURES: Final = {"click-through": 1, "conversion": 2}
"""By name, which sum of a customer is divided by the lists they were shown."""

Row = tuple[int, int, int]
"""Of one customer: lists shown, those that led to a click, those that led to a purchase."""

CUSTOMERS_MIN: Final = 30
"""How many customers of each variant it takes to say that one is better."""

HITS_MIN: Final = 5
"""How many lists that led to something, and that did not, it takes for that, of both together."""


@attrs.frozen
class AttributionWindows:
    """How long after a list was shown a click, or a purchase, of a product of it is put down to it, in ms."""

    click_ms: int
    buy_ms: int


@attrs.frozen
class Estimate:
    """A rate, or the difference of two, with the ends of its interval; and whether it rests on enough to say so."""

    rate: float
    low: float
    high: float
    is_enough: bool = True

    @property
    def verdict(self) -> str:
        """What a difference shows."""
        if not self.is_enough:
            return "too few customers to say"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"

    def in_words(self, sign: str = "") -> str:
        """Write it in per cent."""
        return f"{self.rate:{sign}.2%} ({self.low:{sign}.2%} to {self.high:{sign}.2%})"


@attrs.frozen
class Figures:
    """What a variant came to: by measure its rates, and their differences from the control.

    `mismatch` says that its share of the customers is not the one it should have: something else than the dice decides
    who is counted, and no figure can be trusted.
    """

    customers: int
    lists: int
    rates: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]
    has_sample_ratio_mismatch: bool


@attrs.define
class _Customer:
    """One customer's exposures, (time, variant, products), and what they did with products, (time, product, kind)."""

    exposures: list[tuple[int, str, frozenset[ProductId]]] = attrs.Factory(list)
    actions: list[tuple[int, ProductId, EventKind]] = attrs.Factory(list)
    newest_ms: int = 0

    def merge(self, other: "_Customer") -> None:
        """Add what was somebody's who turned out to be the same."""
        self.exposures += other.exposures
        self.actions += other.actions


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Read the log, and compare an experiment's variants."""
    settings = load_settings(options.settings, database=options.database and str(options.database))
    if settings.log == "sqlite" and not Path(settings.database).exists():
        raise HarnessError(f"there is no database {settings.database}: name the one that has the log (--database)")
    windows = AttributionWindows(options.click_minutes * 60_000, options.buy_days * 86_400_000)
    with Pipeline(_with_own_group(settings)) as pipeline:
        decode = pipeline.container.decoder()
        events = (decoded for record in _records(pipeline) if isinstance(decoded := decode(record), Event))
        rows, crossed = rows_of(events, options.name, windows)
    if not rows:
        raise HarnessError(
            f"no list of experiment {options.name} was shown: see record_exposure, and the experiment's name"
        )
    control = options.control or min(rows)
    if control not in rows:
        raise HarnessError(f"no list of variant {control} was shown; there are {', '.join(sorted(rows))}")
    shares = {name: one.share for name, one in settings.experiment.variants.items()}
    if settings.experiment.name != options.name:
        shares = {}
    found = compare_variants(rows, control, shares, Random(options.seed))
    _show(options.name, found, control, crossed)
    return {
        "experiment": options.name,
        "control": control,
        "crossed_over": crossed,
        "variants": {variant: attrs.asdict(one) for variant, one in found.items()},
    }


def _with_own_group(settings: Settings) -> Settings:
    """Read beside the workers: in Kafka as a group of its own."""
    if settings.log == "kafka":
        return attrs.evolve(settings, kafka=attrs.evolve(settings.kafka, group=f"{settings.kafka.group}-experiment"))
    return settings


def _records(pipeline: Pipeline) -> Iterator[Record]:
    if pipeline.container.settings().log == "sqlite":  # whoever reads as its worker takes the file over
        query = "SELECT partition, position, key, value, appended_at_ms, origin FROM records ORDER BY 1, 2"
        return (Record(*row) for row in pipeline.container.database().rows(query))
    return read_log(pipeline.container.log())


def rows_of(events: Iterable[Event], experiment: str, windows: AttributionWindows) -> tuple[dict[str, list[Row]], int]:
    """Sum up each customer, by variant; say how many saw more than one variant, and are left out.

    A click or purchase is put down to the newest list before it that had the product, if that is within the window.
    Events that come twice count once, by their ids. What a visitor saw and did is the customer's, once they have signed
    in. What had happened before a customer was forgotten does not count, however late it comes.
    """
    customers: dict[CustomerId, _Customer] = {}
    known: set[tuple[CustomerId, str]] = set()
    alias_of: dict[CustomerId, CustomerId] = {}
    forgotten_ms: dict[CustomerId, int] = {}
    for event in events:
        who, at_ms = event.customer_id, event.occurred_at_ms
        if who is None or (who, event.event_id) in known or at_ms <= forgotten_ms.get(who, -1):
            continue
        known.add((who, event.event_id))
        shopper = customers.setdefault(who, _Customer())
        shopper.newest_ms = max(shopper.newest_ms, at_ms)
        if event.identified_as is not None:
            alias_of.setdefault(who, event.identified_as)
        elif event.kind is EventKind.CUSTOMER_FORGOTTEN:
            gone, customer = customers.pop(who), alias_of.pop(who, None)
            forgotten_ms[who] = gone.newest_ms
            if customer is not None and at_ms > forgotten_ms.get(customer, -1):  # one visitor too many: it is theirs
                customers.setdefault(customer, _Customer()).merge(gone)
        elif who in alias_of:
            continue  # it is in the log once more, as the customer's
        elif event.kind is EventKind.RECOMMENDATIONS_SHOWN and event.properties.get("experiment") == experiment:
            variant = str(event.properties.get("variant", ""))
            shopper.exposures.append((at_ms, variant, frozenset(event.shown)))
        elif event.product_id is not None and (event.kind in CLICKS or event.kind is EventKind.PRODUCT_PURCHASED):
            shopper.actions.append((at_ms, event.product_id, event.kind))
    for visitor, customer in alias_of.items():
        customers.setdefault(customer, _Customer()).merge(customers.pop(visitor))
    rows: dict[str, list[Row]] = {}
    crossed_over = 0
    for shopper in customers.values():
        variants = {variant for _, variant, _ in shopper.exposures}
        crossed_over += len(variants) > 1
        if len(variants) == 1:
            rows.setdefault(variants.pop(), []).append(_row(shopper, windows))
    return rows, crossed_over


def _row(shopper: _Customer, windows: AttributionWindows) -> Row:
    exposures = sorted(shopper.exposures, key=lambda one: one[0])
    seen_ms = [at_ms for at_ms, _, _ in exposures]
    shown: dict[str, list[int]] = {}
    for number, (_, _, products) in enumerate(exposures):
        for product_id in products:
            shown.setdefault(product_id, []).append(number)
    clicked: set[int] = set()
    bought: set[int] = set()
    for at_ms, product_id, kind in shopper.actions:
        lists = shown.get(product_id, [])
        before = bisect_right(lists, at_ms, key=seen_ms.__getitem__)
        if not before:
            continue
        last = lists[before - 1]
        waited_ms = at_ms - seen_ms[last]
        if kind in CLICKS and waited_ms <= windows.click_ms:
            clicked.add(last)
        if kind is EventKind.PRODUCT_PURCHASED and waited_ms <= windows.buy_ms:
            bought.add(last)
    return len(exposures), len(clicked), len(bought)


def compare_variants(
    rows: Mapping[str, Sequence[Row]], control: str, shares: Mapping[str, float], rng: Random
) -> dict[str, Figures]:
    """Rates of each variant and their differences from the control, with 95 % intervals.

    Customers are what was assigned at random, so they are what is resampled: percentiles of rates over customers drawn
    with replacement.
    """
    drawn = {name: _resampled(rows[name], rng) for name in sorted(rows)}
    customers = sum(map(len, rows.values()))
    found: dict[str, Figures] = {}
    for name in sorted(rows):
        rates, differences = {}, {}
        for measure, column in MEASURES.items():
            rate = _rate(rows[name], column)
            rates[measure] = _estimate(rate, drawn[name][measure])
            if name != control:
                pairs = zip(drawn[name][measure], drawn[control][measure], strict=True)
                difference = _estimate(rate - _rate(rows[control], column), [x - y for x, y in pairs])
                differences[measure] = attrs.evolve(difference, is_enough=_is_enough(rows[name], rows[control], column))
        lists = sum(row[0] for row in rows[name])
        mismatch = _has_sample_ratio_mismatch(len(rows[name]), customers, name, shares)
        found[name] = Figures(len(rows[name]), lists, rates, differences, mismatch)
    return found


def _resampled(rows: Sequence[Row], rng: Random) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    counted = Counter(rows)  # many customers are alike: drawing kinds is drawing customers
    kinds, weights = list(counted), list(counted.values())
    for _ in range(RESAMPLES):
        some = rng.choices(kinds, weights, k=len(rows))
        for measure, column in MEASURES.items():
            found[measure].append(_rate(some, column))
    return found


def _rate(rows: Sequence[Row], column: int) -> float:
    return sum(row[column] for row in rows) / sum(row[0] for row in rows)


def _estimate(rate: float, drawn: Sequence[float]) -> Estimate:
    ordered = sorted(drawn)
    last = len(ordered) - 1
    return Estimate(rate, ordered[round(0.025 * last)], ordered[round(0.975 * last)])


def _is_enough(rows: Sequence[Row], others: Sequence[Row], column: int) -> bool:
    """Whether an interval by drawing again can be trusted: it has no width where all who were seen are alike."""
    lists, hits = (sum(row[at] for row in (*rows, *others)) for at in (0, column))
    return min(len(rows), len(others)) >= CUSTOMERS_MIN and min(hits, lists - hits) >= HITS_MIN


def _has_sample_ratio_mismatch(customers: int, total: int, name: str, shares: Mapping[str, float]) -> bool:
    """Whether a variant has so many or so few customers that chance alone is no explanation."""
    if name not in shares:
        return False
    share = shares[name] / sum(shares.values())
    return abs(customers - total * share) > MISMATCH_Z * math.sqrt(total * share * (1 - share))


def _show(name: str, found: Mapping[str, Figures], control: str, crossed: int) -> None:
    heading(f"Experiment {name}: lists shown, and what they led to, with 95 % intervals over customers")
    for variant, said in found.items():
        console.print(f"  {variant:<16} {said.customers:>9,} customers, {said.lists:>9,} lists")
        for measure, rate in said.rates.items():
            line = f"    {measure:<14} {rate.in_words()}"
            difference = said.differences.get(measure)
            if difference is not None:
                line += f"; {difference.in_words('+')} against {control}: {difference.verdict}"
            console.print(line)
        if said.has_sample_ratio_mismatch:
            console.print(
                f"    {variant} has not the share of customers that it should: find out why before you read on"
            )
    if crossed:
        console.print(f"  {crossed:,} customers saw lists of more than one variant, and are left out")
