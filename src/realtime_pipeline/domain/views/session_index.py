"""Which sessions touched a product, and when last: by it, sessions like the customer's own are found."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Final

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.kinds import CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.views.projection import Add, Projection

_TOUCHES: Final = frozenset((VIEWED, CARTED, PURCHASED))

TouchKey = tuple[ProductId, SessionKey]
"""A product and a session that touched it."""


class SessionIndex(Projection[TouchKey, int]):
    """By product and session, when the session last touched the product in ms."""

    product_of = itemgetter(0)
    kinds = _TOUCHES

    def adder(self, table: dict[TouchKey, int]) -> Add:
        """Note that the event's session touched the product."""

        def add(event: Event, product_id: ProductId | None, recorded: Recorded) -> None:
            session = recorded.session
            if session is not None and product_id is not None:
                key, at_ms = (product_id, session), event.occurred_at_ms
                known_ms = table.get(key)
                if known_ms is None or at_ms > known_ms:
                    table[key] = at_ms

        return add

    def continue_session(self, table: dict[TouchKey, int], session: Session, moved: Session) -> None:
        """The customer's session touched all that the visitor's did."""
        for product_id, (touched_ms, _) in moved.products.items():
            key = (product_id, session.key)
            table[key] = max(touched_ms, table.get(key, touched_ms))

    def merge(self, table: dict[TouchKey, int], other: Mapping[TouchKey, int], latest_ms: int) -> None:
        """Keep the later time of each session."""
        if table.keys().isdisjoint(other):  # as between partitions, whose sessions are their own
            table.update(other)
            return
        for key, at_ms in other.items():
            table[key] = max(at_ms, table.get(key, at_ms))
