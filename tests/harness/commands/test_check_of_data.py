"""`check` says of real files what `replay` then counts."""

import json
from pathlib import Path

import pytest

from tests.harness.commands.test_commands import REAL
from tests.harness.support.real_data import real
from tests.support.commands import ran

SETTINGS = """
currency = "EUR"
[mapping.rsc15]
format = "csv"
delimiter = "\\t"
time = "s"
fields = {event_type = {constant = "view"}, session_id = "SessionId", product_id = "ItemId", timestamp = "Time"}
[mapping.amazon-reviews]
time = "s"
[mapping.amazon-reviews.fields]
event_type = {constant = "review"}
user_id = "reviewerID"
product_id = "asin"
rating = "overall"
text = "reviewText"
timestamp = "unixReviewTime"
"""


@pytest.mark.data
@pytest.mark.parametrize(("mapping", "name", "rows", "classes"), REAL, ids=[row[0] for row in REAL])
def test_check_counts_the_classes_of_replay(
    mapping: str,
    name: str,
    rows: int,
    classes: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").write_text(SETTINGS)
    arguments = ("--settings", "settings.toml", "--mapping", mapping, "--lines", str(rows), "--json")
    code, out, _ = ran(capsys, "check", *arguments, str(real(name)))
    report = json.loads(out)
    assert (code, report["records"], report["counts"]) == (0, rows, classes)
