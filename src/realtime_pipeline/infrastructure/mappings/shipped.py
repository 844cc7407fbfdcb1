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


def shipped_summary(name: str) -> str:
    """What a mapping is for: the first sentence of its comment.

    Raises:
        KeyError: there is none of this name.
    """
    comment = shipped_text(name).partition("\n#\n")[0]
    text = " ".join(line.removeprefix("#").strip() for line in comment.splitlines())
    return text.partition(". ")[0].rstrip(".")


def shipped(name: str) -> dict[str, Any]:
    """The fields of a mapping.

    Raises:
        KeyError: there is none of this name.
    """
    return tomllib.loads(shipped_text(name))
