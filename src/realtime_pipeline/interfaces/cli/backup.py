"""The command that writes a backup."""

import argparse
from typing import TypeAlias

from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_backup(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    backup = commands.add_parser(
        "backup", parents=[common], help="copy the SQLite file, and check the copy; a worker may be running"
    )
    backup.add_argument("file", metavar="FILE", help="the copy; it must not exist yet")
    add_json(backup)
    backup.set_defaults(command=_backup, reads=True)


def _backup(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    written = pipeline.backup(options.file)
    if options.json:
        print_json(written.as_dict())
        return
    holds = f"{counted(written.records, 'record')} in the log, {counted(written.customers, 'customer')} in the store"
    print(f"{written.file}: {counted(written.size, 'byte')}, checked; {holds}")
