"""The event streams that the tests of the simulated shop share."""

import pytest

from tests.harness.support.simulated_shop import Json, shop


@pytest.fixture(scope="module")
def clean() -> list[Json]:
    return list(shop().events(3_000))


@pytest.fixture(scope="module")
def dirty() -> list[Json]:
    return list(shop(dirt=0.03).events(3_000))
