"""The clients of a Redis server or of the masters of a cluster, and the slots that each master holds."""

import os
import ssl
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import PRIMARY, ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.retry import Retry

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

Located = dict[str, tuple["redis.Redis", list[int]]]
"""By name of a node: its client, and the indexes of the keys that it holds."""


class Topology:
    """Finds the client to send a request to; safe to use from several threads, and in a child after a fork.

    A client stays open until `close`. After a failover, or when a slot has moved, requests go to another client; no
    thread loses the connection that it is using.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._options: dict[str, Any] = {
            "username": settings.username or None,
            "password": settings.read_password(),
            "socket_timeout": settings.request_timeout_ms / 1000,
            "socket_connect_timeout": settings.request_timeout_ms / 1000,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # replies with scores are flat, which costs a fifth less than pairs
            **_tls(settings),
        }
        self._left_to_parent: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = Lock()
        self._is_stale = False
        self._cluster: RedisCluster | None = None
        self._joining: dict[str, ClusterNode] = {}
        self._single: redis.Redis | None = None
        if not self._settings.cluster:
            host, port = self._settings.endpoints()[0]
            self._single = redis.Redis(host=host, port=port, **self._options)

    def _leave_to_parent(self) -> None:
        """In a child after a fork, open new clients and make a new lock; the parent goes on using the others."""
        if self._pid != os.getpid():
            self._left_to_parent += [self._single, self._cluster, self._joining]  # garbage collection would close them
            self._begin()

    def close(self) -> None:
        """Close all connections. The next request opens new connections."""
        self._leave_to_parent()
        if self._single is not None:
            self._single.close()
        with self._lock:
            cluster, self._cluster = self._cluster, None
            joining, self._joining = self._joining, {}
        if cluster is not None:
            cluster.close()
        for node in joining.values():
            if node.redis_connection is not None:
                node.redis_connection.close()

    @property
    def is_cluster(self) -> bool:
        """Whether keys lie on several nodes."""
        return self._settings.cluster

    def masters(self) -> list["redis.Redis"]:
        """Return a client for each node that holds keys, and for each node that imports a slot.

        Raises:
            redis.exceptions.RedisError, redis.exceptions.RedisClusterException: no node lists the nodes of the cluster.
        """
        self._leave_to_parent()
        if self._single is not None:
            return [self._single]
        cluster = self._known()
        nodes = {node.name: node for node in (*self._joining.values(), *cluster.get_primaries())}
        return [cluster.get_redis_connection(node) for node in nodes.values()]

    def locate(self, keys: Sequence[str], numbers: Iterable[int]) -> Located:
        """Find the nodes that hold the slots of some keys; `numbers` are the indexes of the keys.

        Raises:
            redis.exceptions.RedisError, redis.exceptions.RedisClusterException: no node lists the nodes of the cluster.
        """
        self._leave_to_parent()
        if self._single is not None:
            return {"": (self._single, list(numbers))}
        cluster, located = self._known(), Located()
        for number in numbers:
            node: ClusterNode = cluster.nodes_manager.get_node_from_slot(key_slot(keys[number].encode()))
            located.setdefault(node.name, (cluster.get_redis_connection(node), []))[1].append(number)
        return located

    def follow(self, moved: redis.exceptions.MovedError) -> None:
        """Update the owner of a slot after a `MOVED` redirect."""
        self._known().nodes_manager.move_slot(moved)

    def importing(self, redirect: redis.exceptions.AskError) -> tuple[str, "redis.Redis"]:
        """Find the node that imports a slot, after an `ASK` redirect. It may hold no slot yet, so no node lists it."""
        cluster = self._known()
        host, port = redirect.host, redirect.port
        node = cluster.nodes_manager.get_node(host, port)
        if node is None:
            node = self._joining.setdefault(f"{host}:{port}", ClusterNode(host, port, PRIMARY))
        return node.name, cluster.get_redis_connection(node)

    def suspect(self) -> None:
        """Read the slots of all nodes again before the next request: a node did not reply, as in a failover."""
        self._is_stale = True

    def _known(self) -> RedisCluster:
        with self._lock:
            cluster, is_stale, self._is_stale = self._cluster, self._is_stale, False
            if cluster is None:
                nodes = [ClusterNode(host, port) for host, port in self._settings.endpoints()]
                cluster = self._cluster = RedisCluster(startup_nodes=nodes, **self._options)
                return cluster
        if is_stale:
            try:
                cluster.nodes_manager.initialize()
            except BaseException:
                with self._lock:  # the next request starts from the nodes of the settings
                    self._cluster = None if self._cluster is cluster else self._cluster
                raise
        return cluster


def _tls(settings: RedisSettings) -> dict[str, Any]:
    if not settings.tls:
        return {}
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file or None)
        if settings.tls_cert_file:
            context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file or None)
    except OSError as error:
        raise Unavailable(
            f"certificates for Redis cannot be used ({error}); see redis.tls_ca_file, tls_cert_file and tls_key_file"
        ) from None
    return {
        "ssl": True,
        "ssl_ca_certs": settings.tls_ca_file or None,
        "ssl_certfile": settings.tls_cert_file or None,
        "ssl_keyfile": settings.tls_key_file or None,
    }
