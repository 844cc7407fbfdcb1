"""Views in Redis."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, PositionMismatch, UnrecoverableState
from realtime_pipeline.application.ports.views import Merge, RatedProduct, Views
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import AHEAD_MAX_MS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark, shop_time_ms
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.deltas import view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState, ProductStats, bayesian_average
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.merge_request import Hour, merge_request, sum_field
from realtime_pipeline.infrastructure.redis.rows import interactions_in, listed_in, source_in, state_in
from realtime_pipeline.infrastructure.redis.settings import LAYOUT, RedisSettings
from realtime_pipeline.infrastructure.redis.trending import RedisTrending

SCANNED_PRODUCTS = 1_000
GONE_MAX = 1_000
"""How many hours of countries are let go of by one call."""
_FIELDS = ("products", "ratings", "rating_sums")


class RedisViews(Views):
    """Hashes of what is known of products, one field a product, and a sorted set of sessions for each.

    One command with many fields costs a tenth of many commands; that is why a product is not a key of its own.
    """

    def __init__(
        self, client: RedisClient, settings: RedisSettings, listed_sessions_max: int, activity_retention_hours: int
    ) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._settings = settings
        self._groups = settings.view_groups
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours
        self._trending = RedisTrending(client, settings, self._shop_time_ms)
        self._oldest_hour = [0] * self._groups
        self._is_known = False

    @property
    def view_cells(self) -> int:
        """How many view cells there are."""
        return self._settings.view_cells

    @property
    def merge_records_max(self) -> int:
        """A longer merge would hold up every reader of its node; this many records go in a call for each view cell."""
        return self._settings.merge_records_max * self._settings.view_cells

    @property
    def linger_ms(self) -> int:
        """A merge goes to every view cell, however little is in it."""
        return self._settings.merge_linger_ms

    def epoch(self, partition: int) -> int:
        """The largest epoch any view cell has from a partition."""
        return max(epoch for epoch, _, _ in self._sources_of([partition])[partition])

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, then read positions."""
        self._check_positions(partition)
        keys = [(key, self._keys.view(cell % self._groups, "totals")) for cell, key in enumerate(self._sources())]
        requests: list[tuple[Key, Request]] = [
            (key, ("FCALL", "rp9_claim_views", 2, key, totals, partition, epoch, LAYOUT)) for key, totals in keys
        ]
        answers = self._client.execute(requests)
        self._check_older(answers)
        if any(said[0] != b"OK" for said in answers):
            raise Fenced(f"some view cell has epoch {epoch} or a larger one from partition {partition} already")
        return tuple(int(said[1]) for said in answers)

    def _check_positions(self, partition: int) -> None:
        """See that no view cell lacks its position while it has what it merged, which would then be merged again.

        View cells of a group lie on one node, and nothing is merged into any before all are claimed. So one that knows
        nothing of a partition, beside others that have merged something of it, has been claimed too.

        Raises:
            UnrecoverableState: some view cell has.
        """
        sources = self._sources_of([partition])[partition]
        for group in range(self._groups):
            beside = sources[group :: self._groups]
            lost = [number for number, (epoch, _, _) in enumerate(beside) if not epoch]
            furthest = max(position for _, position, _ in beside)
            if lost and furthest:
                key = self._keys.sources(group, group + lost[0] * self._groups)
                raise UnrecoverableState(
                    f"partition {partition}: the position of a view cell is missing in {key}, while those beside it "
                    f"stand at {furthest}: somebody has deleted it; rebuild the store from the log"
                )

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read positions."""
        found = self._sources_of(partitions)
        return {partition: tuple(position for _, position, _ in sources) for partition, sources in found.items()}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Add deltas to view cells, each by one call."""
        old = self._old_hours(merges, now_ms)
        requests = [self._request(merge, old[merge.view_cell % self._groups], now_ms) for merge in merges]
        answers = self._client.execute(requests)
        self._check_older(answers)
        for said in answers:
            if said[0] == b"SUPERSEDED":
                numbers = [int(number) for number in said[1:]]
                raise PositionMismatch(dict(zip(numbers[::2], numbers[1::2], strict=True)))
            if said[0] != b"OK":
                raise Fenced("a view cell has another epoch from some partition of the call")

    def _check_older(self, answers: Sequence[Any]) -> None:
        """See that no view cell was claimed by a newer release, which keeps it otherwise.

        Raises:
            NewerRelease: one was.
        """
        for said in answers:
            if said[0] == b"NEWER":
                raise self._settings.newer(int(said[1]))

    def _old_hours(self, merges: Sequence[Merge], now_ms: int) -> dict[int, list[Hour]]:
        """By group, the hours that are too old when these merges are done; looked for where time has moved on."""
        latest_hour = now_ms // HOUR_MS - self._activity_hours  # the clock may have been ahead, and be right again
        self._oldest_hour = [min(hour, latest_hour) for hour in self._oldest_hour]
        newest: dict[int, int] = {}
        calls: Counter[int] = Counter()
        for merge in merges:
            group = merge.view_cell % self._groups
            newest[group] = max(newest.get(group, 0), *(one.watermark.newest_ms for one in merge.ranges))
            calls[group] += 1
        found: dict[int, list[Hour]] = {}
        for group, newest_ms in newest.items():
            oldest_hour = min(newest_ms, now_ms) // HOUR_MS - self._activity_hours
            found[group] = []
            if oldest_hour > self._oldest_hour[group]:
                found[group] = self._older(group, oldest_hour)
                if len(found[group]) <= GONE_MAX * calls[group]:
                    self._oldest_hour[group] = oldest_hour
        return found

    def _request(self, merge: Merge, old: list[Hour], now_ms: int) -> tuple[Key, Request]:
        """A merge as a request, which takes some of the old hours along."""
        group = merge.view_cell % self._groups
        gone, old[:] = old[:GONE_MAX], old[GONE_MAX:]
        oldest_hour = self._oldest_hour[group]
        latest_ms = now_ms + AHEAD_MAX_MS
        return merge_request(self._keys, group, merge, self._listed_sessions_max, oldest_hour, latest_ms, gone)

    def erase(self) -> None:
        """Delete all that was ever merged.

        Readers are told before and after: versions begin anew, and the same number may then mean another thing.
        """
        meta = self._keys.meta
        self._execute(meta, "HINCRBY", meta, "erased", 1)
        self._client.erase(self._keys.view_pattern)
        self._execute(meta, "HINCRBY", meta, "erased", 1)
        self._oldest_hour = [0] * self._groups

    def watermarks(self) -> Mapping[int, Watermark]:
        """How far each source partition's time has come, by what all view cells have heard."""
        heard: dict[int, Watermark] = {}
        for fields in self._client.execute([(key, ("HGETALL", key)) for key in self._sources()]):
            for partition, said in fields.items():
                _, _, mark = source_in(said)
                known = heard.get(int(partition))
                if known is None or mark.at_ms < known.at_ms:
                    heard[int(partition)] = mark
        return heard

    def _shop_time_ms(self, now_ms: int) -> int:
        return shop_time_ms(self.watermarks().values(), now_ms)

    def sessions_of(self, product_ids: Collection[ProductId], limit: int) -> dict[ProductId, dict[SessionKey, int]]:
        """List the sessions that touched each product, newest first."""
        self._check_layout()
        last = min(limit, self._listed_sessions_max) - 1
        keys = [self._keys.list(self._group_of(product_id), product_id) for product_id in product_ids]
        answers = self._client.execute([(key, ("ZRANGE", key, 0, last, "REV", "WITHSCORES")) for key in keys])
        return {product_id: listed_in(answer) for product_id, answer in zip(product_ids, answers, strict=True)}

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductState]:
        """Read products."""
        read = self._fields(_FIELDS, product_ids)
        return {product_id: state_in(*said) for product_id, said in read.items() if said[0] is not None}

    def tallies(self, product_ids: Collection[ProductId]) -> dict[ProductId, ProductStats]:
        """Read the numbers of products."""
        return {
            product_id: ProductStats(interactions_in(row), int(ratings or 0), int(rating_sum or 0))
            for product_id, (row, ratings, rating_sum) in self._fields(_FIELDS, product_ids).items()
            if row is not None
        }

    def interactions_of(self, product_ids: Collection[ProductId]) -> dict[ProductId, int]:
        """How many views, carts and purchases products had."""
        read = self._fields(_FIELDS[:1], product_ids)
        return {product_id: interactions_in(row) for product_id, (row,) in read.items() if row is not None}

    def _fields(self, names: Sequence[str], product_ids: Collection[ProductId]) -> dict[ProductId, tuple[Any, ...]]:
        """Read fields of products, those of all groups by one request."""
        self._check_layout()
        by_group = self._by_group(product_ids)
        asked = [(self._keys.view(group, name), ids) for group, ids in by_group.items() for name in names]
        answers = iter(self._client.execute([(key, ("HMGET", key, *ids)) for key, ids in asked]))
        found: dict[ProductId, tuple[Any, ...]] = {}
        for ids in by_group.values():
            found.update(zip(ids, zip(*[next(answers) for _ in names], strict=True), strict=True))
        return found

    def sums(self, projection: str, product_ids: Collection[ProductId]) -> dict[ProductId, dict[str, int]]:
        """Read the sums of products: first the names of what is measured, then the fields of each product."""
        self._check_layout()
        by_group = self._by_group(product_ids)
        keys = [self._keys.measures(group, projection) for group in by_group]
        measures = self._client.execute([(key, ("HKEYS", key)) for key in keys]) if keys else []
        asked: list[tuple[Key, list[tuple[ProductId, str]]]] = []
        for (group, ids), names in zip(by_group.items(), measures, strict=True):
            if names:
                sums = [(product_id, name.decode()) for product_id in ids for name in names]
                asked.append((self._keys.sums(group, projection), sums))
        requests: list[tuple[Key, Request]] = [
            (key, ("HMGET", key, *(sum_field(measure, product_id) for product_id, measure in sums)))
            for key, sums in asked
        ]
        found: dict[ProductId, dict[str, int]] = {}
        for (_, sums), values in zip(asked, self._client.execute(requests) if requests else [], strict=True):
            for (product_id, measure), value in zip(sums, values, strict=True):
                if value is not None:
                    found.setdefault(product_id, {})[measure] = int(value)
        return found

    def interactions(self) -> int:
        """How many views, carts and purchases there were."""
        totals = [self._keys.view(group, "totals") for group in range(self._groups)]
        return sum(
            int(said or 0) for said in self._client.execute([(key, ("HGET", key, "interactions")) for key in totals])
        )

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Rank products by what is done with them lately."""
        return self._trending.ranked(settings, category, limit, country, max_staleness_ms, now_ms)

    def _older(self, group: int, oldest_hour: int) -> list[Hour]:
        """The hours before one that have activity, of all countries."""
        known = self._keys.view(group, "countries")
        countries = [None, *(country.decode() for country in self._execute(known, "HKEYS", known))]
        keys = [self._keys.hours(group, country) for country in countries]
        answers = self._client.execute([(key, ("HKEYS", key)) for key in keys])
        listed = ((int(hour), country) for country, hours in zip(countries, answers, strict=True) for hour in hours)
        return [(hour, country) for hour, country in listed if hour < oldest_hour]

    def top_rated(self, prior_ratings: float, limit: int) -> Sequence[RatedProduct]:
        """Rank products by the Bayesian average of their ratings."""
        rated: list[tuple[ProductId, int, int]] = []
        for names in self._listed("ratings"):
            numbers = self._fields(_FIELDS[1:], names)
            rated += [(id_, int(n), int(sum_ or 0)) for id_, (n, sum_) in numbers.items() if int(n or 0)]
        total = sum(ratings for _, ratings, _ in rated)
        mean = sum(rating_sum for *_, rating_sum in rated) / total if total else 0.0
        averages = [RatedProduct(id_, bayesian_average(n, sum_, mean, prior_ratings), n) for id_, n, sum_ in rated]
        return sorted(averages, key=lambda one: (-one.average, one.product_id))[:limit]

    def scan(self) -> Iterator[tuple[ProductId, ProductState]]:
        """Read every product. The ids of all are held meanwhile: Redis may list one twice."""
        for names in self._listed("products"):
            yield from self.products(names).items()

    def _listed(self, name: str) -> Iterator[list[ProductId]]:
        """The products that a hash of each group has, some at a time: all at once would hold up every other reader."""
        self._check_layout()
        for group in range(self._groups):
            key = self._keys.view(group, name)
            seen: set[bytes] = set()
            cursor = -1
            while cursor:
                cursor, fields = self._execute(key, "HSCAN", key, max(cursor, 0), "COUNT", SCANNED_PRODUCTS)
                names = [field for field in fields if field not in seen]
                seen.update(names)
                yield [ProductId(field.decode()) for field in names]

    def _check_layout(self) -> None:
        """See once that the store lies as is believed: with another number of view cells, products are elsewhere.

        Raises:
            WrongLog: it does not.
        """
        if not self._is_known:
            meta = self._keys.meta
            layout, view_cells = self._execute(meta, "HMGET", meta, "layout", "view_cells")
            self._settings.check_layout(layout, view_cells)
            self._is_known = view_cells is not None

    def _sources_of(self, partitions: Collection[int]) -> dict[int, list[tuple[int, int, Watermark]]]:
        """For each partition, what each view cell has of it: epoch, position, watermark."""
        names = list(partitions)
        answers = self._client.execute([(key, ("HMGET", key, *names)) for key in self._sources()]) if names else []
        return {name: [source_in(answer[index]) for answer in answers] for index, name in enumerate(names)}

    def _sources(self) -> list[Key]:
        return [self._keys.sources(cell % self._groups, cell) for cell in range(self._settings.view_cells)]

    def _by_group(self, product_ids: Collection[ProductId]) -> dict[int, list[ProductId]]:
        by_group: dict[int, list[ProductId]] = {}
        for product_id in product_ids:
            by_group.setdefault(self._group_of(product_id), []).append(product_id)
        return by_group

    def _group_of(self, product_id: ProductId) -> int:
        """In which group the view cell of a product lies: its number modulo theirs, of which theirs is a multiple."""
        return view_cell_of(product_id, self._groups)

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        asked: Request = request
        return self._client.execute([(key, asked)])[0]
