"""What the shop's catalogue states of each product: a last-write-wins register for each fact, and the stock left.

The stock is a level at a time, less the units that were sold later (`sales.py`). A catalogue's facts come before what
other events say of the product.
"""

import sys
from collections.abc import Mapping
from typing import Final, Self

import attrs

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.kinds import PRODUCT_REMOVED, PRODUCT_UPDATED, STOCK_SET
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.shop.facts import (
    CATEGORY,
    IMAGE_URL,
    IN_STOCK,
    NAME,
    NO,
    PRICE,
    REMOVED,
    STOCK,
    TEXT,
    YES,
)
from realtime_pipeline.domain.shop.last_write import LastWrite, last_write_wins
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.projection import Add, Projection

CATALOGUE_KINDS: Final = frozenset((PRODUCT_UPDATED, PRODUCT_REMOVED, STOCK_SET))
"""The kinds of events that state facts of a product. They have no customer."""


@attrs.define
class Listing:
    """The facts of one product, each with the time of its event in ms; also what a range of records adds to them.

    `sold` are the units sold since the stock was set: 0 in what a range adds, since only the whole tells it.
    """

    facts: dict[str, LastWrite] = attrs.Factory(dict)
    sold: int = 0

    def state(self, stated: Mapping[str, str], at_ms: int) -> None:
        """Note the facts of an event."""
        for name, value in stated.items():
            self._write(name, (value, at_ms), sys.maxsize)

    def merge_facts(self, other: Self, latest_ms: int) -> None:
        """Take the later value of each fact. A fact with a time after `latest_ms` gives way to any other."""
        for name, fact in other.facts.items():
            self._write(name, fact, latest_ms)

    def _write(self, name: str, fact: LastWrite, latest_ms: int) -> None:
        latest = last_write_wins(self.facts.get(name), fact, latest_ms)
        if latest is not None:
            self.facts[name] = latest

    @property
    def stock_set_ms(self) -> int | None:
        """When the stock was set; None where no event has set it."""
        fact = self.facts.get(STOCK)
        return None if fact is None else fact[1]

    @property
    def stock(self) -> int | None:
        """The units left: 0 where more were sold than there were; None where no event has set the stock."""
        level = self.value(STOCK)
        return None if level is None else max(0, int(level) - self.sold)

    @property
    def in_stock(self) -> bool | None:
        """Whether the product can be bought, by the stock or by the fact `in_stock`, whichever was stated later.

        Of both at one time: not where `in_stock` says so; and a level of 0 beside it is a product that can be ordered.
        """
        stated, level, left = self.facts.get(IN_STOCK), self.facts.get(STOCK), self.stock
        if level is None or left is None:
            return None if stated is None else stated[0] == YES
        if stated is None or stated[1] < level[1]:
            return left > 0
        is_stated_alone = stated[1] > level[1] or stated[0] == NO or int(level[0]) <= 0
        return stated[0] == YES if is_stated_alone else left > 0

    @property
    def is_removed(self) -> bool:
        """Whether the shop no longer sells the product."""
        return self.value(REMOVED) == YES

    def value(self, name: str) -> str | None:
        """The value of a fact; None where it is unknown."""
        fact = self.facts.get(name)
        return None if fact is None else str(fact[0])

    def as_product(self, product_id: ProductId) -> Product:
        """The product as the catalogue describes it."""
        price = self.value(PRICE)
        return Product(
            product_id,
            name=self.value(NAME),
            category=self.value(CATEGORY),
            price=None if price is None else Amount(int(price)),
            in_stock=self.in_stock,
            stock=self.stock,
            image_url=self.value(IMAGE_URL),
            text=self.value(TEXT),
            is_removed=self.is_removed,
        )


class Listings(Projection[ProductId, Listing]):
    """By product, the facts that catalogue events state."""

    product_of = staticmethod(lambda product_id: product_id)
    kinds = CATALOGUE_KINDS

    def adder(self, table: dict[ProductId, Listing]) -> Add:
        """Note the facts of an event."""

        def add(event: Event, product_id: ProductId | None, _recorded: Recorded) -> None:
            if product_id is not None:
                table.setdefault(product_id, Listing()).state(event.facts, event.occurred_at_ms)

        return add

    def merge(self, table: dict[ProductId, Listing], other: Mapping[ProductId, Listing], latest_ms: int) -> None:
        """Keep the latest facts."""
        for product_id, listing in other.items():
            table.setdefault(product_id, Listing()).merge_facts(listing, latest_ms)
