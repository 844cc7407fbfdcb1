"""Sends requests to the node that holds their key: round trips, redirects, retries, and waits for replicas."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import redis

from realtime_pipeline.application.errors import RecoverableError, Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.redis.connection import Reply, Request, round_trip
from realtime_pipeline.infrastructure.redis.errors import ERRORS, UNREACHABLE, translate_error
from realtime_pipeline.infrastructure.redis.functions import check_functions, is_unknown_function, load_functions
from realtime_pipeline.infrastructure.redis.rights import check_rights
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.topology import Topology

Key = str

_VERSION_MIN = 7
_EVICTING = ("allkeys-", "volatile-")
_EVICTING_LOSES = {"allkeys": "positions and customers too", "volatile": "sessions first"}
"""What an eviction policy deletes, by the first word of its name: only sessions have a TTL, so are `volatile`."""
ERASED_KEYS = 1_000
ATTEMPTS_MAX: Final = 9
"""How often a request is sent at most, redirects and retries included, before the caller gets the error."""
REDIRECT_WAIT_S: Final = 0.02
"""Wait from the second redirect on: two nodes may redirect to each other until both know the owner of a slot."""
READS: Final = frozenset(
    ("GET", "MGET", "HGET", "HMGET", "HGETALL", "HKEYS", "HVALS", "HSCAN", "EXISTS", "ZRANGE", "XRANGE")
)
"""Commands that change nothing. A retry is safe where no reply came."""
_ASKING: Final[Request] = ("ASKING",)
_NO_REPLY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)


class RedisClient:
    """Sends requests to the node that holds their key; requests to one node share a round trip.

    A redirect (`MOVED`, `ASK`) is followed: the node that redirects has done nothing. A read without a reply is retried
    once. A write without a reply is never retried: only the store can tell whether it was done.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._topology = Topology(settings)

    def close(self) -> None:
        """Close all connections."""
        self._topology.close()

    def masters(self) -> list["redis.Redis"]:
        """Return a client for each node that holds keys."""
        return self._topology.masters()

    def check(self) -> None:
        """Check that every node is fit for the store, has its Functions, and grants this user a worker's rights.

        Raises:
            Unavailable: a node is too old, has an eviction policy, or denies this user a right.
            Unreachable: a node does not reply.
        """
        self._topology.suspect()
        try:
            for node in self.masters():
                info = node.info()
                if int(str(info["redis_version"]).split(".")[0]) < _VERSION_MIN:
                    raise Unavailable(f"Redis {info['redis_version']} has no Functions: use 7.0 or newer, or Valkey")
                policy = str(info.get("maxmemory_policy", ""))
                if policy.startswith(_EVICTING):
                    raise Unavailable(
                        f"Redis drops keys when memory is short (maxmemory-policy {policy}), "
                        f"{_EVICTING_LOSES[policy.partition('-')[0]]}: set maxmemory-policy noeviction"
                    )
                check_functions(node)
                check_rights(node, self._settings)
        except ERRORS as error:
            raise self._translate(error) from None

    def execute(self, requests: Sequence[tuple[Key, Request]], wait: bool = False) -> list[Reply]:
        """Send requests, each to the node that holds its key; return the replies in order.

        With `wait`, the call succeeds only when as many replicas as the settings say, or the disk, have the writes.

        Raises:
            Unreachable: some reply did not come, or a slot migrates and no node takes the request yet.
            UnrecoverableState: a key is of another type than this program gives it.
            Unavailable: this user may not do it.
        """
        try:
            replies = self._replies(requests, wait)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        except ERRORS as error:
            raise self._translate(error) from None
        return replies

    def scan(self, pattern: str, count: int) -> Iterator[list[Any]]:
        """List matching keys, about `count` at a time; a key may come twice, or be missed while its slot migrates."""
        self._topology.suspect()
        try:
            for node in self.masters():
                cursor = -1
                while cursor:
                    cursor, keys = node.scan(max(cursor, 0), match=pattern, count=count)
                    yield keys
        except ERRORS as error:
            raise self._translate(error) from None

    def used(self) -> Mapping[str, float]:
        """Add up what all nodes use: µs of CPU, bytes of append-only file, bytes of memory."""
        used = dict.fromkeys(("us", "log_bytes", "memory_bytes"), 0.0)
        for node in self.masters():
            info = node.info("all")
            used["us"] += 1e6 * (info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])
            used["log_bytes"] += info.get("aof_current_size", 0)
            used["memory_bytes"] += info["used_memory"]
        return used

    def erase(self, pattern: str) -> None:
        """Delete every key that matches.

        Scan until no node has such a key: a key may migrate to a node that was scanned before.
        """
        is_empty = False
        while not is_empty:
            is_empty = True
            for keys in self.scan(pattern, ERASED_KEYS):
                self.execute([(key.decode(), ("UNLINK", key)) for key in keys])
                is_empty = is_empty and not keys

    def _replies(self, requests: Sequence[tuple[Key, Request]], wait: bool) -> list[Reply]:
        """Return the replies in order, error replies as exceptions, after redirects and retries."""
        replies: list[Reply] = [None] * len(requests)
        keys = [key for key, _ in requests]
        pending = [(node, numbers, False) for node, numbers in self._topology.locate(keys, range(len(keys))).values()]
        may_retry = True
        for attempt in range(1, ATTEMPTS_MAX + 1):
            again: list[int] = []
            is_unreachable = False
            for node, numbers, asking in pending:
                try:
                    received, errors = self._send(node, [requests[number][1] for number in numbers], wait, asking)
                except _NO_REPLY:
                    self._topology.suspect()
                    is_unreachable = True
                    has_writes = any(requests[number][1][0] not in READS for number in numbers)
                    if not may_retry or attempt == ATTEMPTS_MAX or has_writes:
                        raise
                    again += numbers
                else:
                    for number, reply in zip(numbers, received, strict=True):
                        replies[number] = reply
                    again += [numbers[index] for index in errors if self._is_redirect(received[index])]
            if not again or attempt == ATTEMPTS_MAX:
                break
            may_retry = may_retry and not is_unreachable
            if attempt > 1:
                time.sleep(REDIRECT_WAIT_S)
            pending = self._redirected(keys, replies, again)
        return replies

    def _is_redirect(self, reply: Reply) -> bool:
        return self._settings.cluster and isinstance(reply, redis.exceptions.AskError)  # MovedError is an AskError

    def _redirected(
        self, keys: Sequence[Key], replies: Sequence[Reply], again: Sequence[int]
    ) -> list[tuple["redis.Redis", list[int], bool]]:
        """Find the next node of requests: the owner of their slot, or, by `ASKING`, the node that imports the slot."""
        importing: dict[str, tuple[redis.Redis, list[int]]] = {}
        owned: list[int] = []
        for number in again:
            reply = replies[number]
            if isinstance(reply, redis.exceptions.AskError) and not isinstance(reply, redis.exceptions.MovedError):
                name, node = self._topology.importing(reply)
                importing.setdefault(name, (node, []))[1].append(number)
                continue
            if isinstance(reply, redis.exceptions.MovedError):
                self._topology.follow(reply)
            owned.append(number)
        located = self._topology.locate(keys, owned) if owned else {}
        return [
            *((node, numbers, False) for node, numbers in located.values()),
            *((node, numbers, True) for node, numbers in importing.values()),
        ]

    def _send(
        self, node: "redis.Redis", requests: Sequence[Request], wait: bool, asking: bool
    ) -> tuple[list[Reply], list[int]]:
        """Return the replies of a node, and the indexes of the error replies; load Functions that the node lacks."""
        replies = self._round_trip(node, requests, wait, asking)
        errors = [index for index, reply in enumerate(replies) if isinstance(reply, Exception)]
        unknown = [index for index in errors if is_unknown_function(replies[index])]
        if unknown:  # after a failover to an empty node: it has done nothing yet
            load_functions(node)
            retried = self._round_trip(node, [requests[index] for index in unknown], wait, asking)
            for index, reply in zip(unknown, retried, strict=True):
                replies[index] = reply
            errors = [index for index, reply in enumerate(replies) if isinstance(reply, Exception)]
        return replies, errors

    def _round_trip(self, node: "redis.Redis", requests: Sequence[Request], wait: bool, asking: bool) -> list[Reply]:
        if asking:  # ASKING holds for the next request only
            requests = [part for request in requests for part in (_ASKING, request)]
        waits = wait and (self._settings.wait_replicas > 0 or self._settings.wait_disk)
        replies = round_trip(node, [*requests, self._wait_request()] if waits else requests)
        if waits:
            self._check_durable(replies.pop())
        if not asking:
            return replies
        for reply in replies[::2]:
            if isinstance(reply, Exception):
                raise reply
        return replies[1::2]

    def _wait_request(self) -> Request:
        """Build the request that waits until replicas, or disks, have the writes of the connection."""
        settings = self._settings
        if settings.wait_disk:
            return ("WAITAOF", 1, settings.wait_replicas, settings.wait_timeout_ms)
        return ("WAIT", settings.wait_replicas, settings.wait_timeout_ms)

    def _check_durable(self, reply: Reply) -> None:
        """Check that as many replicas, or disks, as the settings say have the writes."""
        if isinstance(reply, redis.exceptions.ResponseError) and self._settings.wait_disk:
            raise Unavailable(
                f"Redis cannot wait for its disk ({reply}): set appendonly yes, or redis.wait_disk = false"
            )
        if isinstance(reply, Exception):
            raise reply
        on_disk, replicas = reply if self._settings.wait_disk else (1, reply)
        if on_disk < 1:
            raise redis.exceptions.TimeoutError("the commit is not on the disk yet")
        if replicas < self._settings.wait_replicas:
            raise redis.exceptions.TimeoutError(
                f"{replicas} of {self._settings.wait_replicas} replicas have the commit"
            )

    def _translate(self, error: BaseException) -> RecoverableError | UnrecoverableState | Unavailable:
        if not self._settings.cluster and isinstance(error, redis.exceptions.AskError):
            return Unavailable("this Redis is one of a cluster: set redis.cluster = true")
        if isinstance(error, UNREACHABLE):
            self._topology.suspect()
        return translate_error(error, self._settings)
