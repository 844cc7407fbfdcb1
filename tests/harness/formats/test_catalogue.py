"""Catalogues."""

import json
from pathlib import Path

import pytest

from harness.formats.catalogue import read_catalogue
from harness.support.errors import HarnessError
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product


class TestCatalogue:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "catalogue.jsonl"

    @pytest.mark.parametrize(
        ("entry", "product"),
        [
            ({"product_id": "1"}, Product(ProductId("1"))),
            ({"product_id": 1, "name": "Mug"}, Product(ProductId("1"), name="Mug")),
            ({"asin": "A", "title": " Dad&#39;s mug "}, Product(ProductId("A"), name="Dad's mug")),
            ({"asin": "A", "category": "Mugs"}, Product(ProductId("A"), category="Mugs")),
            ({"asin": "A", "category": ["Home", "Mugs"]}, Product(ProductId("A"), category="Mugs")),
            ({"asin": "A", "category": [], "name": "", "price": ""}, Product(ProductId("A"))),
            ({"asin": "A", "price": 0.1}, Product(ProductId("A"), price=Amount(1_000))),
            ({"asin": "A", "price": "$12.50"}, Product(ProductId("A"), price=Amount(125_000))),
            ({"asin": "A", "price": "$1,250.00"}, Product(ProductId("A"), price=Amount(12_500_000))),
            ({"asin": "A", "price": ".box{color:red}"}, Product(ProductId("A"))),
            ({"asin": "A", "price": "NaN"}, Product(ProductId("A"))),
            ({"asin": "A", "price": -1}, Product(ProductId("A"))),
        ],
    )
    def test_an_entry_is_a_product(self, path: Path, entry: dict[str, object], product: Product) -> None:
        path.write_text(json.dumps(entry) + "\n\n")
        assert read_catalogue(path) == {product.product_id: product}

    def test_of_several_entries_the_last_holds(self, path: Path) -> None:
        path.write_text('{"asin": "A", "name": "Old"}\n{"asin": "A", "name": "New"}')
        assert read_catalogue(path) == {"A": Product(ProductId("A"), name="New")}

    @pytest.mark.parametrize("raw", ["not json", "[1]", '{"name": "Mug"}', '{"asin": "A", "price": []}'])
    def test_a_bad_line_is_named(self, path: Path, raw: str) -> None:
        path.write_text('{"asin": "A"}\n' + raw)
        with pytest.raises(HarnessError, match=r"catalogue\.jsonl:2: not a product: "):
            read_catalogue(path)
