"""`--json`: the result of a command as one JSON document, for other programs."""

import argparse
import json
from collections.abc import Mapping


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--json`, which it finds in `options.json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object in one line (docs/library.md)")


def print_json(document: Mapping[str, object]) -> None:
    """Print a result's `as_dict()` in one line of ASCII, which every terminal and pipe can carry."""
    print(json.dumps(document, allow_nan=False))
