"""What is trending in Redis: kept up to date, for each group of view cells, from the hours that have changed."""

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


class RedisTrending:
    """Follows the activity of each group of view cells, anywhere and in the countries asked for.

    `shop_time_ms` says how far the shop's time has come, at most up to the time given.
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
        self._one_follows = Lock()
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
        """Rank products by what is done with them lately.

        Hours that have not changed are not read again, and within `max_staleness_ms` none are: while a worker merges,
        the present hour is another at every look, and one reading serves all categories.
        """
        if self._pid != os.getpid():  # some thread of the parent may have been half way when the process was forked
            self._begin()
        rows: list[Row] = []
        with self._one_follows:
            followed = self._follow(settings, country, max_staleness_ms, now_ms)
            if category is not None:
                self._sort(country, followed)
            for trends, categories in zip(followed, self._categories, strict=True):
                rows += trends.first(limit, None if category is None else categories.members(category))
        return ranked(rows)[:limit]

    def _follow(
        self, settings: TrendingSettings, country: str | None, max_staleness_ms: int, now_ms: int
    ) -> list[Leaderboard]:
        """What is known of a country, or of all, by group, brought up to date where it may be too old."""
        now_s = time.monotonic()
        known_rules, known_s = self._followed.get(country, (None, 0.0))
        if known_rules == settings and now_s - known_s < max_staleness_ms / 1_000:
            return self._leaderboards_of(country)
        self._reset_where_erased()
        every = self._leaderboards_of(country)
        newest_hour, last_hour = self._shop_time_ms(now_ms) // HOUR_MS, latest_hour(now_ms)
        versions = self._versions(country)
        self._followed.pop(country, None)  # should a read fail half way, nothing is as it says
        for group, (trends, categories) in enumerate(zip(every, self._categories, strict=True)):
            has_moved_on = trends.newest_hour != newest_hour
            trends.follow(settings, newest_hour, last_hour, versions[group], partial(self._hours, group, country))
            if has_moved_on:
                categories.evict_others(
                    {product for some in self._leaderboards.values() for product in some[group].scores}
                )
        self._followed[country] = settings, now_s
        return every

    def _reset_where_erased(self) -> None:
        meta = self._keys.meta
        erased, layout, view_cells = self._execute(meta, ("HMGET", meta, "erased", "layout", "view_cells"))
        self._settings.check_layout(layout, view_cells)
        if erased != self._erased:
            self._erased = erased
            self._leaderboards.clear()
            self._followed.clear()
            self._sorted.clear()
            self._categories = [CategoryIndex() for _ in range(self._groups)]

    def _sort(self, country: str | None, followed: Sequence[Leaderboard]) -> None:
        """See which products are of which category now, once after each look at what has changed."""
        look = self._followed[country]
        if self._sorted.get(country) is not look:
            for group, (moved, last_moved) in enumerate(self._moved()):
                self._categories[group].sort(followed[group], moved, last_moved, partial(self._categories_of, group))
            self._sorted[country] = look

    def _categories_of(self, group: int, products: Collection[bytes]) -> dict[bytes, str]:
        """The categories of products that have one, some at a time."""
        key, listed = self._keys.view(group, "products"), list(products)
        parts = [listed[at : at + LOOKED_UP_AT_ONCE] for at in range(0, len(listed), LOOKED_UP_AT_ONCE)]
        answers = self._client.execute([(key, ("HMGET", key, *part)) for part in parts])
        found: dict[bytes, str] = {}
        for part, said in zip(parts, answers, strict=True):
            rows = ((product, decode_row(row)) for product, row in zip(part, said, strict=True) if row is not None)
            found.update((product, row.category) for product, row in rows if row.category_ms >= 0)
        return found

    def _leaderboards_of(self, country: str | None) -> list[Leaderboard]:
        """What is kept of a country, or of all, by group; of the countries asked for longest ago nothing."""
        trends = self._leaderboards.pop(country, None) or [Leaderboard() for _ in range(self._groups)]
        self._leaderboards[country] = trends
        if len(self._leaderboards) > FOLLOWED_COUNTRIES_MAX:
            oldest = next(iter(self._leaderboards))
            del self._leaderboards[oldest]
            self._followed.pop(oldest, None)
            self._sorted.pop(oldest, None)
        return trends

    def _versions(self, country: str | None) -> list[dict[int, int]]:
        """How often the activity of each hour has changed, by group."""
        keys = [self._keys.hours(group, country) for group in range(self._groups)]
        answers = self._client.execute([(key, ("HGETALL", key)) for key in keys])
        return [{int(hour): int(version) for hour, version in said.items()} for said in answers]

    def _hours(self, group: int, country: str | None, hours: Sequence[int]) -> list[Mapping[bytes, bytes]]:
        keys = [self._keys.activity(group, hour, country) for hour in hours]
        return self._client.execute([(key, ("HGETALL", key)) for key in keys])

    def _moved(self) -> Iterator[tuple[Collection[bytes], int]]:
        """For each group, the products that have gone to another category since that was looked at last, and the
        number of the last one there is."""
        asked: list[tuple[Key, Request]] = []
        for group, categories in enumerate(self._categories):
            key = self._keys.view(group, "moved")
            asked.append((key, ("ZRANGE", key, -1, -1, "WITHSCORES")))
            asked.append((key, ("ZRANGE", key, f"({categories.moved}", "+inf", "BYSCORE")))
        answers = iter(self._client.execute(asked))
        for newest, moved in zip(answers, answers, strict=True):
            yield moved, int(newest[1]) if newest else 0

    def _execute(self, key: Key, request: Request) -> Any:
        return self._client.execute([(key, request)])[0]
