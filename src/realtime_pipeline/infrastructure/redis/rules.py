"""Where Redis is, and how it is used."""

import attrs

from realtime_pipeline.application.errors import WrongLog
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.infrastructure.secrets import secret


@attrs.frozen
class RedisRules:
    """A server, or some masters of a cluster, as `host:port` with commas between; how to sign in; how much at once.

    Every key begins with `namespace`: several stores can lie in one Redis. `view_cells` is used when a store is made,
    and then stays: 1 for a single server, about 4 for each master of a cluster. The password comes from the
    environment (`REALTIME_PIPELINE_REDIS__PASSWORD`) or from `password_file`. With `wait_replicas`, a commit counts
    only when so many replicas have it within `wait_ms`; with `wait_disk`, when it is on the disk of the master, and of
    those replicas (needs Redis 7.2 or Valkey, with an append-only file).
    """

    nodes: str = "127.0.0.1:6379"
    cluster: bool = False
    namespace: str = "rp"
    view_cells: int = 1
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    timeout_ms: int = 2_000
    commit_records_max: int = 250
    commits_at_once: int = 64
    merge_records_max: int = 500
    wait_replicas: int = 0
    wait_disk: bool = False
    wait_ms: int = 500

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_least(1, self, "view_cells", "timeout_ms", "commit_records_max", "commits_at_once", "merge_records_max")
        if any(not host or "@" in host or not port.isdecimal() for host, _, port in self._parts()):
            raise ValueError("redis.nodes are written host:port, with commas between")
        if not self.namespace.isprintable() or not self.namespace or set("{}*?[]\\^") & set(self.namespace):
            raise ValueError("redis.namespace is some printable text without braces, brackets, stars and the like")

    def places(self) -> list[tuple[str, int]]:
        """The nodes as (host, port)."""
        return [(host, int(port)) for host, _, port in self._parts()]

    def _parts(self) -> list[tuple[str, str, str]]:
        return [node.strip().rpartition(":") for node in self.nodes.split(",")]

    def check_view_cells(self, said: bytes | None) -> None:
        """See that a store has as many view cells as is believed; `said` is what it says itself, where it is there.

        Raises:
            WrongLog: it has another number.
        """
        if said is not None and int(said) != self.view_cells:
            raise WrongLog(
                f"the store {self.namespace} has {int(said)} view cells, the settings say {self.view_cells}: "
                f"set redis.view_cells = {int(said)}, or use another namespace"
            )

    def sign_in(self) -> str | None:
        """The password, read from its file where there is one.

        Raises:
            Unavailable: the file cannot be read.
        """
        return secret(self.password, self.password_file, "redis.password_file") or None
