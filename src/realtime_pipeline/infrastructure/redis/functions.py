"""The library of Functions in `functions.lua`, as every node that keeps keys must have it."""

from functools import cache
from importlib.resources import files

import redis

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.redis.connection import Reply, Request


@cache
def library() -> str:
    """The code of the library."""
    return files(__package__).joinpath("functions.lua").read_text("utf-8")


def is_unknown_function(answer: Reply) -> bool:
    """Whether a node refused a call because it lacks the Functions; then nothing was done."""
    return isinstance(answer, redis.exceptions.ResponseError) and "Function not found" in str(answer)


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
    """See that a node has the Functions of this program, and not others under their name.

    A Redis that is full loads nothing, so that a worker which is to make room there must find them.

    Raises:
        Unavailable: the name is taken by other Functions, or this user may not load these.
    """
    name = library().partition("name=")[2].partition("\n")[0]
    listed: Request = ("FUNCTION", "LIST", "LIBRARYNAME", name, "WITHCODE")
    there = node.execute_command(*listed)
    if not there:
        load_functions(node)
        there = node.execute_command(*listed)
    if library().encode() not in [part for found in there for part in found]:
        raise Unavailable(
            f"Redis has other Functions under the name {name}: end the workers that use them, then delete them "
            f"(FUNCTION DELETE {name})"
        )
