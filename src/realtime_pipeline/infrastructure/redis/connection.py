"""Requests to one node, in one go, and its answers."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import redis
from hiredis import pack_command

Request = tuple[str | int | bytes, ...]
Reply = Any

_packed = cast("Callable[[Request], bytes]", pack_command)  # its own types know commands of one word only


def round_trip(node: "redis.Redis", requests: Sequence[Request]) -> list[Reply]:
    """Send requests over one connection, then read as many answers; a refusal is an answer, as an exception.

    The client's own pipelines send them in parts, and cost three times as much for short requests: nothing here asks
    twice, measures or spreads. A connection that anything else went wrong with is closed, as an answer may yet come.

    Raises:
        redis.exceptions.RedisError: some answer did not come.
    """
    pool = node.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([b"".join([_packed(request) for request in requests])])
        return [_answer(node, connection, str(request[0])) for request in requests]
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _answer(node: "redis.Redis", connection: Any, command: str) -> Reply:
    try:
        said = connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error
    shaped = node.response_callbacks.get(command)
    return said if shaped is None else shaped(said)
