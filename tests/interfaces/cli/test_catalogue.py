"""The commands `catalogue import` and `catalogue show`."""

import json
from pathlib import Path

import pytest

from realtime_pipeline.interfaces.cli.main import main

ROWS = "id,title,price,stock\nmug,A mug,12.50 EUR,5\njug,A jug,6,0\n"


def run(database: Path, *arguments: str) -> int:
    return main([*arguments, "--database", str(database)])


def work(database: Path) -> None:
    assert run(database, "worker", "--until-caught-up") == 0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".CSV"])
def test_products_are_imported_and_shown(
    suffix: str, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"products{suffix}"
    text = ROWS.replace(",", "\t") if suffix == ".tsv" else ROWS
    if suffix == ".jsonl":
        text = (
            '{"id": "mug", "title": "A mug", "price": 12.5, "stock": 5}\n{"id": "jug", "stock": 0, "title": "A jug"}\n'
        )
    file.write_text(text, "utf-8")
    assert run(database, "catalogue", "import", str(file)) == 0
    assert capsys.readouterr().out == "2 events were published, of 2 products\n"
    work(database)
    capsys.readouterr()
    assert run(database, "catalogue", "show", "mug", "jug", "unknown") == 0
    assert capsys.readouterr().out == (
        "A mug 12.50\n  stock: 5 units left\n  in stock: yes\n"
        f"A jug{'' if suffix == '.jsonl' else ' 6.00'}\n  stock: 0 units left\n  in stock: no\nunknown\n"
    )
    assert run(database, "catalogue", "show", "mug", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["items"]
    assert (shown["product_id"], shown["stock"], shown["is_removed"]) == ("mug", 5, False)


def test_products_are_checked_as_of_a_time(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "products.csv"
    file.write_text(ROWS, "utf-8")
    arguments = ("check", str(file), "--format", "csv", "--mapping", "products")
    assert run(database, *arguments) == 1
    assert "invalid_timestamp" in capsys.readouterr().out
    assert run(database, *arguments, "--at", "2026-03-01T06:00:00Z") == 0
    assert "2 applied" in capsys.readouterr().out.replace("  ", " ")


def test_replacing_removes_the_others(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(ROWS, "utf-8")
    second.write_text("id,title\nmug,A mug\n", "utf-8")
    assert run(database, "catalogue", "import", str(first)) == 0
    work(database)
    assert run(database, "catalogue", "import", str(second), "--replace", "--removed-max", "0.4") == 1
    assert "1 of 2 products are not in the source, more than the share 0.4" in capsys.readouterr().err
    assert run(database, "catalogue", "import", str(second), "--replace") == 0
    assert "1 product removed, which the source does not have" in capsys.readouterr().out
    work(database)
    capsys.readouterr()
    assert run(database, "catalogue", "show", "jug") == 0
    assert "removed from the catalogue: it is not recommended" in capsys.readouterr().out


def test_invalid_rows_are_counted_and_have_file_and_line(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "products.csv"
    file.write_text("id,stock\nmug,some\njug,2\n,3\n", "utf-8")
    assert run(database, "catalogue", "import", str(file)) == 0
    shown = capsys.readouterr().out
    assert "2 invalid: the worker makes dead letters of them; the first: " in shown
    assert "products.csv:2: invalid_stock: it must be a whole number" in shown
    work(database)
    capsys.readouterr()
    assert run(database, "dead-letters", "list") == 0
    shown = capsys.readouterr().out
    assert f"{file.name}:2  invalid_stock" in shown
    assert f"{file.name}:4  incomplete_product" in shown


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("import",), "the following arguments are required: FILE"),
        (("import", "x.csv", "--at", "yesterday"), "must be a time as 2026-03-01T06:00:00Z"),
        (("import", "x.csv", "--removed-max", "2"), "must be a number from 0 to 1"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: tuple[str, ...], error: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(database, "catalogue", *arguments)
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (("missing.csv",), "missing.csv"),
        (("a.csv", "b.jsonl"), "name files of one format at a time, not of .csv, .jsonl"),
    ],
)
def test_files_that_cannot_be_imported_are_named(
    names: tuple[str, ...], error: str, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in names]
    for file in files:
        if file.name != "missing.csv":
            file.write_text(ROWS, "utf-8")
    assert run(database, "catalogue", "import", *map(str, files)) == 1
    assert error in capsys.readouterr().err
