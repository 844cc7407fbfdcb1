"""Where the real data lies, for tests that need it."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("REALTIME_PIPELINE_DATA") or Path(__file__).parents[4] / "shared" / "data")


def real(name: str) -> Path:
    """A file of the real data; where it is not there the test is skipped."""
    if not (DATA / name).exists():
        pytest.skip(f"the real data is not there: set REALTIME_PIPELINE_DATA to the folder that holds {name}")
    return DATA / name
