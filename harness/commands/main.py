"""The command line of the harness."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.commands.parser import build_parser
from harness.support.environment import complete_environment
from harness.support.errors import HarnessError
from realtime_pipeline import PipelineError

Command = Callable[[argparse.Namespace], Mapping[str, object]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return 0 when it succeeded; 1 when a check failed, or after a line that names the error."""
    options = build_parser().parse_args(arguments)
    command: Command = options.command
    try:
        if options.json is not None and not options.json.absolute().parent.is_dir():
            raise HarnessError(f"{options.json} cannot be written: its folder does not exist")
        complete_environment(options)
        figures = command(options)
        if options.json is not None:
            _write(options.json, figures)
    except (HarnessError, PipelineError) as error:
        print(f"harness: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if figures.get("ok", True) else 1


def _write(file: Path, figures: Mapping[str, object]) -> None:
    try:
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False, default=str) + "\n", "utf-8")
    except OSError as error:
        raise HarnessError(f"{file} cannot be written: {error.strerror}") from error
