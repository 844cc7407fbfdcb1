"""The commands of the command line, run in this process."""

import pytest

from realtime_pipeline.interfaces.cli.main import main
from tests.support.histories import event

LINES = [
    event("1", at_ms=1_000, session="s1", product="mug", name="A mug", category="kitchen", price=12.5),
    event("2", "purchase", at_ms=2_000, session="s1", product="mug", price=12.5, order_id="o1"),
    event("3", user="bob", at_ms=3_000, product="mug"),
    event("4", user="bob", at_ms=4_000, product="jug", name="A jug"),
    event("5", "review", at_ms=5_000, product="mug", rating=5, text="keeps warm"),
]


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
