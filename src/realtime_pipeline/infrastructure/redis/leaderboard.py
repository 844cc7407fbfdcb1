"""What is known of the products that trend: scores kept up to date from the hours that have changed."""

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
"""Of how many categories it is kept which products lead."""

Row = tuple[ProductId, int, int]
"""A product, its score in 2^-20, and how many actions that are."""

Fields = Mapping[bytes, bytes]
"""An hour as Redis has it: `v:mug` to how often it was viewed."""

Counted = dict[bytes, tuple[int, int]]
"""Products with their score, undecayed, and how many actions that are."""


@attrs.define(eq=False)
class Members:
    """The products of a category; `joined` is how many have ever come in."""

    products: set[bytes] = attrs.Factory(set)
    members_ever: int = 0


@attrs.define
class _Leaders:
    """The products of a category, or of all, whose score is at least `floor`, as of a turn.

    Found anew where there are too few of them, more than `most`, or where other products have joined since.
    """

    floor: int
    products: set[bytes]
    most: int
    version: int
    member_count_seen: int


@attrs.define
class Leaderboard:
    """Scores and actions of products over the window.

    `unsorted` are products that have come since they were last sorted into categories, and those that have none. Of an
    hour that has changed, only what is another number now costs anything. When the newest hour moves on, every hour
    weighs less, and all is added up anew.
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
        """Bring all up to the versions of the hours; `read` is asked for those that have changed.

        Hours after the newest and up to the latest have no age, later ones do not count.
        """
        if settings != self._settings:
            self._hours.clear()
        if (settings, newest_hour) != (self._settings, self.newest_hour):
            self._reset(settings, newest_hour)
        first = newest_hour - settings.window_hours
        current = {hour: version for hour, version in versions.items() if first < hour <= latest_hour}
        others = [hour for hour, version in current.items() if self._hours.get(hour, (-1, {}))[0] != version]
        found = [_counted(fields, settings) for fields in read(others)]
        changed: set[bytes] = set()
        for hour in self._hours.keys() - current.keys():
            changed |= self._replace(hour, self._hours.pop(hour)[1], {})
        for hour, counted in zip(others, found, strict=True):
            changed |= self._replace(hour, self._hours.get(hour, (0, {}))[1], counted)
            self._hours[hour] = (current[hour], counted)
        self._record_change(changed)

    def first(self, count: int, members: Members | None = None) -> list[Row]:
        """The products with the largest scores, of all or of a category's; with those that tie with the last, in no
        order."""
        if members is not None and not members.products:
            return []
        leaders = self._current_leaders(count, members) or self._find_leaders(count, members)
        scores = {product: self.scores[product] for product in leaders.products}
        least = 1
        if len(scores) > count:
            least = max(1, heapq.nlargest(count, scores.values())[-1])  # of numbers alone: a fifth of the cost of rows
        return [
            (ProductId(product.decode()), score, self.actions[product])
            for product, score in scores.items()
            if score >= least
        ]

    def _current_leaders(self, count: int, members: Members | None) -> _Leaders | None:
        """Who leads, after the changes since they were found; None where they must be found anew."""
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
        is_enough = len(leaders.products) >= count or leaders.floor == 1
        return leaders if is_enough and len(leaders.products) <= leaders.most else None

    def _find_leaders(self, count: int, members: Members | None) -> _Leaders:
        """Find twice as many as are wanted, so that some may fall behind before all must be looked through again."""
        scores, floor = self.scores, 1
        if members is not None:
            scores = {product: scores[product] for product in members.products if product in scores}
        if len(scores) > 2 * count:
            floor = max(1, heapq.nlargest(2 * count, scores.values())[-1])
        products = {product for product, score in scores.items() if score >= floor}
        self._leaders.pop(members, None)
        if len(self._leaders) >= CATEGORIES_MAX:
            del self._leaders[next(iter(self._leaders))]
        joined = 0 if members is None else members.members_ever
        found = self._leaders[members] = _Leaders(floor, products, 4 * max(count, len(products)), self._version, joined)
        return found

    def _reset(self, settings: TrendingSettings, newest_hour: int) -> None:
        self._settings, self.newest_hour = settings, newest_hour
        for kept in (self.scores, self.actions, self.unsorted, self._changed, self._leaders):
            kept.clear()
        self._changes = 0
        for hour, (_, counted) in self._hours.items():
            self._replace(hour, {}, counted)

    def _replace(self, hour: int, before: Counted, after: Counted) -> set[bytes]:
        """Take what an hour had out, and put in what it has; return the products of which that is another number."""
        settings, age = self._settings, max(0, self.newest_hour - hour)
        if settings is None or age >= settings.window_hours:
            return set()
        weight, none = settings.hour_weight(age), (0, 0)
        scores, actions = self.scores, self.actions
        self.unsorted.update(after.keys() - scores.keys())
        changed = {product for product, counted in after.items() if before.get(product) != counted}
        changed |= before.keys() - after.keys()
        for product in changed:
            (old_score, was_done), (score, done) = before.get(product, none), after.get(product, none)
            scores[product] = scores.get(product, 0) + weight * (score - old_score)
            actions[product] = actions.get(product, 0) + done - was_done
        return changed

    def _record_change(self, changed: set[bytes]) -> None:
        """Keep in mind what has changed, as long as that is less than all there is."""
        if changed:
            self._version += 1
            self._changed.append(changed)
            self._changes += len(changed)
        while self._changes > len(self.scores):
            self._changes -= len(self._changed.popleft())


@attrs.define
class CategoryIndex:
    """Which of a group's products are of which category, learned when they begin to trend.

    `moved` is the number of the last product that was found to have gone from one category to another.
    """

    moved: int = 0
    _of: dict[bytes, str] = attrs.Factory(dict)
    _members: dict[str, Members] = attrs.Factory(dict)

    def sort(
        self,
        trends: Leaderboard,
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
            self._remove(product)
        for product, category in found.items():
            self._of[product] = category
            members = self._members.setdefault(category, Members())
            members.products.add(product)
            members.members_ever += 1
        trends.unsorted = {product for product in (trends.unsorted | again) if product not in self._of}
        self.moved = last_moved

    def evict_others(self, products: Collection[bytes]) -> None:
        """Let go of what is known of other products."""
        for product in self._of.keys() - products:
            self._remove(product)

    def _remove(self, product: bytes) -> None:
        """Take a product out of its category, and with the last the category: shops make up new names for ever."""
        category = self._of.pop(product)
        members = self._members[category]
        members.products.discard(product)
        if not members.products:
            del self._members[category]

    def members(self, category: str) -> Members:
        """The products of a category."""
        return self._members.get(category) or Members()


def _counted(fields: Fields, settings: TrendingSettings) -> Counted:
    worth = {kind.encode(): settings.score(attrs.evolve(Activity(), **{action: 1})) for kind, action in ACTIONS.items()}
    counted: Counted = {}
    for field, text in fields.items():
        kind, _, product = field.partition(b":")
        count = int(text)
        score, done = counted.get(product, (0, 0))
        counted[product] = (score + worth[kind] * count, done + count)
    return counted
