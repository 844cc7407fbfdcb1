"""The rights that a worker's user needs in Redis, and the ACL rule that grants a missing right."""

import re
from collections.abc import Sequence

import msgspec
import redis

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

_encode = msgspec.msgpack.Encoder().encode
_COMMAND = re.compile(r"run the '([^']+)' command")


def calls_of_worker(settings: RedisSettings) -> list[Request]:
    """List a call of each command that workers, `rebuild` and the Functions use, with its keys. No call is made."""
    keys = Keys(settings.namespace)
    customer, reviews = keys.cell(0).replace(":cell", ":customer:0"), keys.cell(0).replace(":cell", ":reviews:0")
    products, sessions = keys.view(0, "products"), keys.view(0, "list:0")
    waits: list[Request] = []
    if settings.wait_disk:
        waits = [("WAITAOF", "1", "0", "0")]
    elif settings.wait_replicas:
        waits = [("WAIT", "0", "0")]
    return [
        ("HMGET", keys.meta, "f"),
        ("HSETNX", keys.meta, "f", "v"),
        ("HGET", keys.cell(0), "f"),
        ("HGETALL", keys.cell(0)),
        ("HSET", keys.cell(0), "f", "v"),
        ("HINCRBY", keys.cell(0), "f", "1"),
        ("XADD", keys.outbox(0), "*", "f", "v"),
        ("XLEN", keys.outbox(0)),
        ("XRANGE", keys.outbox(0), "-", "+"),
        ("XTRIM", keys.outbox(0), "MINID", "0"),
        ("GET", customer),
        ("MGET", customer),
        ("MSET", customer, "v"),
        ("EXISTS", customer),
        ("UNLINK", customer),
        ("TYPE", reviews),
        ("HVALS", reviews),
        ("HDEL", reviews, "f"),
        ("PEXPIRE", reviews, "1"),
        ("HKEYS", products),
        ("HSCAN", products, "0"),
        ("HLEN", products),
        ("ZADD", sessions, "1", "m"),
        ("ZCARD", sessions),
        ("ZRANGE", sessions, "0", "1"),
        ("ZREMRANGEBYRANK", sessions, "0", "1"),
        ("ZINTERCARD", "1", sessions),
        ("ZREM", sessions, "m"),
        ("SCAN", "0"),
        *waits,
        *([("ASKING",)] if settings.cluster else []),
    ]


def check_rights(node: "redis.Redis", settings: RedisSettings) -> None:
    """Check that a worker's user has all rights on a node. The check needs the right to call Functions only.

    Raises:
        Unavailable: some right is missing; the message names it, and the rule that grants it.
    """
    calls = [(_key_in(call, settings), call) for call in calls_of_worker(settings)]
    keys = list(dict.fromkeys(key for key, _ in calls if key))
    # The user may call this Function. So where a call of it with a key is denied, the key is denied.
    checked: list[Request] = [*(("FCALL", "rp12_denied", "1", key) for key in keys), *(call for _, call in calls)]
    denied: Sequence[int] = node.execute_command("FCALL", "rp12_denied", 0, *map(_encode, checked))
    denied_keys = {keys[number - 1] for number in denied if number <= len(keys)}
    denied_calls = [calls[number - len(keys) - 1] for number in denied if number > len(keys)]
    commands = [str(call[0]) for key, call in denied_calls if key not in denied_keys]
    if denied:
        raise Unavailable(_grant(commands, settings, is_key=bool(denied_keys)))


def _key_in(call: Request, settings: RedisSettings) -> str | None:
    return next((part for part in map(str, call) if part.startswith(f"{settings.namespace}:")), None)


def missing_right(refusal: str, settings: RedisSettings) -> str:
    """Name the right that an error reply says is missing, and the rule that grants it."""
    command = _COMMAND.search(refusal)
    if command is None and "key" not in refusal:  # some servers do not name the command that a Function may not call
        user = settings.username or "default"
        return (
            f"Redis does not let the user {user} do this ({refusal}): start a worker, which names every right it lacks"
        )
    return _grant([command[1].upper()] if command else [], settings, is_key=command is None)


def _grant(commands: Sequence[str], settings: RedisSettings, is_key: bool) -> str:
    user = settings.username or "default"
    what = [f"run {', '.join(commands)}"] if commands else []
    granted = [f"+{command.lower()}" for command in commands]
    if is_key:
        what.append(f"use the keys {settings.namespace}:*")
        granted.insert(0, f"~{settings.namespace}:*")
    where = ", on every node" if settings.cluster else ""
    rule = f"ACL SETUSER {user} {' '.join(granted)}"
    return f"Redis does not let the user {user} {' or '.join(what)}: grant it by {rule}{where}"
