"""A file published by a mapping into a pipeline in memory, and what the pipeline then knows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from realtime_pipeline import Pipeline, Settings, UnknownCustomer
from realtime_pipeline.composition.mappings import find_mapping
from realtime_pipeline.domain.mapping.definitions import EventMapping
from realtime_pipeline.domain.shop.money import as_number
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.source import FileSource

FIXTURES: Final = Path(__file__).parents[2] / "fixtures"


@attrs.define
class Shop:
    """A pipeline, and what the mapping did not publish."""

    pipeline: Pipeline
    settings: Settings
    file: Path
    ignored: Counter[str] = attrs.Factory(Counter)

    def publish(self, file: Path, mapping: str) -> None:
        """Publish a file as the command does, and process it."""
        prepare = self.pipeline.container.prepare_records("file", mapping)
        lines = self.pipeline.container.publish_events().lines()
        format_ = format_of(find_mapping(self.settings, mapping), file) if mapping else FileFormat()
        source = FileSource(str(file), [file], format_)
        source.open({})
        while (batch := source.read(100, 0.0)) is not None:
            lines.publish([made for record in batch.records for made in prepare(record)])
        lines.end()
        self.ignored += prepare.ignored_types
        self.pipeline.process()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many records there are of each class that there is any of."""
        counts = self.pipeline.container.customer_queries().counts()
        return {class_.name.lower(): count for class_, count in counts.items() if count}

    def letters(self) -> dict[str, str]:
        """The code of the reason of each dead letter, by its origin."""
        letters = self.pipeline.dead_letters(limit=1_000)
        return {letter.record.origin or "": letter.reason.partition(":")[0] for letter in letters}

    def profile(self, customer: str) -> tuple[float, int, int, dict[str, int]]:
        """A customer's spend, units, orders, and events by kind."""
        found = self.pipeline.profile(customer).customer
        events = {kind.value: count for kind, count in found.visits.counts.items() if count}
        return as_number(found.purchases.spend), found.purchases.units, found.purchases.orders_placed, events

    def bought(self, customer: str) -> dict[str, int]:
        """The pieces of each product that a customer has."""
        purchases = self.pipeline.profile(customer).customer.purchases
        return {product: units for product, (units, _) in purchases.by_product.items() if units > 0}

    def is_known(self, customer: str) -> bool:
        """Whether anything is known of a customer."""
        try:
            self.pipeline.profile(customer)
        except UnknownCustomer:
            return False
        return True


def format_of(mapping: EventMapping, file: Path) -> FileFormat:
    """How a fixture is written."""
    return FileFormat("csv" if file.suffix == ".csv" else "jsonl", mapping.delimiter, mapping.header)


@contextmanager
def shop_with(file: str, by: str, currency: str = "EUR", **settings: Any) -> Iterator[Shop]:
    """A shop that has published a fixture."""
    chosen = Settings(log="memory", store="memory", currency=currency, **settings)
    with Pipeline(chosen) as pipeline:
        shop = Shop(pipeline, chosen, FIXTURES / file)
        shop.publish(shop.file, by)
        yield shop
