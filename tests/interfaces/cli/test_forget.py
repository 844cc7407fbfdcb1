"""`realtime-pipeline forget`, and the receipt."""

from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings
from tests.support.commands import ran


def test_forgetting(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    code, out, _ = ran(capsys, "forget", "ada")
    assert (code, out.startswith("ada is to be forgotten")) == (0, True)
    ran(capsys, "worker", "--until-caught-up")
    code, out, err = ran(capsys, "profile", "ada")
    assert (code, out) == (1, "")
    assert err == "realtime-pipeline: nothing is known of customer ada: never seen, not processed yet, or forgotten\n"
    ran(capsys, "publish", str(shop))  # nothing brings her back
    _, out, _ = ran(capsys, "worker", "--until-caught-up")
    assert "3 forgotten" in out
    assert ran(capsys, "profile", "ada")[0] == 1


def test_the_receipt_of_a_forgetting(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    code, out, err = ran(capsys, "forget", "ada", "--wait", "0.01")
    assert (code, "  still there: 1 profile, 1 session" in out) == (1, True)
    assert "  waiting for the worker: 0 records before it" in out
    assert err == "realtime-pipeline: ada is not forgotten after 0.01 s: is a worker running?\n"
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline, pipeline.processing():
        code, out, _ = ran(capsys, "forget", "ada", "--wait", "30")
    assert (code, "  erased: " in out, "until the file is deleted" in out) == (0, True, True)


def test_the_receipt_says_until_when_the_log_has_what_was_published(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_LOG_RETENTION__BYTES_MAX", "1")
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    ran(capsys, "forget", "ada")
    ran(capsys, "worker", "--until-caught-up")
    code, out, _ = ran(capsys, "forget", "ada", "--wait", "0.001")
    assert (code, "waiting for the worker" in out) == (1, True)
    code, out, _ = ran(capsys, "rebuild", "--yes")
    assert (code, "a worker has 1 record" in out) == (0, True)


def test_a_forgetting_is_not_written_into_a_log_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_STORE", "redis")
    file = tmp_path / "elsewhere.db"
    code, _, err = ran(capsys, "forget", "ada", "--database", str(file))
    assert (code, err) == (
        1,
        f"realtime-pipeline: there is no database {file} yet: publish events first, or name another with --database\n",
    )
    assert not file.exists()
