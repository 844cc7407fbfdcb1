"""Visits: which products a visitor touched, in which order; and how visits are divided into training and test sets."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.domain.shop.events import EventKind, ProductId


@attrs.frozen
class Touch:
    """A product that was viewed, put into the cart or bought, during a visit."""

    visit: str
    product_id: ProductId
    at_ms: int
    kind: EventKind = EventKind.PRODUCT_VIEWED


@attrs.frozen
class Visit:
    """The touches of one session, in order of time."""

    key: str
    touches: tuple[Touch, ...]

    @property
    def products(self) -> tuple[ProductId, ...]:
        """The products in the order in which they were touched, repeats included."""
        return tuple(touch.product_id for touch in self.touches)

    @property
    def last_at_ms(self) -> int:
        """When the visit ended."""
        return self.touches[-1].at_ms


def split(visits: Sequence[Visit], test_share: float) -> tuple[list[Visit], list[Visit]]:
    """Divide visits by time: the visits that end last are the test set.

    Args:
        visits: in the order in which they end.
        test_share: the share of visits in the test set, between 0 and 1.

    Returns:
        The training set and the test set.

    Raises:
        ValueError: one of the two sets would be empty.
    """
    cut = round(len(visits) * (1 - test_share))
    if not 0 < cut < len(visits):
        raise ValueError(f"{len(visits)} visits cannot be split so that {test_share:.0%} are tested")
    return list(visits[:cut]), list(visits[cut:])


def predictable(visits: Sequence[Visit], known: Mapping[ProductId, int]) -> list[Visit]:
    """Remove products that no model can have learnt, and then visits with fewer than two touches."""
    kept = (Visit(visit.key, tuple(touch for touch in visit.touches if touch.product_id in known)) for visit in visits)
    return [visit for visit in kept if len(visit.touches) > 1]
