"""The customer: an ordered fold of their own events, and nothing else ever changes one."""

from typing import Self

import attrs

from realtime_pipeline.domain.profile.aliases import Aliases
from realtime_pipeline.domain.profile.changes import APPLIED, EXCLUDED, REFUSED, Changes, Recorded
from realtime_pipeline.domain.profile.deduplication import BEFORE_ALL_TIME, SeenEvents, Verdict
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.exposures import Exposures
from realtime_pipeline.domain.profile.interests import Interests
from realtime_pipeline.domain.profile.kinds import CANCELLED, PURCHASED, REVIEWED, SHOWN, UNCARTED
from realtime_pipeline.domain.profile.opinions import Opinions
from realtime_pipeline.domain.profile.purchases import Purchases
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import Unknown
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, Event


@attrs.define
class Customer:
    """What the shop knows of one customer, by concern; each concern folds the events that it cares for.

    `seen` tells repeated events from first deliveries. Events at or before `forgotten_at_ms` are refused.
    """

    customer_id: CustomerId
    visits: Visits = attrs.Factory(Visits)
    interests: Interests = attrs.Factory(Interests)
    purchases: Purchases = attrs.Factory(Purchases)
    opinions: Opinions = attrs.Factory(Opinions)
    exposures: Exposures = attrs.Factory(Exposures)
    aliases: Aliases = attrs.Factory(Aliases)
    seen: SeenEvents = attrs.Factory(SeenEvents)
    forgotten_at_ms: int = BEFORE_ALL_TIME
    _unknown: Unknown | None = None

    @property
    def unknown(self) -> Unknown | None:
        """What a newer release noted, which stays as it is; None where there is nothing of it."""
        return self._unknown

    def carry(self, unknown: Unknown | None) -> None:
        """Keep what a newer release noted."""
        self._unknown = unknown

    @property
    def is_blank(self) -> bool:
        """Nothing is known but, perhaps, that the customer was forgotten."""
        return self.visits.first_seen_ms is None and self.aliases.alias_of is None

    def record(
        self,
        event: Event,
        begins: SessionKey,
        settings: ProfileSettings,
        changes: Changes,
        exclude: Exclusion | None = None,
    ) -> Recorded:
        """Fold one event in, in the order of the log.

        An excluded event counts for visits, interests, purchases and exposures. It joins no session and is no opinion:
        those are what other customers' lists are made of.

        Args:
            event: one of this customer's.
            begins: the key of the session that the event begins, if it begins one.
            settings: the limits of the profile.
            changes: noted here: what changes beside the customer's own record.
            exclude: which events are excluded; None if none is.

        Returns:
            The verdict and, where the event was applied, what it means to the views.
        """
        kind, at_ms, visits = event.kind, event.occurred_at_ms, self.visits
        verdict = Verdict.FORGOTTEN if at_ms <= self.forgotten_at_ms else self.seen.admit(event, settings)
        if verdict is not Verdict.APPLIED:
            return REFUSED[verdict]
        visits.record(event, kind, at_ms)
        applied = EXCLUDED if exclude is not None and visits.count_excluded(event, at_ms, exclude) else APPLIED
        if self.customer_id.startswith(ANONYMOUS):
            self.aliases.record(event, settings, excluded=applied.excluded)
        if kind is REVIEWED:
            return applied if applied.excluded else self.opinions.record(self.customer_id, event, settings, changes)
        if kind is CANCELLED:
            self.purchases.cancel(event, settings)
            return applied
        if kind is SHOWN:
            self.exposures.record(event, settings)
            return applied
        if kind is PURCHASED:
            self.purchases.record(event, settings)
        weight = settings.interest_weight(kind)
        if weight:
            self.interests.record(event, at_ms, weight, settings)
        if applied.excluded or not (weight or kind is UNCARTED):  # a custom kind says nothing of interest
            return applied
        session = visits.record_in_session(event, at_ms, begins, weight, settings, changes)
        return Recorded(Verdict.APPLIED, session)

    def admit(self, event: Event, settings: ProfileSettings) -> Verdict:
        """Judge an event by its id and time, and remember it when it is its first delivery."""
        if event.occurred_at_ms <= self.forgotten_at_ms:
            return Verdict.FORGOTTEN
        return self.seen.admit(event, settings)

    def forget(self, at_ms: int, latest_ms: int, changes: Changes) -> None:
        """Keep nothing but the fact, which refuses later records of the time before.

        That time reaches to the newest event erased, so that no replay can bring any of them back; but not beyond
        `latest_ms`, the latest time that an event may have by now: an event of a clock that was years ahead must not
        have everything refused that the customer does until then.
        """
        if self.visits.last_seen_ms is not None:
            at_ms = max(at_ms, min(self.visits.last_seen_ms, latest_ms))
        for key in self.visits.session_keys:
            changes.drop_session(key)
        for product_id in self.opinions.reviewed:
            changes.reviews[self.customer_id, product_id] = None
        changes.tombstones[self.customer_id] = at_ms
        changes.visitors_forgotten.update(dict.fromkeys(self.aliases.visitors, at_ms))
        blank = type(self).forgotten(self.customer_id, at_ms)
        for field in attrs.fields(type(self)):
            setattr(self, field.name, getattr(blank, field.name))

    @classmethod
    def forgotten(cls, customer_id: CustomerId, at_ms: int) -> Self:
        """A customer with nothing but the time when they were forgotten."""
        return cls(customer_id, forgotten_at_ms=at_ms)
