"""The commands of the catalogue: import products, and show them."""

import argparse
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final, TypeAlias

import attrs

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.infrastructure.files.formats import FileFormat, FormatName
from realtime_pipeline.infrastructure.files.source import FileSource
from realtime_pipeline.infrastructure.files.streams import check_readable
from realtime_pipeline.ingestion import PRODUCTS
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.cli.progress import ProgressLine
from realtime_pipeline.interfaces.cli.publish import add_format, format_of
from realtime_pipeline.interfaces.cli.times import time_of
from realtime_pipeline.interfaces.text import import_in_words, listing_in_words
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

REMOVED_MAX: Final = 0.5
_FORMATS: Final[Mapping[str, FormatName]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_COMPRESSED: Final = (".gz", ".zst")


def add_catalogue(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    catalogue = commands.add_parser("catalogue", help="import the shop's products, and show them")
    actions = catalogue.add_subparsers(required=True, metavar="ACTION")
    import_ = actions.add_parser("import", parents=[common], help="publish the products of files")
    import_.add_argument("files", metavar="FILE", nargs="+", help="files, plain or compressed; - for standard input")
    add_format(import_)
    import_.add_argument(
        "--at", type=time_of, metavar="TIME", help="when the files were written: sales after it reduce the stock"
    )
    import_.add_argument(
        "--replace", action="store_true", help="remove the products that are listed and not in the files"
    )
    import_.add_argument(
        "--removed-max",
        type=_share,
        metavar="SHARE",
        default=REMOVED_MAX,
        help=f"with --replace: refuse to remove more than this share of the products (default: {REMOVED_MAX:g})",
    )
    import_.set_defaults(command=_import, reads=False)

    show = actions.add_parser("show", parents=[common], help="show what is known of products")
    show.add_argument("products", metavar="PRODUCT", nargs="+", help="a product's id")
    add_json(show)
    show.set_defaults(command=_show, reads=True)


def _import(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    check_readable(options.files)
    options.mapping = options.mapping or PRODUCTS
    source = FileSource("catalogue", options.files, _format(settings, options), with_digests=True)
    shows = ProgressLine("event", "published")
    try:
        share = options.removed_max if options.replace else None
        done = pipeline.import_catalogue(source, options.mapping, options.at, share, shows.update)
    finally:
        shows.end()
    for line in import_in_words(done):
        print(line)


def _format(settings: Settings, options: argparse.Namespace) -> FileFormat:
    """How the files are read: by the options, else by the end of their names, else by the mapping."""
    suffixes = {_suffix(name) for name in options.files} & _FORMATS.keys()
    if len(suffixes) > 1 and options.format is None:
        raise InvalidSettings(f"catalogue: name files of one format at a time, not of {', '.join(sorted(suffixes))}")
    chosen = format_of(settings, options)
    if options.format is None and suffixes:
        suffix = suffixes.pop()
        chosen = attrs.evolve(chosen, name=_FORMATS[suffix])
        if suffix == ".tsv" and options.delimiter is None:
            chosen = attrs.evolve(chosen, delimiter="\t")
    return chosen


def _suffix(name: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in _COMPRESSED), "")


def _show(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    found = [pipeline.product(product_id) for product_id in options.products]
    if options.json:
        print_json({"items": [product.as_dict() | {"is_removed": product.is_removed} for product in found]})
        return
    for product in found:
        for line in listing_in_words(product, decimals_of(settings.currency)):
            print(line)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be a number from 0 to 1")
    return share
