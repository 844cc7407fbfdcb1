"""A Redis server, or the masters of a cluster: which node has a key, and what its silence or refusal means."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.retry import Retry

from realtime_pipeline.application.errors import Refusal, Stopped, Unavailable
from realtime_pipeline.infrastructure.redis.exchange import Reply, Request, exchange
from realtime_pipeline.infrastructure.redis.failures import ERRORS, SILENT, meaning
from realtime_pipeline.infrastructure.redis.rules import RedisRules

Key = str

_VERSION_MIN = 7
_EVICTING = ("allkeys-", "volatile-")
_EVICTING_LOSES = {"allkeys": "positions and customers too", "volatile": "sessions first"}
"""What the policies take that begin so: sessions are the keys that expire."""
ERASED_KEYS = 1_000


class RedisNodes:
    """Sends requests to the node that has their key, those of one node in one go.

    Nothing is tried twice behind the caller's back: when an answer does not come, only a look at the store can tell
    what was done.
    """

    def __init__(self, rules: RedisRules) -> None:
        self._rules = rules
        self._options: dict[str, Any] = {
            "username": rules.username or None,
            "password": rules.sign_in(),
            "socket_timeout": rules.timeout_ms / 1000,
            "socket_connect_timeout": rules.timeout_ms / 1000,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # lists with scores come flat, and cost a fifth less than those of pairs
            **_tls(rules),
        }
        self._cluster: RedisCluster | None = None
        self._finding = Lock()
        self._single: redis.Redis | None = None
        if not rules.cluster:
            host, port = rules.places()[0]
            self._single = redis.Redis(host=host, port=port, **self._options)

    def close(self) -> None:
        """Close all connections."""
        if self._single is not None:
            self._single.close()
        self._look_anew()

    def masters(self) -> list["redis.Redis"]:
        """A client for each node that keeps keys."""
        if self._single is not None:
            return [self._single]
        cluster = self._known()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def check(self) -> None:
        """See that every node is fit for the store, and has its Functions.

        Raises:
            Unavailable: one is too old, drops keys when memory is short, or does not let this user in.
            Unreachable: one does not answer.
        """
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
                self._see_to_functions(node)
        except ERRORS as error:
            raise self._failed(error) from None

    def ask(self, requests: Sequence[tuple[Key, Request]], wait: bool = False) -> list[Reply]:
        """Send requests, each by a key on its node; return the answers in order.

        With `wait`, the answers count only when as many replicas as the settings say have what was written.

        Raises:
            Unreachable: some answer did not come, or said that the key is elsewhere now.
            Stopped: a key is of another type than this program gives it.
            Unavailable: this user may not do it.
        """
        try:
            by_node = self._by_node(requests)
            replies: list[Reply] = [None] * len(requests)
            for node, numbers in by_node.values():
                answers = self._answers(node, [requests[number][1] for number in numbers], wait)
                for number, answer in zip(numbers, answers, strict=True):
                    replies[number] = answer
        except ERRORS as error:
            raise self._failed(error) from None
        return replies

    def scan(self, pattern: str, count: int) -> Iterator[list[Any]]:
        """List the keys that match, about `count` at a time; some may come twice."""
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
        """Delete every key that looks like this."""
        for names in self.scan(pattern, ERASED_KEYS):
            self.ask([(name.decode(), ("UNLINK", name)) for name in names])

    def _by_node(self, requests: Sequence[tuple[Key, Request]]) -> dict[str, tuple["redis.Redis", list[int]]]:
        if self._single is not None:
            return {"": (self._single, list(range(len(requests))))} if requests else {}
        cluster, by_node = self._known(), dict[str, tuple[redis.Redis, list[int]]]()
        for number, (key, _) in enumerate(requests):
            node: ClusterNode = cluster.nodes_manager.get_node_from_slot(key_slot(key.encode()))
            by_node.setdefault(node.name, (cluster.get_redis_connection(node), []))[1].append(number)
        return by_node

    def _answers(self, node: "redis.Redis", requests: Sequence[Request], wait: bool) -> list[Reply]:
        answers = self._sent(node, requests, wait)
        unknown = [number for number, answer in enumerate(answers) if _is_unknown_function(answer)]
        if unknown:  # a new master, or one that was emptied: nothing was done yet
            self._load_functions(node)
            again = self._sent(node, [requests[number] for number in unknown], wait)
            for number, answer in zip(unknown, again, strict=True):
                answers[number] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _sent(self, node: "redis.Redis", requests: Sequence[Request], wait: bool) -> list[Reply]:
        waits = wait and (self._rules.wait_replicas > 0 or self._rules.wait_disk)
        answers = exchange(node, [*requests, self._waiting()] if waits else requests)
        if waits:
            self._check_reached(answers.pop())
        return answers

    def _waiting(self) -> Request:
        """What is asked to be said when what was written is where it must be."""
        rules = self._rules
        if rules.wait_disk:
            return ("WAITAOF", 1, rules.wait_replicas, rules.wait_ms)
        return ("WAIT", rules.wait_replicas, rules.wait_ms)

    def _check_reached(self, answer: Reply) -> None:
        if isinstance(answer, redis.exceptions.ResponseError) and self._rules.wait_disk:
            raise Unavailable(
                f"Redis cannot wait for its disk ({answer}): set appendonly yes, or redis.wait_disk = false"
            )
        if isinstance(answer, Exception):
            raise answer
        on_disk, replicas = answer if self._rules.wait_disk else (1, answer)
        if on_disk < 1:
            raise redis.exceptions.TimeoutError("the commit is not on the disk yet")
        if replicas < self._rules.wait_replicas:
            raise redis.exceptions.TimeoutError(f"{replicas} of {self._rules.wait_replicas} replicas have the commit")

    def _known(self) -> RedisCluster:
        with self._finding:
            if self._cluster is None:
                nodes = [ClusterNode(*place) for place in self._rules.places()]
                self._cluster = RedisCluster(startup_nodes=nodes, **self._options)
            return self._cluster

    def _look_anew(self) -> None:
        """Find out at the next request where the keys are now."""
        with self._finding:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def _see_to_functions(self, node: "redis.Redis") -> None:
        """See that the Functions are there, and those of this program, not of one that gave them the same name.

        A Redis that is full loads nothing, so that a worker which is to make room there must find them.
        """
        name = _library().partition("name=")[2].partition("\n")[0]
        listed: Request = ("FUNCTION", "LIST", "LIBRARYNAME", name, "WITHCODE")
        there = node.execute_command(*listed)
        if not there:
            self._load_functions(node)
            there = node.execute_command(*listed)
        if _library().encode() not in [part for library in there for part in library]:
            raise Unavailable(
                f"Redis has other Functions under the name {name}: end the workers that use them, then delete them "
                f"(FUNCTION DELETE {name})"
            )

    @staticmethod
    def _load_functions(node: "redis.Redis") -> None:
        try:
            node.function_load(_library())
        except redis.exceptions.NoPermissionError as error:
            raise Unavailable(
                f"Redis has no Functions of this release, and this user may not load them ({error}): "
                "a worker's user needs +function|load"
            ) from None
        except redis.exceptions.ResponseError as error:
            if "already exists" not in str(error):
                raise

    def _failed(self, error: BaseException) -> Refusal | Stopped | Unavailable:
        if self._single is not None and isinstance(error, redis.exceptions.MovedError | redis.exceptions.AskError):
            return Unavailable("this Redis is one of a cluster: set redis.cluster = true")
        if isinstance(error, SILENT):
            self._look_anew()
        return meaning(error)


@cache
def _library() -> str:
    return files(__package__).joinpath("functions.lua").read_text("utf-8")


def _is_unknown_function(answer: Reply) -> bool:
    return isinstance(answer, redis.exceptions.ResponseError) and "Function not found" in str(answer)


def _tls(rules: RedisRules) -> dict[str, Any]:
    if not rules.tls:
        return {}
    try:
        context = ssl.create_default_context(cafile=rules.tls_ca_file or None)
        if rules.tls_cert_file:
            context.load_cert_chain(rules.tls_cert_file, rules.tls_key_file or None)
    except OSError as error:
        raise Unavailable(
            f"certificates for Redis cannot be used ({error}); see redis.tls_ca_file, tls_cert_file and tls_key_file"
        ) from None
    return {
        "ssl": True,
        "ssl_ca_certs": rules.tls_ca_file or None,
        "ssl_certfile": rules.tls_cert_file or None,
        "ssl_keyfile": rules.tls_key_file or None,
    }
