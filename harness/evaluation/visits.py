"""Visits: who touched which products, in which order, out of any file the harness reads."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from harness.errors import HarnessError
from harness.formats import read
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.infrastructure.codecs.events import kind_named

_KINDS: Final = frozenset((EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_PURCHASED))


class _Properties(msgspec.Struct):
    product_id: str | None = None


class _Event(msgspec.Struct):
    event_type: str
    timestamp: int
    user_id: str | None = None
    session_id: str | None = None
    properties: _Properties = msgspec.field(default_factory=_Properties)


_decode = msgspec.json.Decoder(_Event).decode


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


def visits_of(files: Sequence[Path], format: str) -> list[Visit]:  # noqa: A002 - as --format
    """Read the visits of files, in the order in which they end; what touches no product is left out.

    Raises:
        HarnessError: there is none.
    """
    by_visit: dict[str, list[Touch]] = {}
    for touch in _touches(files, format):
        by_visit.setdefault(touch.visit, []).append(touch)
    visits = [Visit(key, tuple(sorted(touches, key=lambda touch: touch.at_ms))) for key, touches in by_visit.items()]
    if not visits:
        raise HarnessError(f"{', '.join(map(str, files))}: no visit touches a product")
    return sorted(visits, key=lambda visit: visit.last_at_ms)


def _touches(files: Sequence[Path], format: str) -> Iterator[Touch]:  # noqa: A002
    for line in read(files, format):
        try:
            event = _decode(line.value)
        except msgspec.MsgspecError:
            continue
        visit, product_id = event.session_id or event.user_id, event.properties.product_id
        kind = kind_named(event.event_type)
        if visit and product_id and kind in _KINDS and kind is not None:
            yield Touch(visit, product_id, event.timestamp, kind)


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
