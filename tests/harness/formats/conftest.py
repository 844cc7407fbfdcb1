"""What the tests of the formats share."""

from pathlib import Path

import pytest

from tests.harness.support.reading import Reading


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path)
