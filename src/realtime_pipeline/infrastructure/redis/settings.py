"""Settings of Redis: its nodes, how to sign in, timeouts, sizes of requests, and the layout of the store."""

from typing import Final

import attrs

from realtime_pipeline.application.errors import NewerRelease, WrongLog
from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.infrastructure.secrets import secret

LAYOUT: Final = 7
"""The version of the store's layout, which the store carries. A store without a number is older than layouts."""
CLAIM_LAYOUT: Final = 8
"""The number that a claim writes into each cell and each group of view cells.

A worker with a smaller number can neither claim nor merge there any more: it would lose what it does not know. Since 8,
workers count sales. Readers of layout 7 read the store as before, so the store keeps that number.
"""
LINGER_MS_MAX: Final = 1_000
WAIT_MS_MAX: Final = 600_000
VIEW_CELLS_MAX: Final = 16_384
"""The number of slots of a cluster."""
STREAMS_MAX: Final = 1_000
"""The number of streams that a source reads; each read asks for the entries of all."""
CELLS_TOGETHER: Final = 8
"""The size of a group of view cells, which share hashes in one slot. A merge makes one short call for each view cell;
readers find the products of a whole group in the same hashes."""


@attrs.frozen
class RedisSettings:
    """The settings of a single server or of a cluster.

    `nodes` names the server, or some masters of the cluster, as `host:port`, separated by commas. Every key begins with
    `namespace`, so several stores can share a Redis. `view_cells` is fixed when the store is made: 8 for a single
    server, about 32 for each master of a cluster; every eight share a slot. A Function call merges the changes of about
    `merge_records_max` records; merges linger until the last merge is `merge_linger_ms` ago. The password comes from
    the environment (`REALTIME_PIPELINE_REDIS__PASSWORD`) or from `password_file`.

    With `wait_replicas`, a commit succeeds only when so many replicas have it within `wait_timeout_ms`, so that a
    failover keeps it. With `wait_disk`, the disks of the master and of those replicas must have it, too; that needs
    Redis 7.2 or Valkey, with an append-only file.
    """

    nodes: str = "127.0.0.1:6379"
    cluster: bool = False
    namespace: str = "rp"
    view_cells: int = CELLS_TOGETHER
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    request_timeout_ms: int = 2_000
    commit_records_max: int = 250
    commits_per_request: int = 64
    merge_records_max: int = 500
    merge_linger_ms: int = 100
    wait_replicas: int = 0
    wait_disk: bool = False
    wait_timeout_ms: int = 500

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_least(
            1,
            self,
            "view_cells",
            "request_timeout_ms",
            "commit_records_max",
            "commits_per_request",
            "merge_records_max",
        )
        at_most(WAIT_MS_MAX, self, "request_timeout_ms", "wait_timeout_ms")
        at_most(VIEW_CELLS_MAX, self, "view_cells")
        if self.view_cells % CELLS_TOGETHER:
            raise ValueError(f"redis.view_cells is a multiple of {CELLS_TOGETHER}, not {self.view_cells}")
        if self.merge_linger_ms > LINGER_MS_MAX:
            raise ValueError(f"redis.merge_linger_ms must be at most {LINGER_MS_MAX}: readers see no changes meanwhile")
        if any(not host or "@" in host or not port.isdecimal() for host, _, port in self._parts()):
            raise ValueError("redis.nodes are written host:port, separated by commas")
        if not self.namespace.isprintable() or not self.namespace or set("{}*?[]\\^") & set(self.namespace):
            raise ValueError("redis.namespace is some printable text without braces, brackets, stars and the like")

    @property
    def view_groups(self) -> int:
        """The number of groups of view cells: on so many nodes the views can be."""
        return self.view_cells // CELLS_TOGETHER

    def endpoints(self) -> list[tuple[str, int]]:
        """The nodes as (host, port)."""
        return [(host, int(port)) for host, _, port in self._parts()]

    def _parts(self) -> list[tuple[str, str, str]]:
        return [node.strip().rpartition(":") for node in self.nodes.split(",")]

    def check_layout(self, layout: bytes | None, view_cells: bytes | None) -> None:
        """Check the layout and the number of view cells that the store carries; None where there is no store yet.

        Raises:
            NewerRelease: the store has the layout of a newer release.
            WrongLog: the store has the layout of another version, or another number of view cells.
        """
        if view_cells is None:
            return
        written = int(layout) if layout is not None and layout.isdigit() else 0
        if written > LAYOUT:
            raise self.newer(written)
        if written != LAYOUT:
            raise WrongLog(
                f"the store {self.namespace} was made by another version, with another layout: "
                "use another namespace and group, and rebuild the store from the log"
            )
        if int(view_cells) != self.view_cells:
            raise WrongLog(
                f"the store {self.namespace} has {int(view_cells)} view cells, the settings say {self.view_cells}: "
                f"set redis.view_cells = {int(view_cells)}, or use another namespace"
            )

    def newer(self, layout: int) -> NewerRelease:
        """Make the error for a store of a newer release."""
        return NewerRelease(
            f"the store {self.namespace} is a newer release's (layout {layout}, this release has {LAYOUT}): "
            "upgrade this program"
        )

    def read_password(self) -> str | None:
        """Return the password, from its file where there is one.

        Raises:
            Unavailable: the file cannot be read.
        """
        return secret(self.password, self.password_file, "redis.password_file") or None


@attrs.frozen
class RedisStreamSettings:
    """Streams of others that are read as a source: their server or cluster, how to sign in there, and timeouts.

    `keys` are the streams. With `field`, an entry's field of this name is the record's JSON; without, all fields
    together are its document. Nothing is deleted, unless `trim` is set: then a stream's entries are deleted once they
    are in the log, also those that other readers have not read. With `skip_lost`, reading goes on with the first entry
    there is where a stream does not have the entry at a position any more. The password comes from the environment or
    from `password_file`.
    """

    keys: tuple[str, ...]
    nodes: str = "127.0.0.1:6379"
    cluster: bool = False
    field: str = ""
    trim: bool = False
    skip_lost: bool = False
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    request_timeout_ms: int = 2_000

    def __attrs_post_init__(self) -> None:
        self.client()
        if not self.keys or not all(self.keys) or len(set(self.keys)) < len(self.keys):
            raise ValueError("keys of a source in Redis must be one or more names, each once")
        if len(self.keys) > STREAMS_MAX:
            raise ValueError(f"keys of a source in Redis must be at most {STREAMS_MAX}, not {len(self.keys)}")

    def client(self) -> RedisSettings:
        """Return the settings by which clients of this Redis are made."""
        return RedisSettings(
            nodes=self.nodes,
            cluster=self.cluster,
            username=self.username,
            password=self.password,
            password_file=self.password_file,
            tls=self.tls,
            tls_ca_file=self.tls_ca_file,
            tls_cert_file=self.tls_cert_file,
            tls_key_file=self.tls_key_file,
            request_timeout_ms=self.request_timeout_ms,
        )
