"""Visits: who touched which products, in which order, out of any file the harness reads."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from dependency_injector import providers

from harness.formats import read
from harness.support.console import console
from harness.support.errors import HarnessError
from realtime_pipeline import Container, Settings
from realtime_pipeline.application.ports.decoding import Decode
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.events import ANONYMOUS, Event, EventKind
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected

_KINDS: Final = frozenset((EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED))


@attrs.frozen
class Touch:
    """One look at a product, or its being carted or bought."""

    visit: str
    product_id: str
    at_ms: int
    kind: EventKind = EventKind.PRODUCT_VIEWED


@attrs.frozen
class Visit:
    """The touches of one session, in order of time."""

    key: str
    touches: tuple[Touch, ...]

    @property
    def products(self) -> tuple[str, ...]:
        """The products in the order in which they were touched, repeats included."""
        return tuple(touch.product_id for touch in self.touches)

    @property
    def last_at_ms(self) -> int:
        """When it ended."""
        return self.touches[-1].at_ms


def visits_of(files: Sequence[Path], format: str, settings: Settings | None = None) -> list[Visit]:  # noqa: A002
    """Read the visits of files, in the order in which they end; what touches no product is left out.

    Events are read as the pipeline reads them, each id of a customer's once, and make its sessions: by session id of a
    customer, else by pauses. Events that it would refuse, or would not know, are counted and shown.

    Raises:
        HarnessError: there is none.
    """
    settings = settings or Settings()
    container = Container()
    container.settings.override(providers.Object(settings))
    by_visit: dict[str, list[Touch]] = {}
    pausing: set[str] = set()
    left_out = _LeftOut()
    for touch, has_session in _touches(files, format, container.decoder(), left_out):
        by_visit.setdefault(touch.visit, []).append(touch)
        if not has_session:
            pausing.add(touch.visit)
    left_out.show()
    visits: list[Visit] = []
    for key, touches in by_visit.items():
        touches.sort(key=lambda touch: touch.at_ms)
        gap_ms = settings.fold.profile.session_gap_ms if key in pausing else None
        visits += _between_pauses(key, touches, gap_ms)
    if not visits:
        raise HarnessError(f"{', '.join(map(str, files))}: no visit touches a product")
    return sorted(visits, key=lambda visit: visit.last_at_ms)


@attrs.define
class _LeftOut:
    """Lines that say nothing of a visit, and an example of each kind."""

    counts: Counter[str] = attrs.Factory(Counter)
    first: dict[str, str] = attrs.Factory(dict)

    def count(self, what: str, example: str) -> None:
        self.counts[what] += 1
        self.first.setdefault(what, example)

    def show(self) -> None:
        for what, count in self.counts.items():
            said = f"{counted(count, 'line is', 'lines are')} left out: {what}; the first: {self.first[what]}"
            console.print(said, style="yellow", markup=False)


def _touches(
    files: Sequence[Path],
    format: str,  # noqa: A002
    decode: Decode,
    left_out: _LeftOut,
) -> Iterator[tuple[Touch, bool]]:
    """What is touched by whom, and whether the event names its session."""
    known: set[int] = set()
    for number, line in enumerate(read(files, format)):
        event = decode(Record(0, number, None, line.value, line.occurred_at_ms or 0))
        if isinstance(event, Rejected):
            left_out.count("they would be dead letters", f"{line.origin}: {event.reason}")
        elif isinstance(event, Ignored):
            left_out.count("their type is not known", line.origin)
        elif isinstance(event, Event) and event.kind in _KINDS:
            if event.customer_id is None or event.product_id is None:
                continue
            identity = hash((event.customer_id, event.event_id))
            if identity in known:
                left_out.count("they repeat an id", line.origin)
                continue
            known.add(identity)
            visit = event.customer_id.removeprefix(ANONYMOUS)
            if visit == event.customer_id:  # no visitor, who may have the same name
                visit = f"{visit}\n{event.session_id or ''}"  # which no id has in it
            yield Touch(visit, event.product_id, event.occurred_at_ms, event.kind), event.session_id is not None


def _between_pauses(key: str, touches: Sequence[Touch], gap_ms: int | None) -> Iterator[Visit]:
    """A visit, or as many as there are between pauses longer than the gap."""
    begin = 0
    for at, touch in enumerate(touches):
        if gap_ms is not None and at > begin and touch.at_ms - touches[at - 1].at_ms > gap_ms:
            yield Visit(f"{key} from {touches[begin].at_ms}", tuple(touches[begin:at]))
            begin = at
    yield Visit(f"{key} from {touches[begin].at_ms}" if begin else key, tuple(touches[begin:]))


def split(visits: Sequence[Visit], tested: float) -> tuple[list[Visit], list[Visit]]:
    """Hold the last share of visits back: those that end last.

    Raises:
        HarnessError: one of both would have none.
    """
    cut = round(len(visits) * (1 - tested))
    if not 0 < cut < len(visits):
        raise HarnessError(f"{len(visits)} visits cannot be split so that {tested:.0%} are tested")
    return list(visits[:cut]), list(visits[cut:])


def testable(visits: Sequence[Visit], known: Mapping[str, int]) -> list[Visit]:
    """Leave out products that nobody can have learnt of, and then visits in which nothing follows."""
    kept = (Visit(visit.key, tuple(touch for touch in visit.touches if touch.product_id in known)) for visit in visits)
    return [visit for visit in kept if len(visit.touches) > 1]
