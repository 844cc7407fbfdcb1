"""`--json`: what a command reads, as one JSON document for other programs."""

import argparse
import json
from collections.abc import Mapping


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--json`; the command looks at `options.json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object in one line (docs/library.md)")


def print_json(document: Mapping[str, object]) -> None:
    """Print a result's `as_dict()` in one line, in ASCII, so that any terminal and any pipe carries it unharmed."""
    print(json.dumps(document, allow_nan=False))
