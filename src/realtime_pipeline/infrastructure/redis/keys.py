"""The names of all keys. Keys of a cell share the hash tag `{c17}`, keys of a group of view cells the hash tag `{v0}`.

Keys with one hash tag are in one slot, so on one node: a Function can change them together.

| key | type | holds | expires |
|---|---|---|---|
| `rp:meta` | hash | the log it was built from, its layout, the number of view cells, how often it was erased | never |
| `rp:{c17}:cell` | hash | epoch, position, number of the last commit, watermark, records per class | never |
| `rp:{c17}:outbox` | stream | the outbox: an entry for each commit, by the position at which it ends | trimmed |
| `rp:{c17}:customer:ID` | string | a customer, MessagePack | never |
| `rp:{c17}:sessions:N` | hash | session key → summary, of sessions begun by records N·2^15 to (N+1)·2^15 | by TTL |
| `rp:{c17}:reviews:ID` | hash | a customer's reviews by product, MessagePack | never |
| `rp:{c17}:windows` | hash | the partition's time; by definition, when counting began, and late events | never |
| `rp:{c17}:panes:FP` | hash | the starts of the panes of a definition, which FP is the fingerprint of | never |
| `rp:{c17}:pane:FP:START` | hash | chunk → value, of the span of time that begins there | never |
| `rp:{wFP}:progress` | hash | of the definition with the fingerprint FP: how far its results are written | never |
| `rp:{wFP}:result:START` | hash | key → result, JSON, of a final window; `n`: how many | by age, by a worker |
| `rp:{wFP}:starts`, `rp:{wFP}:written` | sorted set | the starts of windows with results, by start; by when they were \
written | with their window |
| `rp:{c17}:tombstones` | hash | digest of a forgotten customer's id → time | never |
| `rp:{v0}:sources:N` | hash | of view cell N, for each source partition: epoch, position, watermark | never |
| `rp:{v0}:products` | hash | product → interactions, name, category, price, and their times, MessagePack | never |
| `rp:{v0}:ratings`, `rating_sums` | hash | product → whole number | never |
| `rp:{v0}:totals` | hash | interactions of all the group's products | never |
| `rp:{v0}:hours` | hash | hour → version of its activity: the number of its changes | with its hour |
| `rp:{v0}:activity:H` | hash | `v:`, `c:`, `p:` + product → views, carts, purchases of an hour | by age, by a merge |
| `rp:{v0}:hours:DE`, `rp:{v0}:activity:H:DE` | hash | the same of a country | the same |
| `rp:{v0}:countries` | hash | country → how many merges had activity there | never |
| `rp:{v0}:sums:NAME` | hash | measure + `:` + product → the sum of a projection, whole number | never |
| `rp:{v0}:measures:NAME` | hash | measure of a projection → how many merges had something of it | never |
| `rp:{v0}:moved` | sorted set | products that moved to another category, in order | never |
| `rp:{v0}:absent` | | a key that never exists; merges name it | |
| `rp:{v0}:listings` | hash | product → the catalogue's facts, their times, units sold since, MessagePack | never |
| `rp:{v0}:sales:PRODUCT` | hash | time of sales → units, while an earlier stock level can come | trimmed |
| `rp:{v0}:list:PRODUCT` | sorted set | the newest sessions that touched the product, by time | trimmed |
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import attrs

from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey, partition_of
from realtime_pipeline.domain.shop.events import CustomerId, ProductId

SESSIONS_BUCKET = 1 << 15
_SPAN = PARTITIONS_MAX * SESSIONS_BUCKET


def by_sessions_hash(keys: Iterable[SessionKey]) -> list[list[SessionKey]]:
    """Group session keys by the hash that holds them."""
    groups: defaultdict[tuple[int, int], list[SessionKey]] = defaultdict(list)
    for key in keys:
        groups[key // _SPAN, key % PARTITIONS_MAX].append(key)
    return list(groups.values())


@attrs.frozen
class Keys:
    """The keys of one namespace. View cells share hashes in groups: view cell N is in group N modulo their number."""

    namespace: str

    @property
    def meta(self) -> str:
        """The hash that names the log and the layout of the store."""
        return f"{self.namespace}:meta"

    def cell(self, partition: int) -> str:
        """The hash of a cell: epoch, position, watermark, counts."""
        return f"{self.namespace}:{{c{partition}}}:cell"

    def outbox(self, partition: int) -> str:
        """The stream of a cell's outbox entries."""
        return f"{self.namespace}:{{c{partition}}}:outbox"

    def tombstones(self, partition: int) -> str:
        """The hash of the forgotten customers of a cell."""
        return f"{self.namespace}:{{c{partition}}}:tombstones"

    def windows(self, partition: int) -> str:
        """The hash of a cell's notes on windows."""
        return f"{self.namespace}:{{c{partition}}}:windows"

    def panes(self, partition: int, fingerprint: str) -> str:
        """The hash that lists the panes of a definition."""
        return f"{self.namespace}:{{c{partition}}}:panes:{fingerprint}"

    def pane(self, partition: int, fingerprint: str, start_ms: int) -> str:
        """The hash of a pane's chunks."""
        return f"{self.namespace}:{{c{partition}}}:pane:{fingerprint}:{start_ms}"

    def results(self, fingerprint: str, name: str) -> str:
        """A key of a definition's results."""
        return f"{self.namespace}:{{w{fingerprint}}}:{name}"

    def customers(self, partition: int, customer_ids: Collection[CustomerId]) -> list[str]:
        """The strings of customers of a partition, in order."""
        prefix = f"{self.namespace}:{{c{partition}}}:customer:"
        return [prefix + customer_id for customer_id in customer_ids]

    def reviews(self, partition: int, customer_id: CustomerId) -> str:
        """The hash of a customer's reviews."""
        return f"{self.namespace}:{{c{partition}}}:reviews:{customer_id}"

    def sessions(self, key: SessionKey) -> str:
        """The hash that holds a session. Sessions that began at about the same time expire together."""
        return f"{self.namespace}:{{c{partition_of(key)}}}:sessions:{key // _SPAN}"

    @property
    def view_pattern(self) -> str:
        """The pattern that matches all keys of view cells."""
        return f"{self.namespace}:{{v*"

    @property
    def cell_pattern(self) -> str:
        """The pattern that matches all keys of cells."""
        return f"{self.namespace}:{{c*"

    @property
    def progress_pattern(self) -> str:
        """The pattern that matches how far results are written, of all definitions."""
        return f"{self.namespace}:{{w*}}:progress"

    def view(self, group: int, name: str) -> str:
        """A key of a group of view cells."""
        return f"{self.namespace}:{{v{group}}}:{name}"

    def sources(self, group: int, view_cell: int) -> str:
        """The hash of a view cell's source partitions: epoch, position, watermark of each."""
        return self.view(group, f"sources:{view_cell}")

    def hours(self, group: int, country: str | None) -> str:
        """The hash that lists the hours with activity, of a country or of all."""
        return self.view(group, "hours" if country is None else f"hours:{country}")

    def activity(self, group: int, hour: int, country: str | None) -> str:
        """The hash of the activity of an hour, of a country or of all."""
        return self.view(group, f"activity:{hour}" if country is None else f"activity:{hour}:{country}")

    def sums(self, group: int, projection: str) -> str:
        """What a projection sums up of products."""
        return self.view(group, f"sums:{projection}")

    def measures(self, group: int, projection: str) -> str:
        """What a projection measures."""
        return self.view(group, f"measures:{projection}")

    def sales(self, group: int, product_id: ProductId) -> str:
        """The hash of the newest sales of a product."""
        return self.view(group, f"sales:{product_id}")

    def list(self, group: int, product_id: ProductId) -> str:
        """The sorted set of the newest sessions of a product."""
        return f"{self.namespace}:{{v{group}}}:list:{product_id}"
