"""What is trending in Redis: kept up to date, for each group of view cells, from the hours that have changed."""

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any

import attrs

from realtime_pipeline.domain.recommendation.trending import Popular, TrendingRules, ranked
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.effects import HOUR_MS, Activity
from realtime_pipeline.infrastructure.redis.exchange import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.merges import ACTIONS
from realtime_pipeline.infrastructure.redis.nodes import Key, RedisNodes
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from realtime_pipeline.infrastructure.redis.values import decode_row

LOOKED_UP_AT_ONCE = 500
FOLLOWED_COUNTRIES_MAX = 50

Row = tuple[ProductId, int, int]
"""A product, its score in 2^-20, and how many actions that are."""

Fields = Mapping[bytes, bytes]
"""An hour as Redis has it: `v:mug` to how often it was viewed."""

Counted = dict[bytes, tuple[int, int]]
"""Products with their score, undecayed, and how many actions that are."""


@attrs.define
class Trends:
    """Scores and actions of products over the window.

    `unsorted` are products that have come since they were last sorted into categories, and those that have none. An
    hour that has changed is taken out as it was, and put in as it is: what has not changed costs nothing. When the
    newest hour moves on, every hour weighs less, and all is added up anew.
    """

    newest_hour: int = 0
    scores: dict[bytes, int] = attrs.Factory(dict)
    actions: dict[bytes, int] = attrs.Factory(dict)
    unsorted: set[bytes] = attrs.Factory(set)
    _rules: TrendingRules | None = None
    _hours: dict[int, tuple[int, Counted]] = attrs.Factory(dict)

    def follow(
        self,
        rules: TrendingRules,
        newest_hour: int,
        versions: Mapping[int, int],
        read: Callable[[Sequence[int]], Sequence[Fields]],
    ) -> None:
        """Bring all up to the versions of the hours; `read` is asked for those that have changed."""
        if rules != self._rules:
            self._hours.clear()
        if (rules, newest_hour) != (self._rules, self.newest_hour):
            self._rules, self.newest_hour = rules, newest_hour
            self.scores.clear()
            self.actions.clear()
            self.unsorted.clear()
            for hour, (_, counted) in self._hours.items():
                self._add(hour, counted, 1)
        first = newest_hour - rules.window_hours
        current = {hour: version for hour, version in versions.items() if first < hour <= newest_hour}
        for hour in [hour for hour, (version, _) in self._hours.items() if current.get(hour) != version]:
            self._add(hour, self._hours.pop(hour)[1], -1)
        changed = [hour for hour in current if hour not in self._hours]
        for hour, fields in zip(changed, read(changed), strict=True):
            counted = _counted(fields, rules)
            self._hours[hour] = (current[hour], counted)
            self._add(hour, counted, 1)

    def first(self, count: int, among: Iterable[bytes] | None = None) -> list[Row]:
        """The products with the largest scores, of all or of some; with those that tie with the last, in no order."""
        scores = self.scores
        if among is not None:
            scores = {product: scores[product] for product in among if product in scores}
        least = 1
        if len(scores) > count:
            least = max(1, heapq.nlargest(count, scores.values())[-1])  # of numbers alone: a fifth of the cost of rows
        return [
            (ProductId(product.decode()), score, self.actions[product])
            for product, score in scores.items()
            if score >= least
        ]

    def _add(self, hour: int, counted: Counted, sign: int) -> None:
        rules, age = self._rules, self.newest_hour - hour
        if rules is None or not 0 <= age < rules.window_hours:
            return
        weight = sign * rules.hour_weight(age)
        scores, actions = self.scores, self.actions
        self.unsorted.update(counted.keys() - scores.keys())
        for product, (score, done) in counted.items():
            scores[product] = scores.get(product, 0) + weight * score
            actions[product] = actions.get(product, 0) + sign * done


@attrs.define
class Categories:
    """Which of a group's products are of which category, learned when they begin to trend.

    `moved` is the number of the last product that was found to have gone from one category to another.
    """

    moved: int = 0
    _of: dict[bytes, str] = attrs.Factory(dict)
    _members: dict[str, set[bytes]] = attrs.Factory(dict)

    def sort(
        self,
        trends: Trends,
        moved: Collection[bytes],
        last_moved: int,
        read: Callable[[Collection[bytes]], Mapping[bytes, str]],
    ) -> None:
        """Learn of which category products are; `read` is asked for those not known, and for those that have moved.

        Where the last to move has a smaller number than was seen, all was begun anew, and all is asked for again.
        """
        again = set(self._of) if last_moved < self.moved else self._of.keys() & set(moved)
        found = read([*again, *(product for product in trends.unsorted if product not in self._of)])
        for product in again:
            self._members[self._of.pop(product)].discard(product)
        for product, category in found.items():
            self._of[product] = category
            self._members.setdefault(category, set()).add(product)
        trends.unsorted = {product for product in (trends.unsorted | again) if product not in self._of}
        self.moved = last_moved

    def keep(self, products: Collection[bytes]) -> None:
        """Let go of what is known of other products."""
        for product in self._of.keys() - products:
            self._members[self._of.pop(product)].discard(product)

    def members(self, category: str) -> Collection[bytes]:
        """The products of a category."""
        return self._members.get(category, ())


def _counted(fields: Fields, rules: TrendingRules) -> Counted:
    worth = {kind.encode(): rules.score(attrs.evolve(Activity(), **{action: 1})) for kind, action in ACTIONS.items()}
    counted: Counted = {}
    for field, text in fields.items():
        kind, _, product = field.partition(b":")
        count = int(text)
        score, done = counted.get(product, (0, 0))
        counted[product] = (score + worth[kind] * count, done + count)
    return counted


class RedisTrending:
    """Follows the activity of each group of view cells, anywhere and in the countries asked for.

    `newest_ms` says the time of the newest event merged.
    """

    def __init__(self, nodes: RedisNodes, rules: RedisRules, newest_ms: Callable[[], int]) -> None:
        self._nodes = nodes
        self._rules = rules
        self._newest_ms = newest_ms
        self._keys = Keys(rules.namespace)
        self._groups = rules.view_groups
        self._followed: dict[str | None, tuple[TrendingRules, float]] = {}
        self._trends: dict[str | None, list[Trends]] = {}
        self._categories = [Categories() for _ in range(self._groups)]
        self._one_follows = Lock()
        self._erased: bytes | None = None

    def ranked(
        self, rules: TrendingRules, category: str | None, limit: int, country: str | None, old_ms: int
    ) -> Sequence[Popular]:
        """Rank products by what is done with them lately.

        Hours that have not changed are not read again, and within `old_ms` none are: while a worker merges, the present
        hour is another at every look, and one reading serves all categories.
        """
        rows: list[Row] = []
        with self._one_follows:
            followed = self._follow(rules, country, old_ms)
            if category is not None:
                for group, (moved, last_moved) in enumerate(self._moved()):
                    self._categories[group].sort(followed[group], moved, last_moved, partial(self._sorted, group))
            for trends, categories in zip(followed, self._categories, strict=True):
                rows += trends.first(limit, None if category is None else categories.members(category))
        return ranked(rows)[:limit]

    def _follow(self, rules: TrendingRules, country: str | None, old_ms: int) -> list[Trends]:
        """What is known of a country, or of all, by group, brought up to date where it may be too old."""
        now_s = time.monotonic()
        known_rules, known_s = self._followed.get(country, (None, 0.0))
        if known_rules == rules and now_s - known_s < old_ms / 1_000:
            return self._trends_of(country)
        self._begin_anew_where_erased()
        every = self._trends_of(country)
        newest_hour = self._newest_ms() // HOUR_MS
        versions = self._versions(country)
        for group, (trends, categories) in enumerate(zip(every, self._categories, strict=True)):
            has_moved_on = trends.newest_hour != newest_hour
            trends.follow(rules, newest_hour, versions[group], partial(self._hours, group, country))
            if has_moved_on:
                categories.keep({product for some in self._trends.values() for product in some[group].scores})
        self._followed[country] = rules, now_s
        return every

    def _begin_anew_where_erased(self) -> None:
        meta = self._keys.meta
        erased, layout, view_cells = self._ask(meta, ("HMGET", meta, "erased", "layout", "view_cells"))
        self._rules.check_layout(layout, view_cells)
        if erased != self._erased:
            self._erased = erased
            self._trends.clear()
            self._followed.clear()
            self._categories = [Categories() for _ in range(self._groups)]

    def _sorted(self, group: int, products: Collection[bytes]) -> dict[bytes, str]:
        """The categories of products that have one, some at a time."""
        key, listed = self._keys.view(group, "products"), list(products)
        parts = [listed[at : at + LOOKED_UP_AT_ONCE] for at in range(0, len(listed), LOOKED_UP_AT_ONCE)]
        answers = self._nodes.ask([(key, ("HMGET", key, *part)) for part in parts])
        found: dict[bytes, str] = {}
        for part, said in zip(parts, answers, strict=True):
            rows = ((product, decode_row(row)) for product, row in zip(part, said, strict=True) if row is not None)
            found.update((product, row.category) for product, row in rows if row.category_ms >= 0)
        return found

    def _trends_of(self, country: str | None) -> list[Trends]:
        """What is kept of a country, or of all, by group; of the countries asked for longest ago nothing."""
        trends = self._trends.pop(country, None) or [Trends() for _ in range(self._groups)]
        self._trends[country] = trends
        if len(self._trends) > FOLLOWED_COUNTRIES_MAX:
            oldest = next(iter(self._trends))
            del self._trends[oldest]
            self._followed.pop(oldest, None)
        return trends

    def _versions(self, country: str | None) -> list[dict[int, int]]:
        """How often the activity of each hour has changed, by group."""
        keys = [self._keys.hours(group, country) for group in range(self._groups)]
        answers = self._nodes.ask([(key, ("HGETALL", key)) for key in keys])
        return [{int(hour): int(version) for hour, version in said.items()} for said in answers]

    def _hours(self, group: int, country: str | None, hours: Sequence[int]) -> list[Mapping[bytes, bytes]]:
        keys = [self._keys.activity(group, hour, country) for hour in hours]
        return self._nodes.ask([(key, ("HGETALL", key)) for key in keys])

    def _moved(self) -> Iterator[tuple[Collection[bytes], int]]:
        """For each group, the products that have gone to another category since that was looked at last, and the
        number of the last one there is."""
        asked: list[tuple[Key, Request]] = []
        for group, categories in enumerate(self._categories):
            key = self._keys.view(group, "moved")
            asked.append((key, ("ZRANGE", key, -1, -1, "WITHSCORES")))
            asked.append((key, ("ZRANGE", key, f"({categories.moved}", "+inf", "BYSCORE")))
        answers = iter(self._nodes.ask(asked))
        for newest, moved in zip(answers, answers, strict=True):
            yield moved, int(newest[1]) if newest else 0

    def _ask(self, key: Key, request: Request) -> Any:
        return self._nodes.ask([(key, request)])[0]
