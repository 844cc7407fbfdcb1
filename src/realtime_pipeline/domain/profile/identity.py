"""A visitor signs in: their profile is merged into the customer's, whose alias they are from then on."""

import attrs

from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.duplicates import check_kinds, duplicates_in, without_duplicates
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.exposures import Exposures
from realtime_pipeline.domain.profile.interests import Interests
from realtime_pipeline.domain.profile.kinds import REVIEWED
from realtime_pipeline.domain.profile.opinions import Opinions
from realtime_pipeline.domain.profile.purchases import Purchases
from realtime_pipeline.domain.profile.rejudge import rejudged
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import detach_unknown, merge_unknown
from realtime_pipeline.domain.shop.events import CustomerId, routing_key


@attrs.frozen
class ProfileMerged:
    """What a visitor had done when they signed in, on its way to the customer they signed in as.

    `signed_in` is the position of the sign-in in the log (partition, position); None where it is not known. `filter` is
    the fingerprint of the filter by which the visitor's events were judged.
    """

    event_id: str
    customer_id: CustomerId
    visitor: CustomerId
    occurred_at_ms: int
    profile: Customer
    signed_in: tuple[int, int] | None = None
    filter: str = ""

    def is_merged_into(self, customer: Customer) -> bool:
        """Whether the customer has it: a partition sends profiles in order, and sends them again for another store."""
        if customer.aliases.visitors.get(self.visitor) == self.event_id:
            return True
        if self.signed_in is None:
            return False
        partition, position = self.signed_in
        return position <= customer.seen.forwarded_up_to.get(partition, -1)


def detach_profile(
    visitor: Customer, identified_as: CustomerId, settings: ProfileSettings, changes: Changes
) -> Customer:
    """Take from a visitor what goes to a customer, as a profile; the visitor becomes an alias of the customer.

    The session touched last goes along, so that it goes on. Other sessions, and reviews, stay the visitor's, and go
    when the visitor is forgotten; so does what tells the visitor's repeats from first deliveries.
    """
    profile = Customer(
        visitor.customer_id,
        visits=visitor.visits.detach(settings, changes),
        interests=visitor.interests,
        purchases=visitor.purchases,
        exposures=visitor.exposures,
    )
    visitor.interests, visitor.purchases, visitor.exposures = Interests(), Purchases(), Exposures()
    staying, going = detach_unknown(visitor.unknown)
    visitor.carry(staying)
    profile.carry(going)
    aliases = visitor.aliases
    if aliases.alias_of is None:  # else the ids are those of events that went to another customer
        profile.seen.merged_ids = visitor.seen.all_digests()
    profile.aliases.contributions = tuple(_standing(event, visitor.opinions) for event in aliases.contributions)
    profile.aliases.excluded_contributions = aliases.excluded_contributions
    visitor.aliases = Aliases(identified_as, aliases.visitors)
    return profile


def _standing(event: Contribution, opinions: Opinions) -> Contribution:
    """Only a review that stands as the visitor's opinion is one of those that the product's ratings count."""
    if event.rating is None or event.kind is not REVIEWED or event.product_id is None:
        return event
    stands = opinions.reviewed.get(event.product_id) == (event.rating, event.at_ms)
    return event if stands else event._replace(rating=None)


def merge_profile(
    customer: Customer,
    merged: ProfileMerged,
    begins: SessionKey,
    settings: ProfileSettings,
    changes: Changes,
    exclude: Exclusion | None = None,
) -> Session | None:
    """Add a visitor's profile to a customer, as if each thing were noted now.

    Events that the customer has counted too, by their ids, are taken out first. A session of the same id goes on, else
    the visitor's becomes one of the customer's, with the key `begins`. Where `exclude` names the customer or the
    visitor, what the visitor did is taken out of what customers share, as far as it is known event by event; and their
    session ends.

    Returns:
        The session that the visitor's session is part of now; None where there is none.

    Raises:
        CannotMerge: both have parts that only a newer release can add up; the customer may have changed by then.
    """
    unknown = merge_unknown(customer.unknown, merged.profile.unknown)
    visitor_session = routing_key(merged.visitor)
    sent, may_retract = rejudged(merged.profile, visitor_session, merged.filter, exclude)
    aliases = sent.aliases
    duplicates = duplicates_in(aliases.contributions, customer)
    excluded = duplicates_in(aliases.excluded_contributions, customer)
    excludes = exclude is not None and exclude.names(customer.customer_id, visitor_session)
    retracted = aliases.contributions if excludes else duplicates
    check_kinds((*retracted, *excluded))
    changes.retracted += retracted if may_retract else ()
    profile, at_ms = without_duplicates(sent, duplicates, excluded, settings), merged.occurred_at_ms
    customer.carry(unknown)
    customer.seen.add_merged(profile.seen.merged_ids, settings)
    if merged.signed_in is not None:
        customer.seen.advance(merged.signed_in)
    customer.visits.merge(profile.visits, at_ms)
    if excludes:
        customer.visits.excluded += len(retracted) - len(duplicates)
    customer.interests.merge(profile.interests, settings)
    customer.purchases.merge(profile.purchases, settings)
    customer.exposures.merge(profile.exposures, settings)
    customer.aliases.add_visitor(merged.visitor, merged.event_id, at_ms, settings, changes)
    moved = profile.visits.current_session
    return None if moved is None or excludes else customer.visits.merge_session(moved, begins, settings, changes)
