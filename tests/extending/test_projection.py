"""A new projection is one new file and one line: the example of CONTRIBUTING.md, tried in a copy of the code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.docs.snippets import ROOT, snippets

VIEWS: Final = "realtime_pipeline/domain/views"

RETURNS: Final = next(
    snippet.text for snippet in snippets(ROOT / "CONTRIBUTING.md") if "(SumProjection)" in snippet.text
)
"""The module that CONTRIBUTING.md shows."""
LINE: Final = "SUM_PROJECTIONS: Final[tuple[SumProjection, ...]] = ()\n"
WITH_RETURNS: Final = """
from realtime_pipeline.domain.views.returns import Returns
SUM_PROJECTIONS: Final[tuple[SumProjection, ...]] = (Returns(),)
"""

HISTORY: Final = """
import sys
from realtime_pipeline import Pipeline, Settings

def event(number, kind, product, quantity=1, **whose):
    return {
        "event_id": f"e{number}", "event_type": kind, "timestamp": 1_760_000_000_000 + number, **whose,
        "properties": {"product_id": product, "quantity": quantity, "price": 10.0, "order_id": f"o{product}"},
    }

ADA, BOB, VISITOR = {"user_id": "ada"}, {"user_id": "bob"}, {"session_id": "s1"}
with Pipeline(Settings(store=sys.argv[1], log=sys.argv[1], database="shop.db")) as pipeline:
    again = event(5, "cancellation", "jug", 4, **VISITOR)
    pipeline.publish([
        event(0, "purchase", "mug", 3, **ADA),
        event(1, "cancellation", "mug", 2, **ADA),
        event(1, "cancellation", "mug", 2, **ADA),
        event(2, "cancellation", "mug", 1, **BOB),
        event(3, "view", "pan", **BOB),
        again,
        {**event(6, "login", "jug", **VISITOR), **ADA},
    ])
    pipeline.process()
    pipeline.publish([{**again, **ADA}])  # sent again after the sign-in
    pipeline.process()
    pipeline.process()
    sums = pipeline.container.product_queries().sums("returns", ["mug", "jug", "pan"])
    print({product: dict(sorted(numbers.items())) for product, numbers in sorted(sums.items())})
"""


@pytest.fixture(scope="module")
def copy_of_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy") / "src"
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / VIEWS / "returns.py").write_text(RETURNS, "utf-8")
    deltas = copy / VIEWS / "deltas.py"
    text = deltas.read_text("utf-8")
    assert text.count(LINE) == 1
    deltas.write_text(text.replace(LINE, WITH_RETURNS), "utf-8")
    return copy


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_projection_is_a_file_and_a_line(store: str, copy_of_src: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy_of_src), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", HISTORY, store]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.strip() == str({"jug": {"units": 4}, "mug": {"units": 3}}), ended.stderr
