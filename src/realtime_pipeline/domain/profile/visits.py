"""When a customer was in the shop, where, and what they did there: counts of events, and sessions."""

from collections.abc import Iterable, Sequence
from typing import Self

import attrs

from realtime_pipeline.domain.profile.changes import Changes
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.exclusion import MINUTE_MS, Exclusion
from realtime_pipeline.domain.profile.kinds import SIGNED_IN
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.profile.unknown_fields import UNKNOWN_MAX, CannotMerge
from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.shop.last_write import LastWrite, last_write_wins
from realtime_pipeline.domain.shop.money import bounded


@attrs.define
class Visits:
    """What a customer did in the shop, when and where.

    `counts` has the events applied, by kind. `country` is where the customer was last, and when. `closed_sessions` has
    the keys of sessions that no event can join any more, the one closed first coming first. `excluded` is how many of
    the events change nothing that customers share. `minute` is the newest minute (since 1970) in which there was an
    event, and how many there were in it; None where their rate has no limit.
    """

    counts: dict[EventKind, int] = attrs.Factory(dict)
    sessions_begun: int = 0
    first_seen_ms: int | None = None
    last_seen_ms: int | None = None
    country: LastWrite | None = None
    open_sessions: list[Session] = attrs.Factory(list)
    closed_sessions: list[SessionKey] = attrs.Factory(list)
    excluded: int = 0
    minute: tuple[int, int] | None = None

    @property
    def current_session(self) -> Session | None:
        """The open session touched last (ties: the one that began later)."""
        return max(self.open_sessions, key=_by_touch, default=None)

    @property
    def session_keys(self) -> list[SessionKey]:
        """The keys of all sessions that are not dropped, the open ones first."""
        return [*(session.key for session in self.open_sessions), *self.closed_sessions]

    def record(self, event: Event, kind: EventKind, at_ms: int) -> None:
        """Count an event, and note when and where it happened."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.first_seen_ms is None or self.last_seen_ms is None:
            self.first_seen_ms = self.last_seen_ms = at_ms
        elif at_ms > self.last_seen_ms:
            self.last_seen_ms = at_ms
        elif at_ms < self.first_seen_ms:
            self.first_seen_ms = at_ms
        if event.context:
            country = event.country
            if country is not None:
                known, fact = self.country, (country, at_ms)  # mostly a newer fact, as in `ProductState.describe`
                self.country = fact if known is None or at_ms > known[1] else last_write_wins(known, fact)

    def count_excluded(self, event: Event, at_ms: int, exclude: Exclusion) -> bool:
        """Whether an event is excluded; count it if it is."""
        limit = exclude.events_per_minute_max
        is_beyond = limit > 0 and self._count_in_minute(at_ms // MINUTE_MS) > limit
        if not (is_beyond or exclude.covers(event)):
            return False
        self.excluded += 1
        return True

    def _count_in_minute(self, minute: int) -> int:
        """Count an event in its minute; return how many the minute has had, 0 where a later minute has begun.

        A late event is not judged by the rate: only the newest minute is kept.
        """
        newest, count = self.minute or (minute, 0)
        if minute < newest:
            return 0
        count = count + 1 if minute == newest else 1
        self.minute = minute, count
        return count

    def note_last_seen(self, at_ms: int) -> None:
        """Note that a visitor who has signed in did something, which counts for their customer."""
        self.last_seen_ms = max(self.last_seen_ms or 0, at_ms)

    def record_in_session(
        self, event: Event, at_ms: int, begins: SessionKey, weight: int, settings: ProfileSettings, changes: Changes
    ) -> SessionKey:
        """Add a view, a cart change or a purchase to its session; return that session's key.

        `weight` is the interest that the event shows in its product; an event of weight 0 takes the interest back.
        """
        product_id = event.product_id
        session = self._session_of(event.session_id, at_ms, begins, settings, changes)
        session.touch(at_ms)
        changes.sessions[session.key] = session
        if product_id is not None:
            if weight:
                session.add(product_id, at_ms, weight, settings.session_products_max)
            else:
                session.retract(product_id)
        return session.key

    def _session_of(
        self, session_id: str | None, at_ms: int, begins: SessionKey, settings: ProfileSettings, changes: Changes
    ) -> Session:
        """Find the open session that the event belongs to, the one touched last first; else begin one.

        When another begins, those not touched for longer than the gap close for good, but for the `idle_sessions_max`
        touched last; and where `open_sessions_max` are open, the one touched longest ago. A late event of a closed
        session's id begins another. A closed session stays a neighbour for others until the customer has had
        `closed_sessions_max` more; then it is dropped.
        """
        found: Session | None = None
        for session in self.open_sessions:
            if session.belongs(session_id, at_ms, settings.session_gap_ms) and (
                found is None or (session.last_at_ms, session.key) > (found.last_at_ms, found.key)
            ):
                found = session
        if found is not None:
            return found
        session = Session(begins, session_id, at_ms, at_ms)
        self.sessions_begun += 1
        self._open_session(session, settings, changes)
        return session

    def _open_session(self, session: Session, settings: ProfileSettings, changes: Changes) -> None:
        """Add an open session, closing idle ones, and the one touched longest ago where there are too many."""
        if not self.open_sessions:
            self.open_sessions.append(session)
            return
        gap_ms, at_ms = settings.session_gap_ms, session.last_at_ms
        idle = [known for known in self.open_sessions if at_ms - known.last_at_ms > gap_ms]
        if len(idle) > settings.idle_sessions_max:
            idle.sort(key=_by_touch)
            for known in idle[: len(idle) - settings.idle_sessions_max]:
                self._close_session(known, settings, changes)
        elif len(self.open_sessions) >= settings.open_sessions_max:
            self._close_session(min(self.open_sessions, key=_by_touch), settings, changes)
        self.open_sessions.append(session)

    def _close_session(self, session: Session, settings: ProfileSettings, changes: Changes) -> None:
        """Close a session for good; over `closed_sessions_max` the first that closed is dropped."""
        self.open_sessions.remove(session)
        self.closed_sessions.append(session.key)
        if len(self.closed_sessions) > settings.closed_sessions_max:
            changes.drop_session(self.closed_sessions.pop(0))

    def detach(self, settings: ProfileSettings, changes: Changes) -> Self:
        """Take out what goes along when a visitor signs in: all but `last_seen_ms` and the sessions that are closed.

        The session touched last goes along, so that it goes on; the other open ones are closed. The minute does not:
        each profile is judged by the rate of its own events.
        """
        moving = self.current_session
        for session in list(self.open_sessions):
            if session is not moving:
                self._close_session(session, settings, changes)
        if moving is not None:
            changes.drop_session(moving.key)
        last_seen_ms = self.last_seen_ms if self.first_seen_ms is not None else None
        detached = attrs.evolve(self, last_seen_ms=last_seen_ms, closed_sessions=[], minute=None)
        self.counts, self.sessions_begun, self.first_seen_ms, self.country = {}, 0, None, None
        self.open_sessions, self.excluded, self.minute = [], 0, None
        return detached

    def without(self, duplicates: Iterable[Contribution]) -> Self:
        """Take single events out of the counts. Times and sessions stay: the customer's own copy gives the same."""
        counts = dict(self.counts)
        for event in duplicates:
            counts[event.kind] -= 1
        return attrs.evolve(self, counts={kind: count for kind, count in counts.items() if count})

    def merge(self, visitor: Self, signed_in_at_ms: int) -> None:
        """Add a visitor's counts, times and country, and the sign-in itself; not their session.

        Raises:
            CannotMerge: there would be too many kinds of events.
        """
        times = [visitor.first_seen_ms, visitor.last_seen_ms, signed_in_at_ms]
        known_ms = [at_ms for at_ms in times if at_ms is not None]
        self.first_seen_ms = min(known_ms if self.first_seen_ms is None else (self.first_seen_ms, *known_ms))
        self.last_seen_ms = max(known_ms if self.last_seen_ms is None else (self.last_seen_ms, *known_ms))
        for kind, count in (*visitor.counts.items(), (SIGNED_IN, 1)):
            self.counts[kind] = bounded(self.counts.get(kind, 0) + count)
        if len(self.counts) > UNKNOWN_MAX:
            raise CannotMerge(f"the profile would have {len(self.counts)} kinds of events")
        self.sessions_begun = bounded(self.sessions_begun + visitor.sessions_begun)
        self.excluded = bounded(self.excluded + visitor.excluded)
        self.country = last_write_wins(self.country, visitor.country)

    def merge_session(self, moved: Session, begins: SessionKey, settings: ProfileSettings, changes: Changes) -> Session:
        """Continue a visitor's open session, in the session of the same id where there is one; return the session.

        Where there is none, the visitor's becomes one of the customer's, with the key `begins`.
        """
        session = _with_id(self.open_sessions, moved.session_id)
        if session is None:
            session = attrs.evolve(moved, key=begins, products=dict(moved.products))
            self._open_session(session, settings, changes)
        else:
            self.sessions_begun -= 1  # both had counted it
            session.merge(moved, settings.session_products_max)
        changes.sessions[session.key] = session
        return session


def _by_touch(session: Session) -> tuple[int, SessionKey]:
    return session.last_at_ms, session.key


def _with_id(sessions: Sequence[Session], session_id: str | None) -> Session | None:
    if session_id is None:
        return None
    return next((session for session in sessions if session.session_id == session_id), None)
