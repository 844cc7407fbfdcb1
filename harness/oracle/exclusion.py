"""Which events count for their customer's profile alone: of bots, of people who work in the shop, of programs.

Written from the definitions: an event is excluded by its user agent, by one of its ids, or because its customer has had
more events than allowed in its minute, which is the newest minute that the customer has had so far.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import attrs

from harness.oracle.identity import JUDGED_BY, KeyedEvent, merged_profile_in, with_profile
from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ANONYMOUS, Event

MINUTE_MS: Final = 60_000
NOT_SUBTRACTED: Final = "not_subtracted"
"""Marks a merged profile of which nothing may be subtracted from sums."""
NOTHING_EXCLUDED: Final = Exclusion()


def is_excluded(event: Event, exclude: Exclusion) -> bool:
    """Whether an event is excluded by its user agent or its ids, whatever else its customer does."""
    agent = event.context.get("user_agent")
    by_agent = isinstance(agent, str) and any(text.casefold() in agent.casefold() for text in exclude.user_agents)
    return by_agent or not {event.customer_id, event.session_id}.isdisjoint(exclude.ids)


def excluded_in(lifetime: Sequence[KeyedEvent], exclude: Exclusion) -> set[SessionKey]:
    """The keys of the excluded events among a customer's applied events between two forgettings, in log order."""
    excluded: set[SessionKey] = set()
    if exclude == NOTHING_EXCLUDED:
        return excluded
    limit, newest, in_minute = exclude.events_per_minute_max, 0, Counter[int]()
    for key, event in _own_events(lifetime):
        minute = event.occurred_at_ms // MINUTE_MS
        in_minute[minute] += 1
        newest = max(newest, minute)
        is_beyond = 0 < limit < in_minute[minute] and minute == newest
        if is_beyond or is_excluded(event, exclude):
            excluded.add(key)
    return excluded


def newest_minute(lifetime: Sequence[KeyedEvent], exclude: Exclusion) -> tuple[int, int] | None:
    """The newest minute of a customer's events and how many lie in it; None without a limit of their rate."""
    in_minute = Counter(event.occurred_at_ms // MINUTE_MS for _, event in _own_events(lifetime))
    return max(in_minute.items()) if in_minute and exclude.events_per_minute_max else None


def _own_events(lifetime: Iterable[KeyedEvent]) -> Iterable[KeyedEvent]:
    return (keyed for keyed in lifetime if merged_profile_in(keyed[1]) is None)


def without(lifetime: Iterable[KeyedEvent], excluded: set[SessionKey]) -> list[KeyedEvent]:
    """The events that count for all customers."""
    return [keyed for keyed in lifetime if keyed[0] not in excluded]


def is_merge_excluded(event: Event, profile: VisitorProfile, exclude: Exclusion) -> bool:
    """Whether the customer that a profile is merged into, or the visitor, is one of the excluded ids."""
    return not {event.customer_id, profile.customer_id.removeprefix(ANONYMOUS)}.isdisjoint(exclude.ids)


def fingerprint(exclude: Exclusion) -> str:
    """The text by which workers tell a filter from others; "" where nothing is excluded."""
    if exclude == NOTHING_EXCLUDED:
        return ""
    agents = sorted(text.casefold() for text in exclude.user_agents)
    lines = [*agents, "", *sorted(set(exclude.ids)), "", str(exclude.events_per_minute_max)]
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def judged_again(event: Event, exclude: Exclusion) -> Event:
    """An event with its merged profile as the present filter judges it, where another filter had judged it.

    A visitor on the list did nothing that counts for all; without user agents and a rate to judge by, everything counts
    that no list forbids; else the profile stays as it is, and nothing of it may be subtracted from sums.
    """
    profile = merged_profile_in(event)
    if profile is None or event.properties[JUDGED_BY] == fingerprint(exclude):
        return event
    everything = profile.contributions + profile.excluded_contributions
    if profile.customer_id.removeprefix(ANONYMOUS) in exclude.ids:
        more = len(profile.contributions)
        left = attrs.evolve(
            profile, contributions=(), excluded_contributions=everything, excluded=profile.excluded + more
        )
        return with_profile(event, left)
    if exclude.user_agents or exclude.events_per_minute_max:
        return event._replace(properties={**event.properties, NOT_SUBTRACTED: True})
    return with_profile(event, attrs.evolve(profile, contributions=everything, excluded_contributions=(), excluded=0))


def retracted_in(
    events: Sequence[KeyedEvent], duplicates: Mapping[int, Sequence[Contribution]], exclude: Exclusion
) -> list[Contribution]:
    """The events of merged profiles that no longer count for all customers.

    Args:
        events: all events of a customer, in log order.
        duplicates: by the index of an applied merge, what visitor and customer have both counted.
        exclude: where it names the customer or the visitor, it is all that is known of the visitor.
    """
    retracted: list[Contribution] = []
    for number, counted_twice in duplicates.items():
        _, event = events[number]
        profile = merged_profile_in(event)
        if profile is not None and NOT_SUBTRACTED not in event.properties:
            retracted += profile.contributions if _is_merge_excluded(event, profile, exclude) else counted_twice
    return retracted


def with_excluded_profiles(
    events: Sequence[KeyedEvent], duplicates: Mapping[int, Sequence[Contribution]], exclude: Exclusion
) -> list[KeyedEvent]:
    """The same events; where the customer or the visitor is excluded, the visitor's session ends at the sign-in, and
    all that is known of the visitor's events, but for the duplicates that were subtracted, is excluded."""
    found = []
    for number, (key, event) in enumerate(events):
        profile = merged_profile_in(event)
        if profile is not None and number in duplicates and _is_merge_excluded(event, profile, exclude):
            more = len(profile.contributions) - len(duplicates[number])
            left = attrs.evolve(profile, open_sessions=[], excluded=profile.excluded + more)
            event = with_profile(event, left)  # noqa: PLW2901
        found.append((key, event))
    return found


def _is_merge_excluded(event: Event, profile: VisitorProfile, exclude: Exclusion) -> bool:
    return not {event.customer_id, profile.customer_id.removeprefix(ANONYMOUS)}.isdisjoint(exclude.ids)
