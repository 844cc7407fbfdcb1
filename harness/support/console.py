"""Output of the harness: text, headings, progress bars and percentiles."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(highlight=False, markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars on standard error; where that is no terminal, only the final state of each bar."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), refresh_per_second=5) as bars:
        yield bars


@contextmanager
def database_file(named: Path | None) -> Iterator[Path]:
    """The named file for a database, else a temporary file that is deleted afterwards."""
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="realtime-pipeline-") as folder:
        yield Path(folder) / "shop.db"


def heading(text: str) -> None:
    """Print an underlined heading."""
    console.print(f"\n{text}\n{'─' * len(text)}")


def percentile(values: list[float], quantile: float) -> float:
    """The smallest value that at least the share `quantile` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(quantile * 1000) * len(ordered) // 1000) - 1))]
