"""The file formats that can be replayed: each module turns the rows of a format into the pipeline's events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harness.formats import amazon_reviews, events, online_retail, rees46, retailrocket, rsc15
from harness.formats.rows import Options
from harness.support.errors import HarnessError
from harness.support.source_record import SourceRecord

__all__ = ["FORMATS", "Options", "Reader", "SourceRecord", "read"]

Reader = Callable[[Path, Options], Iterator[SourceRecord]]
"""Reads a file: each line after the header gives exactly one record, in the order of the file."""

FORMATS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "online-retail": online_retail.read,
        "rees46": rees46.read,
        "retailrocket": retailrocket.read,
        "rsc15": rsc15.read,
        "amazon-reviews": amazon_reviews.read,
        "events": events.read,
    }
)


def read(files: Sequence[Path], format: str, options: Options | None = None) -> Iterator[SourceRecord]:  # noqa: A002
    """Read files of one format, one after the other."""
    if format not in FORMATS:
        raise HarnessError(f"{format}: no such format; name one of {', '.join(FORMATS)}")
    for path in files:
        yield from FORMATS[format](path, options or Options())
