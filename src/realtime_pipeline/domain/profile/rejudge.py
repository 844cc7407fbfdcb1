"""A visitor's profile that was sent under another filter than the present filter.

Its events were judged when they were folded; the log keeps that judgement, also for a store that is built again under
another filter. There the visitor's events were folded by the present filter, so what the profile says of them does not
hold: taking out of shared sums what this store never added would leave less than nothing.
"""

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.exclusion import Exclusion, fingerprint_of


def rejudged(profile: Customer, session_id: str, sent_filter: str, exclude: Exclusion | None) -> tuple[Customer, bool]:
    """Judge the events of a visitor's profile by the present filter, as far as it is known of them.

    Args:
        profile: the profile as it was sent.
        session_id: the visitor's session id.
        sent_filter: the fingerprint of the filter that its events were judged by.
        exclude: the present filter; None where there is none.

    Returns:
        The profile, and whether its events may be taken out of what customers share: not where the filter is by user
        agents or a rate, which a profile does not have.
    """
    if sent_filter == fingerprint_of(exclude):
        return profile, True
    aliases, visits = profile.aliases, profile.visits
    counted, everything = aliases.contributions, (*aliases.contributions, *aliases.excluded_contributions)
    if exclude is not None and exclude.names(None, session_id):
        aliases = attrs.evolve(aliases, contributions=(), excluded_contributions=everything)
        visits = attrs.evolve(visits, excluded=visits.excluded + len(counted))
    elif exclude is None or not (exclude.user_agents or exclude.events_per_minute_max):
        aliases = attrs.evolve(aliases, contributions=everything, excluded_contributions=())
        visits = attrs.evolve(visits, excluded=0)
    else:
        return profile, False
    return attrs.evolve(profile, aliases=aliases, visits=visits), True
