"""What a store says of a log that it was not built from."""

import pytest

from realtime_pipeline.application.ports.event_log import LogIdentity

NOW = LogIdentity("57eD/fW/Rke8", 4, "consistent")


def test_a_log_that_was_given_more_partitions_is_told_by_its_id_which_may_hold_slashes() -> None:
    assert str(NOW) == "57eD/fW/Rke8/4/consistent"
    assert "had 2 partitions and has 4" in NOW.way_out("57eD/fW/Rke8/2/consistent")


@pytest.mark.parametrize("built_from", ["other/2/consistent", "57eD/fW/Rke8/2/murmur2", str(NOW), "", "x", "x/y"])
def test_of_another_log_nothing_more_is_said(built_from: str) -> None:
    assert NOW.way_out(built_from) == ""
