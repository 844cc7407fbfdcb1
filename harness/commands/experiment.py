"""`experiment`: click-through and conversion of the lists that were shown, by variant, computed from the log."""

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
"""A share of customers that is this many standard deviations off happens by chance once in a thousand times."""
CLICKS: Final = (EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED)
MEASURES: Final = {"click-through": 1, "conversion": 2}
"""By measure, the column of a row that is divided by the number of lists."""

Row = tuple[int, int, int]
"""One customer: lists shown, lists that led to a click, lists that led to a purchase."""

CUSTOMERS_MIN: Final = 30
"""How many customers each variant needs before a variant is called better."""

HITS_MIN: Final = 5
"""How many lists of both variants together must have led to an action, and how many must not."""


@attrs.frozen
class AttributionWindows:
    """How long after a list was shown a click or a purchase is attributed to it, in ms."""

    click_ms: int
    buy_ms: int


@attrs.frozen
class Estimate:
    """A rate, or the difference of two rates, with its 95 % interval; and whether there are enough customers."""

    rate: float
    low: float
    high: float
    is_enough: bool = True

    @property
    def verdict(self) -> str:
        """What the interval of a difference shows."""
        if not self.is_enough:
            return "too few customers to say"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"

    def in_words(self, sign: str = "") -> str:
        """Write the rate and its interval in per cent."""
        return f"{self.rate:{sign}.2%} ({self.low:{sign}.2%} to {self.high:{sign}.2%})"


@attrs.frozen
class Figures:
    """The figures of a variant: by measure its rates, and their differences from the control.

    `has_sample_ratio_mismatch`: its share of the customers differs from the configured share by more than chance, so
    that something else than the assignment decides which customers are counted, and no figure can be trusted.
    """

    customers: int
    lists: int
    rates: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]
    has_sample_ratio_mismatch: bool


@attrs.define
class _Customer:
    """A customer's exposures (time, variant, products) and actions (time, product, kind)."""

    exposures: list[tuple[int, str, frozenset[ProductId]]] = attrs.Factory(list)
    actions: list[tuple[int, ProductId, EventKind]] = attrs.Factory(list)
    newest_ms: int = 0

    def merge(self, other: "_Customer") -> None:
        """Add the exposures and actions of an alias."""
        self.exposures += other.exposures
        self.actions += other.actions


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Read the log, and compare the variants of an experiment."""
    settings = load_settings(options.settings, database=options.database and str(options.database))
    if settings.log == "sqlite" and not Path(settings.database).exists():
        raise HarnessError(f"there is no database {settings.database}: name the file with the log (--database)")
    windows = AttributionWindows(options.click_minutes * 60_000, options.buy_days * 86_400_000)
    with Pipeline(_with_own_group(settings)) as pipeline:
        decode = pipeline.container.decoder()
        events = (decoded for record in _records(pipeline) if isinstance(decoded := decode(record), Event))
        rows, crossed_over = rows_of(events, options.name, windows)
    if not rows:
        raise HarnessError(
            f"no list of experiment {options.name} was shown: check its name, and that record_exposure is called"
        )
    control = options.control or min(rows)
    if control not in rows:
        raise HarnessError(f"no list of variant {control} was shown; name one of {', '.join(sorted(rows))}")
    shares = {name: variant.share for name, variant in settings.experiment.variants.items()}
    if settings.experiment.name != options.name:
        shares = {}
    figures = compare_variants(rows, control, shares, Random(options.seed))
    _show(options.name, figures, control, crossed_over)
    return {
        "experiment": options.name,
        "control": control,
        "crossed_over": crossed_over,
        "variants": {variant: attrs.asdict(of_variant) for variant, of_variant in figures.items()},
    }


def _with_own_group(settings: Settings) -> Settings:
    """Settings to read the log beside the workers: in Kafka with a consumer group of its own."""
    if settings.log == "kafka":
        return attrs.evolve(settings, kafka=attrs.evolve(settings.kafka, group=f"{settings.kafka.group}-experiment"))
    return settings


def _records(pipeline: Pipeline) -> Iterator[Record]:
    if pipeline.container.settings().log == "sqlite":  # a log reader would claim the file as a worker does
        query = "SELECT partition, position, key, value, appended_at_ms, origin FROM records ORDER BY 1, 2"
        return (Record(*row) for row in pipeline.container.database().rows(query))
    return read_log(pipeline.container.log())


def rows_of(events: Iterable[Event], experiment: str, windows: AttributionWindows) -> tuple[dict[str, list[Row]], int]:
    """Summarise each customer by variant.

    A click or purchase is attributed to the newest earlier list that had the product, if it happened within the window.
    Duplicate events count once, by their ids. After a sign-in, a visitor's exposures and actions are the customer's.
    Events from before a customer was forgotten do not count, however late they arrive.

    Returns:
        The rows of each variant; and how many customers saw more than one variant, who are left out.
    """
    customers: dict[CustomerId, _Customer] = {}
    known: set[tuple[CustomerId, str]] = set()
    alias_of: dict[CustomerId, CustomerId] = {}
    forgotten_ms: dict[CustomerId, int] = {}
    for event in events:
        customer_id, at_ms = event.customer_id, event.occurred_at_ms
        if customer_id is None or (customer_id, event.event_id) in known:
            continue
        if at_ms <= forgotten_ms.get(customer_id, -1):
            continue
        known.add((customer_id, event.event_id))
        customer = customers.setdefault(customer_id, _Customer())
        customer.newest_ms = max(customer.newest_ms, at_ms)
        if event.identified_as is not None:
            alias_of.setdefault(customer_id, event.identified_as)
        elif event.kind is EventKind.CUSTOMER_FORGOTTEN:
            forgotten, identified_as = customers.pop(customer_id), alias_of.pop(customer_id, None)
            forgotten_ms[customer_id] = forgotten.newest_ms
            # A visitor is also forgotten when the customer has too many; then the exposures stay the customer's.
            if identified_as is not None and at_ms > forgotten_ms.get(identified_as, -1):
                customers.setdefault(identified_as, _Customer()).merge(forgotten)
        elif customer_id in alias_of:
            continue  # the log has a forwarded copy, which is the customer's
        elif event.kind is EventKind.RECOMMENDATIONS_SHOWN and event.properties.get("experiment") == experiment:
            variant = str(event.properties.get("variant", ""))
            customer.exposures.append((at_ms, variant, frozenset(event.shown)))
        elif event.product_id is not None and (event.kind in CLICKS or event.kind is EventKind.PRODUCT_PURCHASED):
            customer.actions.append((at_ms, event.product_id, event.kind))
    for visitor, identified_as in alias_of.items():
        customers.setdefault(identified_as, _Customer()).merge(customers.pop(visitor))
    rows: dict[str, list[Row]] = {}
    crossed_over = 0
    for customer in customers.values():
        variants = {variant for _, variant, _ in customer.exposures}
        crossed_over += len(variants) > 1
        if len(variants) == 1:
            rows.setdefault(variants.pop(), []).append(_row(customer, windows))
    return rows, crossed_over


def _row(customer: _Customer, windows: AttributionWindows) -> Row:
    exposures = sorted(customer.exposures, key=lambda exposure: exposure[0])
    shown_ms = [at_ms for at_ms, _, _ in exposures]
    lists_with: dict[str, list[int]] = {}
    for number, (_, _, products) in enumerate(exposures):
        for product_id in products:
            lists_with.setdefault(product_id, []).append(number)
    clicked: set[int] = set()
    bought: set[int] = set()
    for at_ms, product_id, kind in customer.actions:
        lists = lists_with.get(product_id, [])
        before = bisect_right(lists, at_ms, key=shown_ms.__getitem__)
        if not before:
            continue
        last = lists[before - 1]
        delay_ms = at_ms - shown_ms[last]
        if kind in CLICKS and delay_ms <= windows.click_ms:
            clicked.add(last)
        if kind is EventKind.PRODUCT_PURCHASED and delay_ms <= windows.buy_ms:
            bought.add(last)
    return len(exposures), len(clicked), len(bought)


def compare_variants(
    rows: Mapping[str, Sequence[Row]], control: str, shares: Mapping[str, float], rng: Random
) -> dict[str, Figures]:
    """Compute the rates of each variant and their differences from the control, with 95 % intervals.

    The intervals are bootstrap percentiles over customers, because customers were assigned at random.

    Args:
        rows: the customers of each variant.
        control: the variant to compare with.
        shares: the configured share of each variant; without a share, no mismatch is reported.
        rng: draws the resamples.
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
    counted = Counter(rows)  # many rows are equal: different rows are drawn by their number
    different, weights = list(counted), list(counted.values())
    for _ in range(RESAMPLES):
        sample = rng.choices(different, weights, k=len(rows))
        for measure, column in MEASURES.items():
            found[measure].append(_rate(sample, column))
    return found


def _rate(rows: Sequence[Row], column: int) -> float:
    return sum(row[column] for row in rows) / sum(row[0] for row in rows)


def _estimate(rate: float, drawn: Sequence[float]) -> Estimate:
    ordered = sorted(drawn)
    last = len(ordered) - 1
    return Estimate(rate, ordered[round(0.025 * last)], ordered[round(0.975 * last)])


def _is_enough(rows: Sequence[Row], others: Sequence[Row], column: int) -> bool:
    """Whether a bootstrap interval can be trusted: where all customers are alike, it has no width."""
    lists, hits = (sum(row[at] for row in (*rows, *others)) for at in (0, column))
    return min(len(rows), len(others)) >= CUSTOMERS_MIN and min(hits, lists - hits) >= HITS_MIN


def _has_sample_ratio_mismatch(customers: int, total: int, name: str, shares: Mapping[str, float]) -> bool:
    """Whether a variant has more or fewer customers than chance explains."""
    if name not in shares:
        return False
    share = shares[name] / sum(shares.values())
    return abs(customers - total * share) > MISMATCH_Z * math.sqrt(total * share * (1 - share))


def _show(name: str, figures: Mapping[str, Figures], control: str, crossed_over: int) -> None:
    heading(f"Experiment {name}: click-through and conversion of lists, with 95 % intervals over customers")
    for variant, of_variant in figures.items():
        console.print(f"  {variant:<16} {of_variant.customers:>9,} customers, {of_variant.lists:>9,} lists")
        for measure, rate in of_variant.rates.items():
            line = f"    {measure:<14} {rate.in_words()}"
            difference = of_variant.differences.get(measure)
            if difference is not None:
                line += f"; {difference.in_words('+')} against {control}: {difference.verdict}"
            console.print(line)
        if of_variant.has_sample_ratio_mismatch:
            console.print(
                f"    {variant} does not have its configured share of the customers: find out why before you trust this"
            )
    if crossed_over:
        console.print(f"  {crossed_over:,} customers saw lists of more than one variant, and are left out")
