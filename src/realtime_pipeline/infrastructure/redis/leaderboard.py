"""The leaderboard of trending products: a materialised view that reads only the hours that have changed."""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice

import attrs

from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.infrastructure.redis.merge_request import ACTIONS

CATEGORIES_MAX = 1_000
"""The leaders of so many categories stay in memory; the category whose leaders are oldest is evicted."""

Row = tuple[ProductId, int, int]
"""A product, its score in units of 2^-20, and its number of actions."""

Fields = Mapping[bytes, bytes]
"""The activity of an hour as Redis stores it: `v:mug` → number of views."""

Counted = dict[bytes, tuple[int, int]]
"""Products with their score before decay, and their number of actions."""


@attrs.define(eq=False)
class Members:
    """The products of a category; `members_ever` counts all that were ever added."""

    products: set[bytes] = attrs.Factory(set)
    members_ever: int = 0


@attrs.define
class _Leaders:
    """The products of a category, or of all, whose score is at least `floor`, at a version of the leaderboard.

    They are searched again when too few are left, when there are more than `size_max`, or when products were added to
    the category.
    """

    floor: int
    products: set[bytes]
    size_max: int
    version: int
    member_count_seen: int


@attrs.define
class Leaderboard:
    """Scores and actions of products over the window of hours.

    `unsorted` holds the products that no category is known of, new products included. When an hour has changed, only
    the products whose counts changed are added up. When the newest hour moves on, every hour weighs less, and all
    scores are added up again.
    """

    newest_hour: int = 0
    scores: dict[bytes, int] = attrs.Factory(dict)
    actions: dict[bytes, int] = attrs.Factory(dict)
    unsorted: set[bytes] = attrs.Factory(set)
    _settings: TrendingSettings | None = None
    _hours: dict[int, tuple[int, Counted]] = attrs.Factory(dict)
    _version: int = 0
    _changed: deque[set[bytes]] = attrs.Factory(deque)
    _changes: int = 0
    _leaders: dict[Members | None, _Leaders] = attrs.Factory(dict)

    def follow(
        self,
        settings: TrendingSettings,
        newest_hour: int,
        latest_hour: int,
        versions: Mapping[int, int],
        read: Callable[[Sequence[int]], Sequence[Fields]],
    ) -> None:
        """Update the scores to the given versions of the hours; `read` reads the hours that have changed.

        Hours after `newest_hour` and up to `latest_hour` have no age; later hours do not count.
        """
        if settings != self._settings:
            self._hours.clear()
        if (settings, newest_hour) != (self._settings, self.newest_hour):
            self._reset(settings, newest_hour)
        first = newest_hour - settings.window_hours
        current = {hour: version for hour, version in versions.items() if first < hour <= latest_hour}
        stale = [hour for hour, version in current.items() if self._hours.get(hour, (-1, {}))[0] != version]
        counts = [_counted(fields, settings) for fields in read(stale)]
        changed: set[bytes] = set()
        for hour in self._hours.keys() - current.keys():
            changed |= self._replace(hour, self._hours.pop(hour)[1], {})
        for hour, counted in zip(stale, counts, strict=True):
            changed |= self._replace(hour, self._hours.get(hour, (0, {}))[1], counted)
            self._hours[hour] = (current[hour], counted)
        self._record_change(changed)

    def first(self, count: int, members: Members | None = None) -> list[Row]:
        """Return the products with the largest scores, of all or of a category, in no order.

        Those that tie with the last of them are included, so there may be more than `count`.
        """
        if members is not None and not members.products:
            return []
        leaders = self._current_leaders(count, members) or self._find_leaders(count, members)
        scores = {product: self.scores[product] for product in leaders.products}
        least = 1
        if len(scores) > count:
            least = max(1, heapq.nlargest(count, scores.values())[-1])  # numbers alone cost a fifth of rows
        return [
            (ProductId(product.decode()), score, self.actions[product])
            for product, score in scores.items()
            if score >= least
        ]

    def _current_leaders(self, count: int, members: Members | None) -> _Leaders | None:
        """Apply the changes since the leaders were found; None where they must be searched again."""
        leaders = self._leaders.get(members)
        if leaders is None or (members is not None and members.members_ever != leaders.member_count_seen):
            return None
        behind = self._version - leaders.version
        if behind > len(self._changed):
            return None
        for changed in islice(reversed(self._changed), behind):
            for product in changed if members is None else changed & members.products:
                if self.scores[product] >= leaders.floor:
                    leaders.products.add(product)
                else:
                    leaders.products.discard(product)
        leaders.version = self._version
        if members is not None:
            leaders.products &= members.products
        has_enough = len(leaders.products) >= count or leaders.floor == 1
        return leaders if has_enough and len(leaders.products) <= leaders.size_max else None

    def _find_leaders(self, count: int, members: Members | None) -> _Leaders:
        """Find twice as many leaders as are wanted, so that some may drop out before the next search."""
        scores, floor = self.scores, 1
        if members is not None:
            scores = {product: scores[product] for product in members.products if product in scores}
        if len(scores) > 2 * count:
            floor = max(1, heapq.nlargest(2 * count, scores.values())[-1])
        products = {product for product, score in scores.items() if score >= floor}
        self._leaders.pop(members, None)
        if len(self._leaders) >= CATEGORIES_MAX:
            del self._leaders[next(iter(self._leaders))]
        members_seen = 0 if members is None else members.members_ever
        size_max = 4 * max(count, len(products))
        leaders = self._leaders[members] = _Leaders(floor, products, size_max, self._version, members_seen)
        return leaders

    def _reset(self, settings: TrendingSettings, newest_hour: int) -> None:
        self._settings, self.newest_hour = settings, newest_hour
        for collection in (self.scores, self.actions, self.unsorted, self._changed, self._leaders):
            collection.clear()
        self._changes = 0
        for hour, (_, counted) in self._hours.items():
            self._replace(hour, {}, counted)

    def _replace(self, hour: int, before: Counted, after: Counted) -> set[bytes]:
        """Replace the counts of an hour in the scores; return the products whose counts differ."""
        settings, age = self._settings, max(0, self.newest_hour - hour)
        if settings is None or age >= settings.window_hours:
            return set()
        weight, none = settings.hour_weight(age), (0, 0)
        scores, actions = self.scores, self.actions
        self.unsorted.update(after.keys() - scores.keys())
        changed = {product for product, counted in after.items() if before.get(product) != counted}
        changed |= before.keys() - after.keys()
        for product in changed:
            (old_score, old_actions), (score, actions_now) = before.get(product, none), after.get(product, none)
            scores[product] = scores.get(product, 0) + weight * (score - old_score)
            actions[product] = actions.get(product, 0) + actions_now - old_actions
        return changed

    def _record_change(self, changed: set[bytes]) -> None:
        """Record which products changed; evict the oldest changes when they outnumber all products."""
        if changed:
            self._version += 1
            self._changed.append(changed)
            self._changes += len(changed)
        while self._changes > len(self.scores):
            self._changes -= len(self._changed.popleft())


@attrs.define
class CategoryIndex:
    """The categories of a group's trending products; a category is read when its product begins to trend.

    `last_moved` is the largest number seen of a product that moved to another category.
    """

    last_moved: int = 0
    _categories: dict[bytes, str] = attrs.Factory(dict)
    _members: dict[str, Members] = attrs.Factory(dict)

    def sort(
        self,
        leaderboard: Leaderboard,
        moved: Collection[bytes],
        last_moved: int,
        read: Callable[[Collection[bytes]], Mapping[bytes, str]],
    ) -> None:
        """Sort products into categories; `read` reads the categories of new products and of those that have moved.

        A `last_moved` smaller than the number seen means that the store was erased: then all categories are read again.
        """
        known = self._categories
        again = set(known) if last_moved < self.last_moved else known.keys() & set(moved)
        found = read([*again, *(product for product in leaderboard.unsorted if product not in known)])
        for product in again:
            self._remove(product)
        for product, category in found.items():
            known[product] = category
            members = self._members.setdefault(category, Members())
            members.products.add(product)
            members.members_ever += 1
        leaderboard.unsorted = {product for product in (leaderboard.unsorted | again) if product not in known}
        self.last_moved = last_moved

    def evict_others(self, products: Collection[bytes]) -> None:
        """Evict all products but these."""
        for product in self._categories.keys() - products:
            self._remove(product)

    def _remove(self, product: bytes) -> None:
        """Remove a product, and its category when it is empty: shops never stop making up new names."""
        category = self._categories.pop(product)
        members = self._members[category]
        members.products.discard(product)
        if not members.products:
            del self._members[category]

    def members(self, category: str) -> Members:
        """Return the products of a category."""
        return self._members.get(category) or Members()


def _counted(fields: Fields, settings: TrendingSettings) -> Counted:
    weights = {
        letter.encode(): settings.score(attrs.evolve(Activity(), **{action: 1})) for letter, action in ACTIONS.items()
    }
    counted: Counted = {}
    for field, text in fields.items():
        letter, _, product = field.partition(b":")
        count = int(text)
        score, actions = counted.get(product, (0, 0))
        counted[product] = (score + weights[letter] * count, actions + count)
    return counted
