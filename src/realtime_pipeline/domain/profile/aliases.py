"""Who a customer is besides: the visitors who signed in as them, or the customer that a visitor is an alias of."""

import attrs

from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import digest_of
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event


@attrs.define
class Aliases:
    """How a profile is linked to others by sign-ins.

    `alias_of` is the customer that a visitor has signed in as: their later events are forwarded there. `visitors` maps
    each visitor who signed in as this customer to the id of that merge. `contributions` has a visitor's newest events
    one by one, so that each can be taken out again; `excluded_contributions` has those that changed nothing that
    customers share.
    """

    alias_of: CustomerId | None = None
    visitors: dict[CustomerId, str] = attrs.Factory(dict)
    contributions: tuple[Contribution, ...] = ()
    excluded_contributions: tuple[Contribution, ...] = ()

    def record(self, event: Event, settings: ProfileSettings, *, excluded: bool) -> None:
        """Keep what an event of a visitor adds; over `contributions_max` of either kind, the oldest of it leaves."""
        contribution = Contribution.of(event, digest_of(event.event_id))
        if excluded:
            contribution = contribution._replace(rating=None)  # no opinion
            self.excluded_contributions = (*self.excluded_contributions, contribution)[-settings.contributions_max :]
        else:
            self.contributions = (*self.contributions, contribution)[-settings.contributions_max :]

    def add_visitor(
        self, visitor: CustomerId, merge_id: str, at_ms: int, settings: ProfileSettings, changes: Changes
    ) -> None:
        """Note a visitor who signs in as this customer.

        Over `visitors_max` the visitor who signed in longest ago is forgotten: nobody would know any more whose alias
        they were.
        """
        self.visitors.pop(visitor, None)  # who signs in again comes last
        self.visitors[visitor] = merge_id
        if len(self.visitors) > settings.visitors_max:
            first = next(iter(self.visitors))
            del self.visitors[first]
            changes.visitors_forgotten[first] = at_ms
