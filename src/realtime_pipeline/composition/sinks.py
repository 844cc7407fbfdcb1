"""Which sinks there are: one line for each, by the name that the command knows it by.

A new sink is a folder or a file in `infrastructure`, a function that opens it, and its line here.
"""

from collections.abc import Callable, Mapping
from typing import Final

from realtime_pipeline.application.ports.sink import Sink


def _files(folder: str) -> Sink:
    from realtime_pipeline.infrastructure.files.sink import FileSink

    return FileSink(folder)


SINKS: Final[Mapping[str, Callable[[str], Sink]]] = {
    "files": _files,
}
"""Opens a sink by its place: of `files` a folder."""
