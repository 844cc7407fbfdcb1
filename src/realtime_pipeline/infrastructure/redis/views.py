"""Views in Redis."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from realtime_pipeline.application.errors import Fenced, PositionMismatch, UnrecoverableState
from realtime_pipeline.application.ports.views import Merge, Views
from realtime_pipeline.domain.shop.last_write import AHEAD_MAX_MS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.merge_request import Hour, merge_request
from realtime_pipeline.infrastructure.redis.rows import source_in
from realtime_pipeline.infrastructure.redis.settings import LAYOUT, RedisSettings

GONE_MAX = 1_000
"""How many hours of countries are let go of by one call."""


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
        self._oldest_hour = [0] * self._groups

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

    def _older(self, group: int, oldest_hour: int) -> list[Hour]:
        """The hours before one that have activity, of all countries."""
        known = self._keys.view(group, "countries")
        countries = [None, *(country.decode() for country in self._execute(known, "HKEYS", known))]
        keys = [self._keys.hours(group, country) for country in countries]
        answers = self._client.execute([(key, ("HKEYS", key)) for key in keys])
        listed = ((int(hour), country) for country, hours in zip(countries, answers, strict=True) for hour in hours)
        return [(hour, country) for hour, country in listed if hour < oldest_hour]

    def _sources_of(self, partitions: Collection[int]) -> dict[int, list[tuple[int, int, Watermark]]]:
        """For each partition, what each view cell has of it: epoch, position, watermark."""
        names = list(partitions)
        answers = self._client.execute([(key, ("HMGET", key, *names)) for key in self._sources()]) if names else []
        return {name: [source_in(answer[index]) for answer in answers] for index, name in enumerate(names)}

    def _sources(self) -> list[Key]:
        return [self._keys.sources(cell % self._groups, cell) for cell in range(self._settings.view_cells)]

    def _execute(self, key: Key, *request: str | int | bytes) -> Any:
        asked: Request = request
        return self._client.execute([(key, asked)])[0]
