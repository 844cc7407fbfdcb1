"""What the tests of the oracle and of the comparison share."""

import pytest

from harness.oracle.expected import Expected
from tests.harness.support.worked_histories import expected_of, small_shop


@pytest.fixture(scope="module")
def expected() -> Expected:
    """What the oracle makes of the small shop."""
    return expected_of(small_shop())
