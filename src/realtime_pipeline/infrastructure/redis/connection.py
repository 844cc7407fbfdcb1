"""One round trip to a node: all requests are sent as a pipeline, then all replies are read."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import redis
from hiredis import pack_command

Request = tuple[str | int | bytes, ...]
"""A command and its arguments."""
Reply = Any

_packed = cast("Callable[[Request], bytes]", pack_command)  # hiredis declares it for commands of one word only


def round_trip(node: "redis.Redis", requests: Sequence[Request]) -> list[Reply]:
    """Send requests over one connection, then read as many replies. An error reply is returned as an exception.

    The client's own pipelines send requests in parts and cost three times as much for short requests. This function
    does not retry, measure or redirect. After any other error it closes the connection: a reply may still arrive there.

    Raises:
        redis.exceptions.RedisError: some reply did not come.
    """
    pool = node.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([b"".join([_packed(request) for request in requests])])
        return [_read_reply(node, connection, str(request[0])) for request in requests]
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _read_reply(node: "redis.Redis", connection: Any, command: str) -> Reply:
    try:
        raw = connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error
    convert = node.response_callbacks.get(command)
    return raw if convert is None else convert(raw)
