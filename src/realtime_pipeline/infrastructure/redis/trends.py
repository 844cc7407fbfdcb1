"""What is trending in a group of view cells, kept up to date from the hours that have changed."""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import attrs

from realtime_pipeline.domain.recommendation.trending import TrendingRules
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.effects import Activity
from realtime_pipeline.infrastructure.redis.merges import ACTIONS

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
