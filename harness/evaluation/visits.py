"""Visits: who touched which products, in which order, out of any file the harness reads."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from dependency_injector import providers

from harness.console import console
from harness.errors import HarnessError
from harness.formats import read
from realtime_pipeline import Container, Settings
from realtime_pipeline.application.ports.decoding import Decode
from realtime_pipeline.domain.shop.events import Event, EventKind
from realtime_pipeline.domain.streams.records import Record, Rejected

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

    Events are read as the pipeline reads them; those that it would refuse are counted and shown.

    Raises:
        HarnessError: there is none.
    """
    container = Container()
    container.settings.override(providers.Object(settings or Settings()))
    by_visit: dict[str, list[Touch]] = {}
    refused: list[str] = []
    for touch in _touches(files, format, container.decoder(), refused):
        by_visit.setdefault(touch.visit, []).append(touch)
    if refused:
        console.print(f"{len(refused):,} lines are left out; {refused[0]}", style="yellow", markup=False)
    visits = [Visit(key, tuple(sorted(touches, key=lambda touch: touch.at_ms))) for key, touches in by_visit.items()]
    if not visits:
        raise HarnessError(f"{', '.join(map(str, files))}: no visit touches a product")
    return sorted(visits, key=lambda visit: visit.last_at_ms)


def _touches(
    files: Sequence[Path],
    format: str,  # noqa: A002
    decode: Decode,
    refused: list[str],
) -> Iterator[Touch]:
    for number, line in enumerate(read(files, format)):
        event = decode(Record(0, number, None, line.value, line.occurred_at_ms or 0))
        if isinstance(event, Rejected):
            refused.append(f"{line.origin}: {event.reason}")
        elif isinstance(event, Event) and event.kind in _KINDS:
            visit = event.session_id or event.customer_id
            if visit is not None and event.product_id is not None:
                yield Touch(visit, event.product_id, event.occurred_at_ms, event.kind)


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
