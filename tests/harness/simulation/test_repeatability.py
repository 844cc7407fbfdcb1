"""The same seed gives the same events."""

import os
import subprocess
import sys

from tests.harness.support.simulated_shop import (
    ROOT,
    Json,
    shop,
)


class TestRepeatability:
    def test_the_same_seed_gives_the_same_events(self, dirty: list[Json]) -> None:
        again = shop(dirt=0.03)
        assert list(again.events(3_000)) == dirty
        assert list(again.events(3_000)) == dirty

    def test_another_seed_gives_other_events(self, clean: list[Json]) -> None:
        other: list[Json] = list(shop(seed=8).events(3_000))
        assert not {event["event_id"] for event in clean} & {event["event_id"] for event in other}
        assert [event["properties"]["product_id"] for event in clean[:50]] != [
            event["properties"]["product_id"] for event in other[:50]
        ]

    def test_another_process_gives_the_same_events(self) -> None:
        script = (
            "import hashlib; from harness.simulation.shop import Shop\n"
            "print(hashlib.sha256(repr(list(Shop(1, 80, 40, 0, dirt=0.1).events(200))).encode()).hexdigest())"
        )
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        digests = {
            subprocess.check_output(
                [sys.executable, "-c", script], env={"PYTHONPATH": paths, "PYTHONHASHSEED": hash_seed}, text=True
            )
            for hash_seed in ("1", "2")
        }
        assert len(digests) == 1
