"""What every store of window results must do."""

import attrs
import pytest

from realtime_pipeline.application.errors import Fenced
from realtime_pipeline.application.ports.window_results import Emitted, WindowResults
from realtime_pipeline.domain.analytics.results import WindowResult, WindowState

SALES, VIEWS = "0123456789abcdef", "fedcba9876543210"
FAR_MS = 10**15


def result(start_ms: int = 0, key: tuple[str | None, ...] | None = (), n: int = 1) -> WindowResult:
    return WindowResult(start_ms, start_ms + 60_000, key, {"n": n}, WindowState.FINAL, is_partial=False)


class WindowResultsContract:
    """A fresh store."""

    results: WindowResults

    def test_what_was_never_written_is_empty(self) -> None:
        assert self.results.emitted([SALES]) == {SALES: Emitted()}
        assert self.results.emitted([]) == {}
        assert list(self.results.starts(SALES, 0, FAR_MS, 10)) == []
        assert self.results.read(SALES, [0]) == self.results.read(SALES, []) == {}
        assert self.results.expire(SALES, FAR_MS, 10) == 0

    def test_results_are_read_as_they_were_written(self) -> None:
        keys = [(), (None,), ("",), ("a", None), ("Straße\n\0😀",), ('"],[', "a,b"), None]
        values = {
            "count": 3,
            "large": 2**70,
            "mean": 12.0,
            "small": 1e-300,
            "none": None,
            "last": "mug",
            "top": [("mug", 3), ("(others)", 1)],
            "quantiles": [("p50", 2.5), ("p99", 7)],
        }
        written = [attrs.evolve(result(key=key), values=values, is_partial=key is None) for key in keys]
        self.results.write(SALES, written, Emitted(70_000, 2, 3, 4), 1_000)
        found = self.results.read(SALES, [0])[0]
        assert {item.key: item for item in found} == {item.key: item for item in written}
        assert [type(value) for value in found[0].values.values()] == [type(value) for value in values.values()]
        assert self.results.emitted([SALES, VIEWS]) == {SALES: Emitted(70_000, 2, 3, 4), VIEWS: Emitted()}

    def test_a_window_written_again_is_replaced_whole(self) -> None:
        self.results.write(SALES, [result(key=("a",)), result(key=("b",)), result(60_000)], Emitted(1), 0)
        self.results.write(SALES, [result(key=("b",), n=5)], Emitted(2), 0)
        assert self.results.read(SALES, [0, 60_000]) == {0: [result(key=("b",), n=5)], 60_000: [result(60_000)]}
        assert self.results.emitted([SALES])[SALES] == Emitted(2)
        self.results.write(SALES, [], Emitted(3), 0)
        assert list(self.results.read(SALES, [0])[0]) == [result(key=("b",), n=5)]

    def test_starts_are_listed_from_the_latest_on(self) -> None:
        self.results.write(SALES, [result(start * 60_000, ("a",)) for start in (3, 1, 2, 10)], Emitted(), 0)
        self.results.write(SALES, [result(120_000, ("b",))], Emitted(), 0)
        self.results.write(VIEWS, [result(240_000)], Emitted(), 0)
        assert list(self.results.starts(SALES, 0, FAR_MS, 10)) == [600_000, 180_000, 120_000, 60_000]
        assert list(self.results.starts(SALES, 0, FAR_MS, 2)) == [600_000, 180_000]
        assert list(self.results.starts(SALES, 120_000, 600_000, 10)) == [180_000, 120_000]
        assert list(self.results.starts(SALES, -FAR_MS, 60_000, 10)) == []

    def test_only_windows_asked_for_are_read(self) -> None:
        self.results.write(SALES, [result(0), result(60_000)], Emitted(), 0)
        self.results.write(VIEWS, [result(120_000)], Emitted(), 0)
        assert self.results.read(SALES, [60_000, 120_000]) == {60_000: [result(60_000)]}

    @pytest.mark.parametrize("number", [1_000, 1_001])
    def test_a_window_may_have_many_keys(self, number: int) -> None:
        written = [result(key=(str(key),), n=key) for key in range(number)]
        self.results.write(SALES, written, Emitted(), 0)
        found = self.results.read(SALES, [0])[0]
        assert {item.key: item for item in found} == {item.key: item for item in written}

    def test_old_results_expire_by_when_they_were_written(self) -> None:
        for at_ms, start in ((1_000, 5), (2_000, 1), (3_000, 2)):
            self.results.write(
                SALES, [result(start * 60_000, ("a",)), result(start * 60_000, ("b",))], Emitted(7), at_ms
            )
        self.results.write(VIEWS, [result(0)], Emitted(), 0)
        assert self.results.expire(SALES, 1_000, 10) == 0
        assert self.results.expire(SALES, 3_000, 1) == 1
        assert self.results.expire(SALES, 3_000, 10) == 1
        assert list(self.results.starts(SALES, 0, FAR_MS, 10)) == [120_000]
        assert set(self.results.read(SALES, [60_000, 120_000, 300_000])) == {120_000}
        assert self.results.emitted([SALES])[SALES] == Emitted(7)
        assert set(self.results.read(VIEWS, [0])) == {0}

    def test_how_far_results_are_written_can_be_forgotten(self) -> None:
        self.results.write(SALES, [result()], Emitted(1, 1, 1, 1), 0)
        self.results.write(VIEWS, [result()], Emitted(2, 2, 2, 2), 0)
        self.results.write_again()
        assert self.results.emitted([SALES, VIEWS]) == {SALES: Emitted(), VIEWS: Emitted()}
        assert set(self.results.read(SALES, [0])) == {0}

    def test_results_that_were_set_back_are_not_taken_for_written(self) -> None:
        self.results.write(SALES, [result()], Emitted(1, 1, 1, 1), 0, Emitted())
        self.results.write(SALES, [result(60_000)], Emitted(2, 1, 1, 1), 0, Emitted(1, 1, 1, 1))
        for before in (Emitted(), Emitted(3), Emitted(2, 1, 1, 0)):
            with pytest.raises(Fenced):
                self.results.write(SALES, [result(120_000)], Emitted(4), 0, before)
        assert self.results.emitted([SALES])[SALES] == Emitted(2, 1, 1, 1)
