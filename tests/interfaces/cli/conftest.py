"""A database of a small shop, named by the environment."""

from pathlib import Path

import msgspec
import pytest

from tests.support.commands import LINES


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*map(msgspec.json.encode, LINES), b"", b"garbage", b""]))
    return file
