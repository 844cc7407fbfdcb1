"""The library of Functions: the files in `lua/`, joined to one text. Every node that holds keys must have it."""

from functools import cache
from importlib.resources import files
from typing import Final

import redis

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.redis.connection import Reply, Request

LIBRARY: Final = "realtime_pipeline_12"
"""The library's name. Its number is in the names of all Functions, too; raise both with every change of the text.

Old and new workers then call Functions of their own, and neither replaces those of the other.
"""
_FILES: Final = ("shared.lua", "cells.lua", "listings.lua", "results.lua", "views.lua")


@cache
def library() -> str:
    """Return the code of the library."""
    folder = files(__package__).joinpath("lua")
    return "\n".join([f"#!lua name={LIBRARY}", *(folder.joinpath(name).read_text("utf-8") for name in _FILES)])


def is_unknown_function(reply: Reply) -> bool:
    """Whether a node refused a call because it lacks the Functions; it has changed nothing then."""
    return isinstance(reply, redis.exceptions.ResponseError) and "Function not found" in str(reply)


def load_functions(node: "redis.Redis") -> None:
    """Load the library into a node, unless it is there.

    Raises:
        Unavailable: this user may not load it.
    """
    try:
        node.function_load(library())
    except redis.exceptions.NoPermissionError as error:
        raise Unavailable(
            f"Redis has no Functions of this release, and this user may not load them ({error}): "
            "a worker's user needs +function|load"
        ) from None
    except redis.exceptions.ResponseError as error:
        if "already exists" not in str(error):
            raise


def check_functions(node: "redis.Redis") -> None:
    """Check that a node has exactly this library; load it where the node has no library of that name.

    A full Redis loads nothing. The library must be there before, so that a worker can make room.

    Raises:
        Unavailable: the node has another library of that name, or this user may not load this one.
    """
    listing: Request = ("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY, "WITHCODE")
    listed = node.execute_command(*listing)
    if not listed:
        load_functions(node)
        listed = node.execute_command(*listing)
    if library().encode() not in [part for found in listed for part in found]:
        raise Unavailable(
            f"Redis has other Functions under the name {LIBRARY}: end the workers that use them, then delete them "
            f"(FUNCTION DELETE {LIBRARY})"
        )
