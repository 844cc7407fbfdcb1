"""Reads visits from any file format that the harness knows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
from dependency_injector import providers

from harness.formats import read
from harness.support.console import console
from harness.support.errors import HarnessError
from realtime_pipeline import Container, Settings
from realtime_pipeline.application.evaluation.visits import Touch, Visit
from realtime_pipeline.application.ports.decoding import Decode
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import ANONYMOUS, Event, EventKind
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected

_KINDS: Final = frozenset((EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED))


def read_visits(files: Sequence[Path], format: str, settings: Settings | None = None) -> list[Visit]:  # noqa: A002
    """Read the visits of files, in the order in which they end. Events that touch no product are left out.

    The pipeline's own decoder reads the events. An event whose id the customer has sent already is left out. Events
    form visits as they form sessions: by the customer's session id, else by pauses longer than the session gap. Events
    that the pipeline would reject or ignore are counted and shown.

    Raises:
        HarnessError: the files have no visits.
    """
    settings = settings or Settings()
    container = Container()
    container.settings.override(providers.Object(settings))
    by_visit: dict[str, list[Touch]] = {}
    without_session: set[str] = set()
    skipped = _SkippedLines()
    for touch, has_session in _touches(files, format, container.decoder(), skipped):
        by_visit.setdefault(touch.visit, []).append(touch)
        if not has_session:
            without_session.add(touch.visit)
    skipped.show()
    visits: list[Visit] = []
    for key, touches in by_visit.items():
        touches.sort(key=lambda touch: touch.at_ms)
        gap_ms = settings.fold.profile.session_gap_ms if key in without_session else None
        visits += _split_at_pauses(key, touches, gap_ms)
    if not visits:
        raise HarnessError(f"{', '.join(map(str, files))}: no visit touches a product")
    return sorted(visits, key=lambda visit: visit.last_at_ms)


@attrs.define
class _SkippedLines:
    """Lines that are in no visit: how many for each reason, and the first of them."""

    counts: Counter[str] = attrs.Factory(Counter)
    first: dict[str, str] = attrs.Factory(dict)

    def count(self, reason: str, example: str) -> None:
        self.counts[reason] += 1
        self.first.setdefault(reason, example)

    def show(self) -> None:
        for reason, count in self.counts.items():
            lines = counted(count, "line is", "lines are")
            console.print(f"{lines} left out: {reason}; the first: {self.first[reason]}", style="yellow", markup=False)


def _touches(
    files: Sequence[Path],
    format: str,  # noqa: A002
    decode: Decode,
    skipped: _SkippedLines,
) -> Iterator[tuple[Touch, bool]]:
    """Yield each touch, and whether its event names a session."""
    known: set[int] = set()
    for number, source in enumerate(read(files, format)):
        event = decode(Record(0, number, None, source.value, source.occurred_at_ms or 0))
        if isinstance(event, Rejected):
            skipped.count("they would be dead letters", f"{source.origin}: {event.reason}")
        elif isinstance(event, Ignored):
            skipped.count("their type is not known", source.origin)
        elif isinstance(event, Event) and event.kind in _KINDS:
            if event.customer_id is None or event.product_id is None:
                continue
            identity = hash((event.customer_id, event.event_id))
            if identity in known:
                skipped.count("they repeat an id", source.origin)
                continue
            known.add(identity)
            visit = event.customer_id.removeprefix(ANONYMOUS)
            if visit == event.customer_id:  # a signed-in customer, whose id may equal a visitor's session id
                visit = f"{visit}\n{event.session_id or ''}"  # no id contains a line break
            yield Touch(visit, event.product_id, event.occurred_at_ms, event.kind), event.session_id is not None


def _split_at_pauses(key: str, touches: Sequence[Touch], gap_ms: int | None) -> Iterator[Visit]:
    """Split the touches wherever a pause is longer than the gap; with None, they are one visit."""
    begin = 0
    for index, touch in enumerate(touches):
        if gap_ms is not None and index > begin and touch.at_ms - touches[index - 1].at_ms > gap_ms:
            yield Visit(f"{key} from {touches[begin].at_ms}", tuple(touches[begin:index]))
            begin = index
    yield Visit(f"{key} from {touches[begin].at_ms}" if begin else key, tuple(touches[begin:]))
