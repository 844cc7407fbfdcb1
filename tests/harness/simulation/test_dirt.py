"""Dirt: repeated, late, unknown and malformed events."""

from collections import Counter

from harness.simulation.shop import HOUR_MS, UNKNOWN_TYPES
from tests.harness.support.simulated_shop import Json, mistake_in


class TestDirt:
    def test_the_clean_events_are_the_same_under_the_dirt(self, clean: list[Json], dirty: list[Json]) -> None:
        known = {event["event_id"]: event for event in clean}
        delivered = [event for event in dirty if not event["event_id"].endswith(("-u", "-m"))]
        assert {event["event_id"] for event in delivered} == set(known)
        assert all(event == known[event["event_id"]] for event in delivered)

    def test_some_events_come_twice(self, dirty: list[Json]) -> None:
        times = Counter(event["event_id"] for event in dirty)
        assert set(times.values()) == {1, 2}
        assert 0.005 < sum(count == 2 for count in times.values()) / len(dirty) < 0.03

    def test_some_events_come_late_some_of_them_by_hours(self, dirty: list[Json]) -> None:
        times = Counter(event["event_id"] for event in dirty)
        once = [event for event in dirty if times[event["event_id"]] == 1 and isinstance(event.get("timestamp"), int)]
        latest, lateness = 0, []
        for event in once:
            latest = max(latest, event["timestamp"])
            lateness.append(latest - event["timestamp"])
        late = [late_ms for late_ms in lateness if late_ms]
        assert 0.005 < len(late) / len(once) < 0.03
        assert min(late) < 5 * 60_000 < HOUR_MS < max(late) < 6 * HOUR_MS

    def test_some_types_are_unknown(self, dirty: list[Json]) -> None:
        unknown = [event for event in dirty if event["event_id"].endswith("-u")]
        assert {event["event_type"] for event in unknown} == set(UNKNOWN_TYPES)

    def test_every_kind_of_mistake_is_made(self, dirty: list[Json]) -> None:
        broken = [event for event in dirty if event["event_id"].endswith("-m")]
        assert {mistake_in(event) for event in broken} == {
            "timestamp missing",
            "type",
            "timestamp",
            "rating",
            "quantity",
        }
        assert len(broken) < 0.01 * len(dirty)
