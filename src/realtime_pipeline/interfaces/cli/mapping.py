"""The commands that show mappings: how the records of other systems become events."""

import argparse
from typing import TypeAlias

from realtime_pipeline.composition.mappings import find_mapping
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.infrastructure.mappings.shipped import shipped_names, shipped_summary, shipped_text
from realtime_pipeline.infrastructure.mappings.toml_text import mapping_toml
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_mapping(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    mapping = commands.add_parser("mapping", help="how records of other systems become events")
    actions = mapping.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", parents=[common], help="list the mappings, yours and those of the package")
    listing.set_defaults(command=_list, reads=False)
    show = actions.add_parser("show", parents=[common], help="show a mapping as TOML, to copy from")
    show.add_argument("name", metavar="NAME", help="its name: see mapping list")
    show.set_defaults(command=_show, reads=False)


def _list(_pipeline: Pipeline, settings: Settings, _options: argparse.Namespace) -> None:
    names = sorted({*settings.mapping, *shipped_names()})
    width = max(map(len, names))
    for name in names:
        about = "of the settings" if name in settings.mapping else shipped_summary(name)
        print(f"{name:{width}}  {about}")


def _show(_pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    mapping = find_mapping(settings, options.name)
    if options.name in settings.mapping:
        print(mapping_toml(options.name, mapping), end="")
    else:
        print(shipped_text(options.name), end="")
