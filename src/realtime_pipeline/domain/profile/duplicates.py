"""Events that come again across a sign-in.

A client that sends an event again after the sign-in adds the user id. The two copies then have two owners: the visitor
counts the first, the customer the second, and neither knows of the other until the visitor's profile is merged. The
merge finds the ids that both have counted, and takes the visitor's copies out of the profile that it merges.
"""

from collections.abc import Iterable, Sequence

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import CannotMerge


def duplicates_in(events: Iterable[Contribution], customer: Customer) -> list[Contribution]:
    """Find those of a visitor's events that a customer has counted, too, by the ids of the events."""
    return [event for event in events if customer.seen.has_counted(event.digest)]


def check_kinds(events: Iterable[Contribution]) -> None:
    """Check that this release knows what each of some events has added.

    Raises:
        CannotMerge: one is of a kind that only a newer release can take out again.
    """
    unknown = sorted({event.kind for event in events if not (event.kind.is_known or event.kind.is_custom)})
    if unknown:
        raise CannotMerge(f"what the visitor's {', '.join(unknown)} added must be taken out again")


def without_duplicates(
    profile: Customer, duplicates: Sequence[Contribution], excluded: Sequence[Contribution], settings: ProfileSettings
) -> Customer:
    """Take single events out of a visitor's profile, excluded ones and others: out of counts, purchases, affinity and
    exposures.

    Times and the products of sessions stay: the customer's own copy of the event gives the same. A session counts the
    event as often as it came.
    """
    duplicates = [*duplicates, *excluded]
    if not duplicates:
        return profile
    visits = profile.visits.without(duplicates)
    visits.excluded -= len(excluded)
    return attrs.evolve(
        profile,
        visits=visits,
        interests=profile.interests.without(duplicates, settings),
        purchases=profile.purchases.without(duplicates),
        exposures=profile.exposures.without(duplicates),
    )
