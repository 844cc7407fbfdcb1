"""A customer is forgotten only once no snapshot holds them any more."""

from pathlib import Path

import attrs
import pytest

from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.sqlite import snapshots
from tests.support.histories import NOW_MS, append, event, visits
from tests.support.retention import ONE_PARTITION, copy_row_by_row, query, retaining, snapshot_bytes
from tests.support.workers import Crash, CrashAt, new_worker


def test_a_forgetting_is_not_done_while_a_snapshot_holds_the_customer(tmp_path: Path) -> None:
    """Rounds begin the next snapshot after a pause; `process` takes it at once."""
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        pipeline.process()
        assert b"ada-the-first" in snapshot_bytes(pipeline)
        forgetting = pipeline.forget("ada-the-first")
        worker = pipeline.container.process_events()
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        for _ in range(6):
            worker(0)
        receipt = pipeline.receipt(forgetting)
        assert (receipt.is_done, receipt.left["profile"], receipt.left["snapshot_profiles"]) == (False, 0, 1)
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert b"ada-the-first" not in snapshot_bytes(pipeline)


def test_a_customer_forgotten_while_a_snapshot_is_taken_is_not_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        worker = pipeline.container.process_events()
        for _ in range(3):
            worker(0)
        assert query(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]
        forgetting = pipeline.forget("ada-the-first")
        worker(0)
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        while query(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]:
            worker(0)
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.upkeep()._check_at_s = 0  # type: ignore[attr-defined]
        worker(0)
        assert b"ada-the-first" in snapshot_bytes(pipeline)
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert b"ada-the-first" not in snapshot_bytes(pipeline)


def test_a_forgotten_customer_restored_by_a_rebuild_is_not_in_the_next_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot begins after the rebuild, and before the forgetting is folded again."""
    settings = attrs.evolve(ONE_PARTITION, worker=WorkerSettings(round_records_max=1, idle_wait_ms=1))
    with retaining(tmp_path, settings, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        pipeline.process()
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, settings, bytes_max=10**6) as pipeline:
        pipeline.publish(visits("bob", "mug", "jug"))
        forgetting = pipeline.forget("ada-the-first")
        new_worker(pipeline, CrashAt(Stage.SNAPSHOTTING, 3))
        with pytest.raises(Crash):
            pipeline.process()
        new_worker(pipeline)
        assert pipeline.rebuild() == 3
        pipeline.process()
        assert b"ada-the-first" not in snapshot_bytes(pipeline)
        assert pipeline.receipt(forgetting).is_done


@pytest.mark.parametrize("is_new", [False, True])
def test_a_customer_forgotten_as_a_snapshot_begins_counts_as_in_it(is_new: bool, tmp_path: Path) -> None:
    """A snapshot's row is written before its read transaction begins, so the next snapshot is needed."""
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        forgetting = pipeline.forget("ada")
        begun = "INSERT INTO snapshots VALUES (NULL, 6, 0, '{}', 0)"
        with pipeline.container.database().transaction() as connection:
            connection.execute(begun if is_new else "SELECT 1")
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.upkeep()._check_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.process_events()(0)
        assert query(pipeline, "SELECT number FROM snapshot_forgotten") == [(1 + is_new,)]
        pipeline.process()
        assert query(pipeline, "SELECT number FROM snapshots") == [(2 + is_new,)]
        assert pipeline.receipt(forgetting).is_done


def test_a_forgetting_is_not_done_before_the_older_snapshot_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "DELETED_CHUNKS_MAX", 1)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug") + visits("bob", "mug"))
        pipeline.process()
        forgetting = pipeline.forget("ada-the-first")
        pipeline.container.process_events()(0)
        held: list[bool] = []
        while pipeline.container.upkeep().step(is_paced=False):
            held.append(b"ada-the-first" in snapshot_bytes(pipeline))
            assert not (held[-1] and pipeline.receipt(forgetting).is_done)
        assert held[0]
        assert not held[-1]
        assert pipeline.receipt(forgetting).is_done


def test_a_forgetting_waits_for_the_visitors_identified_as_the_customer(tmp_path: Path) -> None:
    """When the forgetting was requested, the sign-in that identifies the visitor was not processed yet."""
    with retaining(tmp_path, bytes_max=1) as pipeline:
        append(pipeline, [event("e1", user=None, at_ms=NOW_MS - 50, session="v1", product="mug")])
        append(pipeline, [event("e2", user="ada", at_ms=NOW_MS - 50, product="mug")])
        pipeline.process()
        append(pipeline, [event("s1", "customer_signed_in", "ada", NOW_MS - 40, session="v1")])
        forgetting = pipeline.forget("ada")
        assert forgetting.ids == ("ada",)
        worker, upkeep = pipeline.container.process_events(), pipeline.container.upkeep()
        upkeep._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        for _ in range(10):
            worker(0)
        assert query(pipeline, "SELECT count(*) FROM snapshot_forgotten") == [(2,)]
        with pipeline.container.database().transaction() as connection:  # as if a snapshot had begun between the two
            digest = tombstone_key(CustomerId("ada")).hex()
            connection.execute("DELETE FROM snapshot_forgotten WHERE digest = ?", (digest,))
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
