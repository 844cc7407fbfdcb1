"""Whose events count for their own profile alone: bots, and the people who work in the shop."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Final

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX, CustomerId, Event

USER_AGENT: Final = "user_agent"
"""The name in an event's context of what the visitor's browser calls itself."""
USER_AGENTS_MAX: Final = 500
IDS_MAX: Final = 10_000
TEXT_LENGTH_MAX: Final = 200
"""Characters of a text that user agents are searched for."""
MINUTE_MS: Final = 60_000


@attrs.frozen
class Exclusion:
    """Which events are excluded: they change their customer's profile, and nothing that customers share.

    An event is excluded if its context's `user_agent` contains one of `user_agents`, whatever the case of letters; if
    its user id or session id is one of `ids`; or if it is beyond the first `events_per_minute_max` events (0: no limit)
    that its customer has in a minute of event time.
    """

    user_agents: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    events_per_minute_max: int = 0

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        _check_texts("user_agents", self.user_agents, USER_AGENTS_MAX, TEXT_LENGTH_MAX)
        _check_texts("ids", self.ids, IDS_MAX, ID_LENGTH_MAX)

    @property
    def is_empty(self) -> bool:
        """Whether it excludes no event at all."""
        return not (self.user_agents or self.ids or self.events_per_minute_max)

    @cached_property
    def _casefolded(self) -> tuple[str, ...]:
        return tuple(text.casefold() for text in self.user_agents)

    @cached_property
    def _known_ids(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """64 bits of BLAKE2b, in hexadecimal, of what the filter excludes, whatever the order of its texts."""
        parts = (*sorted(self._casefolded), "", *sorted(self._known_ids), "", str(self.events_per_minute_max))
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def covers(self, event: Event) -> bool:
        """Whether an event is excluded by its ids or its user agent; the rate of events is its customer's matter."""
        if self.ids and self.names(event.customer_id, event.session_id):
            return True
        if not (self.user_agents and event.context):
            return False
        user_agent = event.context.get(USER_AGENT)
        if not isinstance(user_agent, str):
            return False
        user_agent = user_agent.casefold()
        return any(text in user_agent for text in self._casefolded)

    def names(self, customer_id: CustomerId | None, session_id: str | None) -> bool:
        """Whether a user id or a session id is one of `ids`."""
        return customer_id in self._known_ids or session_id in self._known_ids


def fingerprint_of(exclude: Exclusion | None) -> str:
    """A short text that tells a filter from others; "" where there is none."""
    return "" if exclude is None else exclude.fingerprint


def _check_texts(name: str, texts: Sequence[str], count_max: int, length_max: int) -> None:
    """Check a list of texts: an empty one would be in every user agent, and so exclude everybody.

    Raises:
        TypeError: it is no list of texts; a text alone would be taken for its letters.
        ValueError: there are too many, or one is empty, too long or not printable.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} must be a list of texts, not {str(texts)[:80]!a}")
    if len(texts) > count_max:
        raise ValueError(f"{name} has {len(texts):,} texts, more than {count_max:,}")
    for text in texts:
        if not text.strip() or len(text) > length_max or not text.isprintable():
            raise ValueError(f"{name}: a text has 1 to {length_max} printable characters, not {text[:80]!a}")
