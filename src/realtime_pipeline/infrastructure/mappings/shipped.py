"""The mappings that come with the package."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

_SUFFIX: Final = ".toml"


def shipped_names() -> Sequence[str]:
    """The names of the mappings, in order."""
    found = (file.name for file in files(__package__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def shipped_text(name: str) -> str:
    """The TOML file of a mapping, with its comments.

    Raises:
        KeyError: there is none of this name.
    """
    if name not in shipped_names():
        raise KeyError(name)
    return files(__package__).joinpath(name + _SUFFIX).read_text("utf-8")


def shipped(name: str) -> dict[str, Any]:
    """The fields of a mapping.

    Raises:
        KeyError: there is none of this name.
    """
    return tomllib.loads(shipped_text(name))
