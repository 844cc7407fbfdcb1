"""Trending products: a leaderboard for each group of view cells, updated from the hours that have changed."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any

from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings, latest_hour, ranked
from realtime_pipeline.domain.views.activity import HOUR_MS
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.leaderboard import CategoryIndex, Leaderboard, Row
from realtime_pipeline.infrastructure.redis.rows import decode_row
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

LOOKED_UP_AT_ONCE = 500
FOLLOWED_COUNTRIES_MAX = 50
"""The leaderboards of so many countries stay in memory; the country asked for longest ago is evicted."""


class RedisTrending:
    """Keeps leaderboards of each group of view cells, for all countries together and for the countries asked for.

    `shop_time_ms` returns the shop's time, at most the time given.
    """

    def __init__(self, client: RedisClient, settings: RedisSettings, shop_time_ms: Callable[[int], int]) -> None:
        self._client = client
        self._settings = settings
        self._shop_time_ms = shop_time_ms
        self._keys = Keys(settings.namespace)
        self._groups = settings.view_groups
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._followed: dict[str | None, tuple[TrendingSettings, float]] = {}
        self._sorted: dict[str | None, tuple[TrendingSettings, float]] = {}
        self._leaderboards: dict[str | None, list[Leaderboard]] = {}
        self._categories = [CategoryIndex() for _ in range(self._groups)]
        self._lock = Lock()
        self._erased: bytes | None = None

    def ranked(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None,
        max_staleness_ms: int,
        now_ms: int,
    ) -> Sequence[TrendingProduct]:
        """Rank products by their recent actions.

        Only hours that have changed are read, and none within `max_staleness_ms`: while a worker merges, the present
        hour changes all the time. One read serves all categories.
        """
        if self._pid != os.getpid():  # a thread of the parent may have held the lock at the fork
            self._begin()
        rows: list[Row] = []
        with self._lock:
            leaderboards = self._follow(settings, country, max_staleness_ms, now_ms)
            if category is not None:
                self._sort(country, leaderboards)
            for leaderboard, categories in zip(leaderboards, self._categories, strict=True):
                rows += leaderboard.first(limit, None if category is None else categories.members(category))
        return ranked(rows)[:limit]

    def _follow(
        self, settings: TrendingSettings, country: str | None, max_staleness_ms: int, now_ms: int
    ) -> list[Leaderboard]:
        """Return the leaderboards of a country, or of all, by group; update them where they may be too old."""
        now_s = time.monotonic()
        followed_settings, followed_s = self._followed.get(country, (None, 0.0))
        if followed_settings == settings and now_s - followed_s < max_staleness_ms / 1_000:
            return self._leaderboards_of(country)
        self._reset_if_erased()
        leaderboards = self._leaderboards_of(country)
        newest_hour, last_hour = self._shop_time_ms(now_ms) // HOUR_MS, latest_hour(now_ms)
        versions = self._versions(country)
        self._followed.pop(country, None)  # a read that fails leaves the leaderboards half updated
        for group, (leaderboard, categories) in enumerate(zip(leaderboards, self._categories, strict=True)):
            has_moved_on = leaderboard.newest_hour != newest_hour
            leaderboard.follow(settings, newest_hour, last_hour, versions[group], partial(self._hours, group, country))
            if has_moved_on:
                categories.evict_others(
                    {product for by_group in self._leaderboards.values() for product in by_group[group].scores}
                )
        self._followed[country] = settings, now_s
        return leaderboards

    def _reset_if_erased(self) -> None:
        meta = self._keys.meta
        erased, layout, view_cells = self._execute(meta, ("HMGET", meta, "erased", "layout", "view_cells"))
        self._settings.check_layout(layout, view_cells)
        if erased != self._erased:
            self._erased = erased
            self._leaderboards.clear()
            self._followed.clear()
            self._sorted.clear()
            self._categories = [CategoryIndex() for _ in range(self._groups)]

    def _sort(self, country: str | None, leaderboards: Sequence[Leaderboard]) -> None:
        """Sort products into categories, once after each update of the leaderboards."""
        update = self._followed[country]
        if self._sorted.get(country) is not update:
            for group, (moved, last_moved) in enumerate(self._moved()):
                read = partial(self._categories_of, group)
                self._categories[group].sort(leaderboards[group], moved, last_moved, read)
            self._sorted[country] = update

    def _categories_of(self, group: int, products: Collection[bytes]) -> dict[bytes, str]:
        """Read the categories of products that have one, in parts."""
        key, listed = self._keys.view(group, "products"), list(products)
        parts = [listed[at : at + LOOKED_UP_AT_ONCE] for at in range(0, len(listed), LOOKED_UP_AT_ONCE)]
        replies = self._client.execute([(key, ("HMGET", key, *part)) for part in parts])
        found: dict[bytes, str] = {}
        for part, values in zip(parts, replies, strict=True):
            rows = ((product, decode_row(raw)) for product, raw in zip(part, values, strict=True) if raw is not None)
            found.update((product, row.category) for product, row in rows if row.category_ms >= 0)
        return found

    def _leaderboards_of(self, country: str | None) -> list[Leaderboard]:
        """Return the leaderboards of a country, or of all, by group; evict those of the least recent country."""
        leaderboards = self._leaderboards.pop(country, None) or [Leaderboard() for _ in range(self._groups)]
        self._leaderboards[country] = leaderboards
        if len(self._leaderboards) > FOLLOWED_COUNTRIES_MAX:
            oldest = next(iter(self._leaderboards))
            del self._leaderboards[oldest]
            self._followed.pop(oldest, None)
            self._sorted.pop(oldest, None)
        return leaderboards

    def _versions(self, country: str | None) -> list[dict[int, int]]:
        """Read the version of each hour's activity, by group: the number of its changes."""
        keys = [self._keys.hours(group, country) for group in range(self._groups)]
        replies = self._client.execute([(key, ("HGETALL", key)) for key in keys])
        return [{int(hour): int(version) for hour, version in fields.items()} for fields in replies]

    def _hours(self, group: int, country: str | None, hours: Sequence[int]) -> list[Mapping[bytes, bytes]]:
        keys = [self._keys.activity(group, hour, country) for hour in hours]
        return self._client.execute([(key, ("HGETALL", key)) for key in keys])

    def _moved(self) -> Iterator[tuple[Collection[bytes], int]]:
        """Read, for each group, the products that moved to another category since the last call, and the largest
        number of a move."""
        requests: list[tuple[Key, Request]] = []
        for group, categories in enumerate(self._categories):
            key = self._keys.view(group, "moved")
            requests.append((key, ("ZRANGE", key, -1, -1, "WITHSCORES")))
            requests.append((key, ("ZRANGE", key, f"({categories.last_moved}", "+inf", "BYSCORE")))
        replies = iter(self._client.execute(requests))
        for last, moved in zip(replies, replies, strict=True):
            yield moved, int(last[1]) if last else 0

    def _execute(self, key: Key, request: Request) -> Any:
        return self._client.execute([(key, request)])[0]
