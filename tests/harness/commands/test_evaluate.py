"""`harness evaluate`: the table and the figures."""

import json
from pathlib import Path

import pytest

from harness.commands.main import main
from realtime_pipeline.application.evaluation.protocols import in_time_order
from tests.support.evaluation_visits import some_visits


def test_evaluate_shows_a_table_and_writes_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, figures = tmp_path / "clicks.txt", tmp_path / "figures.json"
    rows = [f"{touch.visit}\t{touch.product_id}\t{touch.at_ms / 1000}" for touch in in_time_order(some_visits(3, 60))]
    data.write_text("\n".join(["SessionId\tItemId\tTime", *rows]))
    common = ["evaluate", "--k", "5", "--json", str(figures)]
    assert main([*common, "--data", str(data), "--tested", "0.25"]) == 0
    assert "HR@5" in capsys.readouterr().out
    models = json.loads(figures.read_text())["models"]
    assert models.keys() == {"served", "vsknn", "vsknn-retailrocket", "stan", "vstan", "ar", "sr", "popularity"}
    assert models["served"]["means"]["HR"] > models["popularity"]["means"]["HR"]
    low, high = models["served"]["intervals"]["HR"]
    assert low < models["served"]["means"]["HR"] < high
    assert main([*common, "--train", str(data), "--test", str(data)]) == 1
    assert "60 visits are in --train and --test" in capsys.readouterr().err
    assert main([*common, "--data", str(data), "--tested", "0.001"]) == 1
    assert capsys.readouterr().err.startswith("harness: 60 visits cannot be split")
    assert main(common) == 1
    assert "--train and --test, or --data" in capsys.readouterr().err
