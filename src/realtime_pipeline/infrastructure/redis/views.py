"""Views in Redis."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, PositionMismatch, UnrecoverableState
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.views import Merge, Views
from realtime_pipeline.domain.shop.last_write import FUTURE_SKEW_MAX_MS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.domain.views.sales import first_needed_ms
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.merge_request import Hour, merge_request
from realtime_pipeline.infrastructure.redis.rows import parse_source
from realtime_pipeline.infrastructure.redis.settings import CLAIM_LAYOUT, RedisSettings

FIRST_SALE_TTL_MS = 60_000
EXPIRED_HOURS_MAX = 1_000
"""How many expired hours, each of one country, a merge deletes at most."""


class RedisViews(Views):
    """Keeps hashes with a field for each product, and a sorted set of sessions for each product.

    Products share a hash, because one command with many fields costs a tenth of many commands.
    """

    def __init__(
        self,
        client: RedisClient,
        settings: RedisSettings,
        listed_sessions_max: int,
        activity_retention_hours: int,
        stock_lateness_ms: int = FoldSettings().stock_lateness_ms,
    ) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)
        self._settings = settings
        self._groups = settings.view_groups
        self._listed_sessions_max = listed_sessions_max
        self._activity_hours = activity_retention_hours
        self._stock_lateness_ms = stock_lateness_ms
        self._oldest_hour = [0] * self._groups
        self._first_sale_ms = self._first_sale_read_ms = 0

    @property
    def view_cells(self) -> int:
        """The number of view cells."""
        return self._settings.view_cells

    @property
    def merge_records_max(self) -> int:
        """How many records a merge may cover, all its calls together. A longer call would block readers of its node."""
        return self._settings.merge_records_max * self._settings.view_cells

    @property
    def linger_ms(self) -> int:
        """How long merges linger: each makes a call for every view cell, however little it adds there."""
        return self._settings.merge_linger_ms

    def epoch(self, partition: int) -> int:
        """Read the largest epoch that any view cell has of a partition."""
        return max(epoch for epoch, _, _ in self._sources_of([partition])[partition])

    def claim(self, partition: int, epoch: int) -> tuple[int, ...]:
        """Write a new epoch to every view cell, which fences earlier owners, then read the positions."""
        self._check_positions(partition)
        keys = [(key, self._keys.view(cell % self._groups, "totals")) for cell, key in enumerate(self._sources())]
        requests: list[tuple[Key, Request]] = [
            (key, ("FCALL", "rp12_claim_views", 2, key, totals, partition, epoch, CLAIM_LAYOUT)) for key, totals in keys
        ]
        replies = self._client.execute(requests)
        self._check_not_newer(replies)
        if any(reply[0] != b"OK" for reply in replies):
            raise Fenced(f"some view cell has epoch {epoch} or a larger one from partition {partition} already")
        return tuple(int(reply[1]) for reply in replies)

    def _check_positions(self, partition: int) -> None:
        """Check that no view cell has lost its position of a partition: its merges would be done again.

        The view cells of a group are on one node, and no merge begins before all view cells are claimed. So where a
        view cell has no entry of a partition that others of its group have merged, its entry was deleted.

        Raises:
            UnrecoverableState: a view cell has lost its position.
        """
        sources = self._sources_of([partition])[partition]
        for group in range(self._groups):
            in_group = sources[group :: self._groups]
            lost = [number for number, (epoch, _, _) in enumerate(in_group) if not epoch]
            furthest = max(position for _, position, _ in in_group)
            if lost and furthest:
                key = self._keys.sources(group, group + lost[0] * self._groups)
                raise UnrecoverableState(
                    f"partition {partition}: the position of a view cell is missing in {key}, while its group has "
                    f"positions up to {furthest}: somebody has deleted it; rebuild the store from the log"
                )

    def positions(self, partitions: Collection[int]) -> Mapping[int, tuple[int, ...]]:
        """Read the position of each view cell in each partition."""
        by_partition = self._sources_of(partitions)
        return {partition: tuple(position for _, position, _ in sources) for partition, sources in by_partition.items()}

    def merge(self, merges: Sequence[Merge], now_ms: int = END_OF_TIME) -> None:
        """Merge deltas into view cells, each by one Function call; all calls to a node share a round trip."""
        expired = self._expired_hours(merges, now_ms)
        if any(merge.deltas.sales for merge in merges):
            self._refresh_first_sale(now_ms)
        requests = [self._request(merge, expired[merge.view_cell % self._groups], now_ms) for merge in merges]
        replies = self._client.execute(requests)
        self._check_not_newer(replies)
        for reply in replies:
            if reply[0] == b"POSITION_MISMATCH":
                numbers = [int(number) for number in reply[1:]]
                raise PositionMismatch(dict(zip(numbers[::2], numbers[1::2], strict=True)))
            if reply[0] != b"OK":
                raise Fenced("a view cell has another epoch from some partition of the call")

    def _check_not_newer(self, replies: Sequence[Any]) -> None:
        """Check that no newer release has claimed a view cell.

        Raises:
            NewerRelease: a newer release has claimed a view cell, and may have changed its layout.
        """
        for reply in replies:
            if reply[0] == b"NEWER":
                raise self._settings.newer(int(reply[1]))

    def _expired_hours(self, merges: Sequence[Merge], now_ms: int) -> dict[int, list[Hour]]:
        """List, by group, the hours that expire with these merges; they are read only when the oldest hour moves on."""
        latest_hour = now_ms // HOUR_MS - self._activity_hours  # a clock that was ahead may be right again
        self._oldest_hour = [min(hour, latest_hour) for hour in self._oldest_hour]
        newest: dict[int, int] = {}
        calls: Counter[int] = Counter()
        for merge in merges:
            group = merge.view_cell % self._groups
            newest[group] = max(newest.get(group, 0), *(source.watermark.newest_ms for source in merge.ranges))
            calls[group] += 1
        expired: dict[int, list[Hour]] = {}
        for group, newest_ms in newest.items():
            oldest_hour = min(newest_ms, now_ms) // HOUR_MS - self._activity_hours
            expired[group] = []
            if oldest_hour > self._oldest_hour[group]:
                expired[group] = self._hours_before(group, oldest_hour)
                if len(expired[group]) <= EXPIRED_HOURS_MAX * calls[group]:
                    self._oldest_hour[group] = oldest_hour
        return expired

    def _request(self, merge: Merge, expired: list[Hour], now_ms: int) -> tuple[Key, Request]:
        """Write a merge as a request that deletes some of the expired hours; remove these from the list."""
        group = merge.view_cell % self._groups
        deleted, expired[:] = expired[:EXPIRED_HOURS_MAX], expired[EXPIRED_HOURS_MAX:]
        oldest_hour = self._oldest_hour[group]
        latest_ms = now_ms + FUTURE_SKEW_MAX_MS
        return merge_request(
            self._keys, group, merge, self._listed_sessions_max, oldest_hour, latest_ms, deleted, self._first_sale_ms
        )

    def _refresh_first_sale(self, now_ms: int) -> None:
        """Read, at most once a minute, before which time sales decide nothing. An older value only deletes less."""
        if 0 <= now_ms - self._first_sale_read_ms < FIRST_SALE_TTL_MS:
            return
        self._first_sale_read_ms = now_ms
        meta = self._keys.meta
        built_from, *sources = self._client.execute(
            [(meta, ("HGET", meta, "built_from")), *((key, ("HVALS", key)) for key in self._sources())]
        )
        if built_from is not None:
            partitions = LogIdentity.partitions_in(built_from.decode())
            times_ms = [[parse_source(raw)[2].at_ms for raw in values] for values in sources]
            self._first_sale_ms = min(first_needed_ms(times, partitions, self._stock_lateness_ms) for times in times_ms)

    def erase(self) -> None:
        """Delete all view cells.

        Versions of hours then begin at 1 again. The count of erasures, raised before and after, tells readers to reset
        their leaderboards.
        """
        meta = self._keys.meta
        self._execute(meta, "HINCRBY", meta, "erased", 1)
        self._first_sale_ms = self._first_sale_read_ms = 0
        self._client.erase(self._keys.view_pattern)
        self._execute(meta, "HINCRBY", meta, "erased", 1)
        self._oldest_hour = [0] * self._groups

    def _hours_before(self, group: int, oldest_hour: int) -> list[Hour]:
        """List the hours before `oldest_hour` that have activity, of each country and of all."""
        index = self._keys.view(group, "countries")
        countries = [None, *(country.decode() for country in self._execute(index, "HKEYS", index))]
        keys = [self._keys.hours(group, country) for country in countries]
        replies = self._client.execute([(key, ("HKEYS", key)) for key in keys])
        listed = ((int(hour), country) for country, hours in zip(countries, replies, strict=True) for hour in hours)
        return [(hour, country) for hour, country in listed if hour < oldest_hour]

    def _sources_of(self, partitions: Collection[int]) -> dict[int, list[tuple[int, int, Watermark]]]:
        """Read what each view cell has of each partition: epoch, position, watermark."""
        fields = list(partitions)
        replies = self._client.execute([(key, ("HMGET", key, *fields)) for key in self._sources()]) if fields else []
        return {field: [parse_source(reply[index]) for reply in replies] for index, field in enumerate(fields)}

    def _sources(self) -> list[Key]:
        return [self._keys.sources(cell % self._groups, cell) for cell in range(self._settings.view_cells)]

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        return self._client.execute([(key, request)])[0]
