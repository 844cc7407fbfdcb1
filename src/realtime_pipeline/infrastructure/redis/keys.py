"""The names of all keys. A cell's share the hash tag `{c17}`, a group's of view cells `{v0}`, to lie on one node.

| key | type | holds | expires |
|---|---|---|---|
| `rp:meta` | hash | which log it was built from, how it lies, how many view cells, how often it was erased | never |
| `rp:{c17}:cell` | hash | epoch, position, number of the last commit, watermark, records per class | never |
| `rp:{c17}:outbox` | stream | what commits owe their readers, by the position at which each ends | trimmed |
| `rp:{c17}:customer:ID` | string | a customer, MessagePack | never |
| `rp:{c17}:sessions:N` | hash | trails by key of the session: of those begun by records N·2^15 to (N+1)·2^15 | by age |
| `rp:{c17}:reviews:ID` | hash | a customer's reviews by product, MessagePack | never |
| `rp:{c17}:tombstones` | hash | digest of the id of who was forgotten → when | never |
| `rp:{v0}:sources:N` | hash | how far view cell N has come with each partition: epoch, position, watermark | never |
| `rp:{v0}:products` | hash | product → interactions, and what was said of it last and when (MessagePack) | never |
| `rp:{v0}:ratings`, `rating_sums` | hash | product → whole number | never |
| `rp:{v0}:totals` | hash | interactions of all the group's products | never |
| `rp:{v0}:hours` | hash | hour → how often its activity has changed | with its hour |
| `rp:{v0}:activity:H` | hash | `v:`, `c:`, `p:` + product → views, carts, purchases of an hour | by age |
| `rp:{v0}:hours:DE`, `rp:{v0}:activity:H:DE` | hash | the same of a country | the same |
| `rp:{v0}:countries` | hash | country → how many merges had something of it | never |
| `rp:{v0}:sums:NAME` | hash | measure + `:` + product → what a projection sums up, whole number | never |
| `rp:{v0}:measures:NAME` | hash | what the projection measures → how many merges had something of it | never |
| `rp:{v0}:moved` | sorted set | products whose category has become another, by the order in which | never |
| `rp:{v0}:absent` | | named in merges, and never there | |
| `rp:{v0}:list:PRODUCT` | sorted set | sessions by the time they touched the product, the newest | trimmed |
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import attrs

from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey, partition_of
from realtime_pipeline.domain.shop.events import CustomerId, ProductId

SESSIONS_BUCKET = 1 << 15
_SPAN = PARTITIONS_MAX * SESSIONS_BUCKET


def by_sessions_hash(keys: Iterable[SessionKey]) -> list[list[SessionKey]]:
    """Put sessions together that lie in one hash."""
    found: defaultdict[tuple[int, int], list[SessionKey]] = defaultdict(list)
    for key in keys:
        found[key // _SPAN, key % PARTITIONS_MAX].append(key)
    return list(found.values())


@attrs.frozen
class Keys:
    """The keys of one namespace. View cells lie together in groups: number N in group N modulo their number."""

    namespace: str

    @property
    def meta(self) -> str:
        """What the store belongs to."""
        return f"{self.namespace}:meta"

    def cell(self, partition: int) -> str:
        """A cell itself."""
        return f"{self.namespace}:{{c{partition}}}:cell"

    def outbox(self, partition: int) -> str:
        """What a cell's commits owe their readers."""
        return f"{self.namespace}:{{c{partition}}}:outbox"

    def tombstones(self, partition: int) -> str:
        """Who was forgotten."""
        return f"{self.namespace}:{{c{partition}}}:tombstones"

    def customers(self, partition: int, customer_ids: Collection[CustomerId]) -> list[str]:
        """Customers."""
        prefix = f"{self.namespace}:{{c{partition}}}:customer:"
        return [prefix + customer_id for customer_id in customer_ids]

    def reviews(self, partition: int, customer_id: CustomerId) -> str:
        """A customer's reviews."""
        return f"{self.namespace}:{{c{partition}}}:reviews:{customer_id}"

    def sessions(self, key: SessionKey) -> str:
        """The hash that a session lies in: sessions begun one after another expire one after another."""
        return f"{self.namespace}:{{c{partition_of(key)}}}:sessions:{key // _SPAN}"

    @property
    def view_pattern(self) -> str:
        """What all keys of view cells look like."""
        return f"{self.namespace}:{{v*"

    @property
    def cell_pattern(self) -> str:
        """What all keys of cells look like."""
        return f"{self.namespace}:{{c*"

    def view(self, group: int, name: str) -> str:
        """A hash of a group of view cells."""
        return f"{self.namespace}:{{v{group}}}:{name}"

    def sources(self, group: int, view_cell: int) -> str:
        """How far a view cell has come."""
        return self.view(group, f"sources:{view_cell}")

    def hours(self, group: int, country: str | None) -> str:
        """Which hours have activity, that of a country or all."""
        return self.view(group, "hours" if country is None else f"hours:{country}")

    def activity(self, group: int, hour: int, country: str | None) -> str:
        """What was done in an hour, in a country or in all."""
        return self.view(group, f"activity:{hour}" if country is None else f"activity:{hour}:{country}")

    def sums(self, group: int, projection: str) -> str:
        """What a projection sums up of products."""
        return self.view(group, f"sums:{projection}")

    def measures(self, group: int, projection: str) -> str:
        """What a projection measures."""
        return self.view(group, f"measures:{projection}")

    def list(self, group: int, product_id: ProductId) -> str:
        """The newest sessions of a product."""
        return f"{self.namespace}:{{v{group}}}:list:{product_id}"
