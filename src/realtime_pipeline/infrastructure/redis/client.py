"""Requests to a Redis server or to the masters of a cluster, wherever keys are, and what silence or refusals mean."""

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
"""What the policies take that begin so: sessions are the keys that expire."""
ERASED_KEYS = 1_000
TURNS_MAX: Final = 9
"""How often a request is sent at most: it follows its key from node to node, before the caller is told."""
REDIRECT_WAIT_S: Final = 0.02
"""From the second redirection on: two nodes may name each other until both know who has a slot."""
READS: Final = frozenset(
    ("GET", "MGET", "HGET", "HMGET", "HGETALL", "HKEYS", "HVALS", "HSCAN", "EXISTS", "ZRANGE", "XRANGE")
)
"""Commands that change nothing, and may be sent again where no answer came."""
_ASKING: Final[Request] = ("ASKING",)
_NO_ANSWER = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)


class RedisClient:
    """Sends requests to the node that has their key, those of one node in one go.

    A request whose key has moved follows it: the node that says so has done nothing. Reads that get no answer are sent
    once more. A write never is: when its answer does not come, only a look at the store can tell what was done.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._topology = Topology(settings)

    def close(self) -> None:
        """Close all connections."""
        self._topology.close()

    def masters(self) -> list["redis.Redis"]:
        """A client for each node that keeps keys."""
        return self._topology.masters()

    def check(self) -> None:
        """See that every node is fit for the store, has its Functions, and lets this user do all that workers do.

        Raises:
            Unavailable: one is too old, drops keys when memory is short, or does not let this user do something.
            Unreachable: one does not answer.
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
            raise self._failed(error) from None

    def execute(self, requests: Sequence[tuple[Key, Request]], wait: bool = False) -> list[Reply]:
        """Send requests, each by a key on its node; return the answers in order.

        With `wait`, the answers count only when as many replicas as the settings say have what was written.

        Raises:
            Unreachable: some answer did not come, or a key is being moved, and the request can be made nowhere yet.
            UnrecoverableState: a key is of another type than this program gives it.
            Unavailable: this user may not do it.
        """
        try:
            replies = self._answered(requests, wait)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        except ERRORS as error:
            raise self._failed(error) from None
        return replies

    def scan(self, pattern: str, count: int) -> Iterator[list[Any]]:
        """List the keys that match, about `count` at a time; some may come twice, and some not while slots move."""
        self._topology.suspect()
        try:
            for node in self.masters():
                cursor = -1
                while cursor:
                    cursor, names = node.scan(max(cursor, 0), match=pattern, count=count)
                    yield names
        except ERRORS as error:
            raise self._failed(error) from None

    def used(self) -> Mapping[str, float]:
        """What all nodes together have used: µs of CPU, bytes of append-only file, bytes of memory."""
        used = dict.fromkeys(("us", "log_bytes", "memory_bytes"), 0.0)
        for node in self.masters():
            info = node.info("all")
            used["us"] += 1e6 * (info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])
            used["log_bytes"] += info.get("aof_current_size", 0)
            used["memory_bytes"] += info["used_memory"]
        return used

    def erase(self, pattern: str) -> None:
        """Delete every key that looks like this.

        Nodes are searched until none has such a key: a key may move to a node that was searched before.
        """
        is_empty = False
        while not is_empty:
            is_empty = True
            for names in self.scan(pattern, ERASED_KEYS):
                self.execute([(name.decode(), ("UNLINK", name)) for name in names])
                is_empty = is_empty and not names

    def _answered(self, requests: Sequence[tuple[Key, Request]], wait: bool) -> list[Reply]:
        """Answers in order, refusals among them as exceptions; requests whose key has moved have followed it."""
        replies: list[Reply] = [None] * len(requests)
        keys = [key for key, _ in requests]
        pending = [(node, numbers, False) for node, numbers in self._topology.locate(keys, range(len(keys))).values()]
        may_repeat = True
        for turn in range(1, TURNS_MAX + 1):
            again: list[int] = []
            is_silent = False
            for node, numbers, asking in pending:
                try:
                    answers, refused = self._answers(node, [requests[number][1] for number in numbers], wait, asking)
                except _NO_ANSWER:
                    self._topology.suspect()
                    is_silent = True
                    if not may_repeat or turn == TURNS_MAX or any(requests[one][1][0] not in READS for one in numbers):
                        raise
                    again += numbers
                else:
                    for number, answer in zip(numbers, answers, strict=True):
                        replies[number] = answer
                    again += [numbers[place] for place in refused if self._has_moved(answers[place])]
            if not again or turn == TURNS_MAX:
                break
            may_repeat = may_repeat and not is_silent
            if turn > 1:
                time.sleep(REDIRECT_WAIT_S)
            pending = self._redirected(keys, replies, again)
        return replies

    def _has_moved(self, answer: Reply) -> bool:
        return self._settings.cluster and isinstance(answer, redis.exceptions.AskError)  # MOVED is one of these

    def _redirected(
        self, keys: Sequence[Key], replies: Sequence[Reply], again: Sequence[int]
    ) -> list[tuple["redis.Redis", list[int], bool]]:
        """Where to send requests now: to the owner of their slot, or, `ASKING`, to the node that imports it."""
        importing: dict[str, tuple[redis.Redis, list[int]]] = {}
        owned: list[int] = []
        for number in again:
            answer = replies[number]
            if isinstance(answer, redis.exceptions.AskError) and not isinstance(answer, redis.exceptions.MovedError):
                name, node = self._topology.importing(answer)
                importing.setdefault(name, (node, []))[1].append(number)
                continue
            if isinstance(answer, redis.exceptions.MovedError):
                self._topology.follow(answer)
            owned.append(number)
        located = self._topology.locate(keys, owned) if owned else {}
        return [
            *((node, numbers, False) for node, numbers in located.values()),
            *((node, numbers, True) for node, numbers in importing.values()),
        ]

    def _answers(
        self, node: "redis.Redis", requests: Sequence[Request], wait: bool, asking: bool
    ) -> tuple[list[Reply], list[int]]:
        """The answers of a node, and which of them are refusals."""
        answers = self._sent(node, requests, wait, asking)
        refused = [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
        unknown = [place for place in refused if is_unknown_function(answers[place])]
        if unknown:  # a new master, or one that was emptied: nothing was done yet
            load_functions(node)
            for place, answer in zip(
                unknown, self._sent(node, [requests[place] for place in unknown], wait, asking), strict=True
            ):
                answers[place] = answer
            refused = [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
        return answers, refused

    def _sent(self, node: "redis.Redis", requests: Sequence[Request], wait: bool, asking: bool) -> list[Reply]:
        if asking:  # each for the one that follows
            requests = [part for request in requests for part in (_ASKING, request)]
        waits = wait and (self._settings.wait_replicas > 0 or self._settings.wait_disk)
        answers = round_trip(node, [*requests, self._waiting()] if waits else requests)
        if waits:
            self._check_reached(answers.pop())
        if not asking:
            return answers
        for answer in answers[::2]:
            if isinstance(answer, Exception):
                raise answer
        return answers[1::2]

    def _waiting(self) -> Request:
        """What is asked to be said when what was written is where it must be."""
        settings = self._settings
        if settings.wait_disk:
            return ("WAITAOF", 1, settings.wait_replicas, settings.wait_timeout_ms)
        return ("WAIT", settings.wait_replicas, settings.wait_timeout_ms)

    def _check_reached(self, answer: Reply) -> None:
        if isinstance(answer, redis.exceptions.ResponseError) and self._settings.wait_disk:
            raise Unavailable(
                f"Redis cannot wait for its disk ({answer}): set appendonly yes, or redis.wait_disk = false"
            )
        if isinstance(answer, Exception):
            raise answer
        on_disk, replicas = answer if self._settings.wait_disk else (1, answer)
        if on_disk < 1:
            raise redis.exceptions.TimeoutError("the commit is not on the disk yet")
        if replicas < self._settings.wait_replicas:
            raise redis.exceptions.TimeoutError(
                f"{replicas} of {self._settings.wait_replicas} replicas have the commit"
            )

    def _failed(self, error: BaseException) -> RecoverableError | UnrecoverableState | Unavailable:
        if not self._settings.cluster and isinstance(error, redis.exceptions.AskError):
            return Unavailable("this Redis is one of a cluster: set redis.cluster = true")
        if isinstance(error, UNREACHABLE):
            self._topology.suspect()
        return translate_error(error, self._settings)
