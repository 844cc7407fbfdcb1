"""Real files make the same customers by a shipped mapping as by the harness's own reading of them."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from harness.formats import online_retail, rees46
from harness.formats.rows import Options
from harness.support.files import opened
from harness.support.source_record import SourceRecord
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ports.event_publisher import Outgoing
from tests.harness.support.real_data import real
from tests.infrastructure.mappings.published import Shop

ROWS: Final = 8_000


def beginning(name: str, folder: Path) -> Path:
    """A file with the first rows of a real one."""
    file = folder / Path(name).name.removesuffix(".zst")
    with opened(real(name)) as stream:
        file.write_bytes(b"".join(islice(stream, ROWS + 1)))
    return file


def shop_of_the_harness(shop: Shop, read: Callable[[Path, Options], Iterator[SourceRecord]]) -> None:
    find_key = shop.pipeline.container.decoder().routing_key
    lines = shop.pipeline.container.publish_events().lines()
    for record in read(shop.file, Options()):
        key = find_key(record.value)
        lines.publish([Outgoing(None if key is None else key.encode(), record.value, record.origin)])
    lines.end()
    shop.pipeline.process()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "mapping", "read"),
    [
        ("online_retail/online_retail.csv.zst", "online-retail", online_retail.read),
        ("rees46_2019oct/2019-Oct-head.csv.zst", "rees46", rees46.read),
    ],
)
def test_a_mapping_makes_the_customers_that_the_harness_makes(
    name: str, mapping: str, read: Callable[[Path, Options], Iterator[SourceRecord]], tmp_path: Path
) -> None:
    settings = Settings(log="memory", store="memory", currency="GBP")
    file = beginning(name, tmp_path)
    with Pipeline(settings) as mapped, Pipeline(settings) as harness:
        by_mapping, by_harness = Shop(mapped, settings, file), Shop(harness, settings, file)
        by_mapping.publish(file, mapping)
        shop_of_the_harness(by_harness, read)
        assert by_mapping.counts == by_harness.counts
        assert sum(by_mapping.counts.values()) >= ROWS
        customers = {customer.customer_id for customer in harness.container.customer_queries().scan()}
        assert len(customers) > 100
        for customer in customers:
            assert by_mapping.profile(customer) == by_harness.profile(customer), customer
            assert by_mapping.bought(customer) == by_harness.bought(customer), customer
