"""What is trending in one view cell, kept up to date from the hours that have changed."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from realtime_pipeline.domain.recommendation.trending import TrendingRules
from realtime_pipeline.domain.streams.effects import Activity
from realtime_pipeline.infrastructure.redis.merges import ACTIONS

Fields = Mapping[bytes, bytes]
"""An hour as Redis has it: `v:mug` to how often it was viewed."""

Counted = dict[bytes, tuple[int, int]]
"""Products with their score, undecayed, and how many actions that are."""


@attrs.define
class Trends:
    """Scores and actions of products over the window.

    An hour that has changed is taken out as it was, and put in as it is: what has not changed costs nothing. When the
    newest hour moves on, every hour weighs less, and all is added up anew.
    """

    scores: dict[bytes, int] = attrs.Factory(dict)
    actions: dict[bytes, int] = attrs.Factory(dict)
    _rules: TrendingRules | None = None
    _newest_hour: int = 0
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
        if (rules, newest_hour) != (self._rules, self._newest_hour):
            self._rules, self._newest_hour = rules, newest_hour
            self.scores.clear()
            self.actions.clear()
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

    def _add(self, hour: int, counted: Counted, sign: int) -> None:
        rules, age = self._rules, self._newest_hour - hour
        if rules is None or not 0 <= age < rules.window_hours:
            return
        weight = sign * rules.hour_weight(age)
        scores, actions = self.scores, self.actions
        for product, (score, done) in counted.items():
            scores[product] = scores.get(product, 0) + weight * score
            actions[product] = actions.get(product, 0) + sign * done


def _counted(fields: Fields, rules: TrendingRules) -> Counted:
    worth = {kind.encode(): rules.score(attrs.evolve(Activity(), **{action: 1})) for kind, action in ACTIONS.items()}
    counted: Counted = {}
    for field, text in fields.items():
        kind, _, product = field.partition(b":")
        count = int(text)
        score, done = counted.get(product, (0, 0))
        counted[product] = (score + worth[kind] * count, done + count)
    return counted
