"""What recording an event returns, and what it changes beside its customer's own record."""

from typing import Final, NamedTuple

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review


class Recorded(NamedTuple):  # made for every event: see Event
    """What recording an event returned: the verdict, the event's session, and what it adds to its product's ratings.

    An `excluded` event was applied to its customer's profile, and must change nothing that customers share.
    """

    verdict: Verdict
    session: SessionKey | None = None
    ratings: int = 0
    rating_sum: int = 0
    excluded: bool = False


APPLIED: Final = Recorded(Verdict.APPLIED)
EXCLUDED: Final = Recorded(Verdict.APPLIED, excluded=True)
REFUSED: Final = {verdict: Recorded(verdict) for verdict in Verdict}


@attrs.define
class Changes:
    """What folding events changed beside the customers' own records.

    `visitors_forgotten` are those who go with the customer they signed in as, and when: they have other owners.
    `retracted` are events of a visitor that views must not count any more: the customer they signed in as has counted
    them too, or is excluded.
    """

    sessions: dict[SessionKey, Session] = attrs.Factory(dict)
    sessions_dropped: set[SessionKey] = attrs.Factory(set)
    reviews: dict[tuple[CustomerId, ProductId], Review | None] = attrs.Factory(dict)
    tombstones: dict[CustomerId, int] = attrs.Factory(dict)
    visitors_forgotten: dict[CustomerId, int] = attrs.Factory(dict)
    retracted: list[Contribution] = attrs.Factory(list)

    def drop_session(self, key: SessionKey) -> None:
        """Delete a session, which is nobody's neighbour any more."""
        self.sessions.pop(key, None)
        self.sessions_dropped.add(key)
